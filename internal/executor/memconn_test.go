package executor

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memConn is one end of a connection in memory that behaves like a socket: what has been written can be read,
// even after the writer has closed its end, and writing does not wait for a reader. Unlike a socket it can be
// used in a synctest bubble.
type memConn struct {
	net.Conn // what is not needed

	in, out *memStream
}

// memStream is one direction.
type memStream struct {
	mu       sync.Mutex
	data     []byte
	closed   bool // by the writer
	shut     bool // by the reader
	deadline time.Time
	changed  chan struct{} // closed when something above changes
}

func newMemConns() (a, b *memConn) {
	x, y := &memStream{changed: make(chan struct{})}, &memStream{changed: make(chan struct{})}
	return &memConn{in: x, out: y}, &memConn{in: y, out: x}
}

// update changes a stream and wakes its reader.
func (s *memStream) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// read reads what there is. If there is nothing, it returns what to wait for.
func (s *memStream) read(p []byte) (n int, changed <-chan struct{}, timer *time.Timer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return 0, nil, nil, net.ErrClosed
	case !s.deadline.IsZero() && !s.deadline.After(time.Now()):
		return 0, nil, nil, os.ErrDeadlineExceeded
	case len(s.data) > 0:
		n = copy(p, s.data)
		s.data = s.data[n:]
		return n, nil, nil, nil
	case s.closed:
		return 0, nil, nil, io.EOF
	}
	left := time.Hour
	if !s.deadline.IsZero() {
		left = time.Until(s.deadline)
	}
	return 0, s.changed, time.NewTimer(left), nil
}

func (c *memConn) Read(p []byte) (int, error) {
	for {
		n, changed, timer, err := c.in.read(p)
		if timer == nil {
			return n, err
		}
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (c *memConn) Write(p []byte) (n int, err error) {
	c.out.update(func() {
		if c.out.closed || c.out.shut {
			err = net.ErrClosed
			return
		}
		c.out.data = append(c.out.data, p...)
		n = len(p)
	})
	return n, err
}

func (c *memConn) Close() error {
	c.in.update(func() { c.in.shut = true })
	c.out.update(func() { c.out.closed = true })
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.update(func() { c.in.deadline = t })
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }
