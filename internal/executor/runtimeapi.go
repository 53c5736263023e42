package executor

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// phase is how far a runtime has come, by what it has asked of the Runtime API. The names are those
// that the Runtime API uses in its error messages.
type phase string

const (
	phaseStarted      phase = "Started"
	phaseInitError    phase = "InitError"
	phaseReady        phase = "Ready"
	phaseRunning      phase = "Running"
	phaseResponding   phase = "RuntimeInvocationResponseState"
	phaseResponseSent phase = "RuntimeResponseSentState"
)

const (
	// maxConns bounds the connections that one environment may have open.
	maxConns = 64
	// strayTime is how long connections of a runtime that has ended are read on: it may have
	// answered before it ended.
	strayTime = 100 * time.Millisecond
	// acceptPause follows a failure to accept a connection.
	acceptPause = 5 * time.Millisecond
)

var (
	// errExited says that the runtime process has ended.
	errExited = errors.New("the runtime has exited")
	// errTime says that the time that was given is over.
	errTime = errors.New("time is over")
)

// delivery is an invocation on its way to a runtime.
type delivery struct {
	*Invocation
	deadline time.Time
	begun    bool   // the caller has got the beginning of a streamed response; only the owner uses it
	answer   answer // when there is one
}

// answer is what a runtime made of an invocation, or of its initialisation.
type answer struct {
	payload     []byte
	contentType string // of a streamed response
	failed      bool   // the function reported an error
	broken      bool   // the runtime has stopped in the middle
	errorType   string // of a failed answer: as the platform counts it, or as the trailers of a streamed response say
}

// session is the Runtime API of one runtime process.
//
// A connection is read by exactly one goroutine, its own or the owner of the environment, or by none:
//
//   - its own (serve), from when it is accepted until it asks for the next invocation;
//   - none while it waits for one: it is parked;
//   - the owner, from when it writes the invocation to the parked connection. The connection is inline then,
//     and the owner reads the response itself: an invocation costs no hand-off between goroutines. It
//     stays inline, unread, until the owner of the next invocation reads from it what the runtime has asked
//     meanwhile, which nearly always is "next".
//
// Any number of connections may be open. One that is not inline interrupts the owner when it has news.
type session struct {
	listener net.Listener
	wake     chan struct{} // tells an owner that does not read that something has changed

	mu        sync.Mutex
	phase     phase
	exited    time.Time          // when the process had ended, or zero
	outlived  bool               // it had, and extensions go on
	conns     map[*conn]struct{} // of the runtime, or of nobody yet
	aside     map[*conn]struct{} // of extensions
	parked    *conn
	inline    *conn
	reading   *conn     // the inline connection while the owner reads it
	requestID string    // of the last delivery
	delivery  *delivery // while the runtime has it
	relay     *relay    // the response to it that the owner passes on, while it arrives
	answer    *answer   // to it, until the owner takes it

	extensions extensions
}

// newSession serves the connections of a runtime that come to a listener, which it closes.
func newSession(listener net.Listener) *session {
	s := &session{listener: listener, wake: make(chan struct{}, 1), phase: phaseStarted, conns: map[*conn]struct{}{}}
	go s.listen()
	return s
}

func (s *session) listen() {
	for {
		nc, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // the peer has gone already, or the server is out of descriptors
			<-time.After(acceptPause)
			continue
		}
		s.admit(nc)
	}
}

// admit serves a new connection, unless there are too many.
func (s *session) admit(nc net.Conn) { s.add(newConn(nc)) }

// admitInherited serves the connection that a bootstrap has inherited.
func (s *session) admitInherited(nc net.Conn) {
	c := newConn(nc)
	c.inherited = true
	s.add(c)
}

func (s *session) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := !s.exited.IsZero()
	if gone && !s.outlived || len(s.conns)+len(s.aside) >= maxConns {
		_ = c.nc.Close()
		return
	}
	if gone {
		_ = c.nc.SetDeadline(time.Now().Add(strayTime)) // if it fails, the connection is closed
	}
	s.conns[c] = struct{}{}
	go s.serve(c)
}

// serve reads a connection until it is parked or closed.
func (s *session) serve(c *conn) {
	c.resume()
	c.limit(time.Time{}, time.Time{})
	if c.flush() != nil {
		s.drop(c)
		return
	}
	for {
		if err := c.readHead(); err != nil {
			s.refuse(c, err)
			return
		}
		if !s.handle(c) {
			return
		}
	}
}

// drop closes a connection.
func (s *session) drop(c *conn) {
	_ = c.nc.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	delete(s.aside, c)
	if s.parked == c {
		s.parked = nil
	}
	if s.inline == c {
		s.inline = nil
	}
	if s.relay != nil && s.relay.conn == c {
		s.relay = nil
	}
	if !s.exited.IsZero() {
		s.notify(c)
	}
}

