package executor

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// initialBuffer is how much memory a connection has to receive into, in bytes, until it needs more.
const initialBuffer = 4 << 10

// conn is a connection from a runtime. One goroutine at a time uses it.
type conn struct {
	nc   net.Conn
	buf  []byte
	r, w int // buf[r:w] has been received and not been read
	seen int // how much of it has been searched for the end of a line or head in vain
	out  []byte
	req  request
	// inherited says that the peer may send compact messages; asks, that it has asked for the next invocation together
	// with the last answer.
	inherited, asks bool

	until       time.Time // when reading and writing end, or zero
	armed       time.Time // the deadline that nc has
	interrupted atomic.Bool
	aside       bool // it belongs to an extension; changes under the lock of the session, by who reads it
}

func newConn(nc net.Conn) *conn { return &conn{nc: nc, buf: make([]byte, initialBuffer)} }

// limit makes reading and writing end at a time; the zero time means never.
//
// Setting a deadline costs more than it seems, as a timer that is now the first to fire has to wake the thread
// that waits for timers. So a deadline that is earlier, and not over, stays as it is: only when it
// fires is it moved to where it should be.
func (c *conn) limit(until, now time.Time) {
	c.until = until
	switch {
	case until.IsZero() && c.armed.IsZero():
	case !until.IsZero() && c.armed.After(now) && !c.armed.After(until):
	default:
		c.arm()
	}
}

func (c *conn) arm() {
	c.armed = c.until
	_ = c.nc.SetDeadline(c.armed) // if it fails, the connection is closed, which ends reading and writing too
}

// extend reports whether err is a deadline that has fired too early, and moves it.
func (c *conn) extend(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || !c.until.After(time.Now()) || c.interrupted.Load() {
		return false
	}
	c.arm()
	// An interruption that came before the deadline was moved has been undone by it.
	return !c.interrupted.Load()
}

// interrupt ends a read that another goroutine waits in, until resume is called.
func (c *conn) interrupt() {
	c.interrupted.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // if it fails, the connection is closed, which ends the read too
}

// resume takes an interruption back.
func (c *conn) resume() {
	if c.interrupted.Swap(false) {
		c.arm()
	}
}

// Read receives into p what comes next.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.nc.Read(p)
		if n == 0 && err != nil && c.extend(err) {
			continue
		}
		return n, err
	}
}

// write sends p.
func (c *conn) write(p []byte) error {
	for {
		n, err := c.nc.Write(p)
		p = p[n:]
		if err == nil || !c.extend(err) {
			return err
		}
	}
}

// flush sends what has been queued in c.out.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.write(c.out)
	c.out = c.out[:0]
	return err
}

// fill receives at least one byte into the buffer.
func (c *conn) fill() error {
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
		if len(c.buf) > 16*initialBuffer {
			c.buf = make([]byte, initialBuffer)
		}
	case c.w == len(c.buf) && c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	case c.w == len(c.buf):
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