// notify tells the owner that something has changed on a connection, unless the owner has brought the
// change about itself. The caller holds s.mu.
func (s *session) notify(c *conn) {
	if s.reading != nil {
		if s.reading == c {
			return
		}
		s.reading.interrupt()
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// awaitReady returns when the runtime has asked for an invocation or has reported that it failed to initialise.
// Like awaitAnswer it returns errTime at until and errExited when the process has ended and all that it had
// sent has been read. Only the owner of the environment calls them.
func (s *session) awaitReady(until time.Time) error {
	return s.await(until, func() bool { return s.phase == phaseReady || s.phase == phaseInitError })
}

// awaitAnswer returns when the runtime has answered the last delivery.
func (s *session) awaitAnswer(until time.Time) error {
	return s.await(until, func() bool { return s.answer != nil })
}

func (s *session) await(until time.Time, done func() bool) error {
	var timer *time.Timer
	for expired := false; ; {
		s.mu.Lock()
		gone := !s.exited.IsZero()
		switch {
		case done():
			s.mu.Unlock()
			return nil
		case gone && len(s.conns) == 0:
			s.mu.Unlock()
			return errExited
		case expired:
			s.mu.Unlock()
			return errTime
		}
		c, r := s.inline, s.relay
		if r != nil {
			c = r.conn
			s.own(c)
		}
		if c != nil {
			s.reading = c
			c.resume()
			if r != nil || !c.pending() {
				now, limit := time.Now(), until
				if gone {
					limit = s.exited.Add(strayTime)
				}
				c.limit(limit, now)
			}
		}
		s.mu.Unlock()
		switch {
		case r != nil:
			expired = s.pass(r, gone)
			continue
		case c != nil:
			expired = s.readInline(c, gone)
			continue
		}
		if timer == nil {
			timer = time.NewTimer(time.Until(until))
			defer timer.Stop()
		}
		select {
		case <-s.wake:
		case <-timer.C:
			expired = true
		}
	}
}

// readInline handles one request from the inline connection, or none if another connection has news. It
// reports whether the time of the connection is over; if the process is gone, that ends the connection.
func (s *session) readInline(c *conn, gone bool) (expired bool) {
	var err error
	if !c.pending() {
		err = c.flush()
	}
	if err == nil {
		err = c.readHead()
	}
	if err == nil {
		s.handle(c)
	}
	s.mu.Lock()
	s.reading = nil
	s.mu.Unlock()
	switch {
	case err == nil:
	case !errors.Is(err, os.ErrDeadlineExceeded):
		s.refuse(c, err)
	case c.interrupted.Load():
	case gone:
		s.drop(c)
	default:
		return true
	}
	return false
}

// deliver gives an invocation to the runtime. It reports false if there is no runtime that waits for one.
func (s *session) deliver(d *delivery) bool {
	s.mu.Lock()
	c := s.parked
	if c == nil || s.phase != phaseReady {
		s.mu.Unlock()
		return false
	}
	s.parked = nil
	s.phase = phaseRunning
	s.requestID, s.delivery, s.answer = d.RequestID, d, nil
	s.own(c)
	s.mu.Unlock()
	closing := c.req.closing
	// If the client has closed the connection meanwhile, it gets the invocation when it asks again.
	c.limit(d.deadline, time.Now())
	if c.sendInvocation(d) != nil || closing {
		s.drop(c)
	}
	return true
}

// own makes c the inline connection. The caller holds s.mu.
func (s *session) own(c *conn) {
	if before := s.inline; before != nil && before != c {
		go s.serve(before)
	}
	s.inline = c
}

// take returns the answer to the last delivery, or the error that the initialisation ended with. An idle
// environment does not hold on to it.
func (s *session) take() *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.answer
	s.answer = nil
	return a
}

// acknowledge sends the acknowledgement of the response, unless the runtime has asked for the next
// invocation without waiting for it: then both are sent together.
func (s *session) acknowledge() {
	s.mu.Lock()
	c := s.inline
	if c != nil && c != s.parked && len(s.extensions.list) > 0 {
		// An extension in the runtime's process may use the connection, and the owner will not read it soon.
		s.inline = nil
		s.mu.Unlock()
		go s.serve(c)
		return
	}
	s.mu.Unlock()
	if c != nil && !c.pending() && c.flush() != nil {
		s.drop(c)
	}
}

// exit says that the process has ended. What it has sent is still read. Extensions that outlive it are served on.
func (s *session) exit() {
	outlived := len(s.extensions.external()) > 0
	if !outlived {
		_ = s.listener.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outlived = outlived
	s.exited = time.Now()
	if s.parked != nil {
		delete(s.conns, s.parked)
		_ = s.parked.nc.Close()
		s.parked = nil
	}
	for c := range s.conns {
		if c != s.inline {
			_ = c.nc.SetDeadline(s.exited.Add(strayTime)) // if it fails, the connection is closed
		}
	}
	s.notify(nil)
}

// close closes what is still open after the process has ended.
func (s *session) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conns := range []map[*conn]struct{}{s.conns, s.aside} {
		for c := range conns {
			_ = c.nc.Close()
		}
		clear(conns)
	}
}
