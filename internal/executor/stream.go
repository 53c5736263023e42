package executor

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxStream is the largest response that is passed on while the function writes it, in bytes: 200 MiB, as on AWS
// since August 2025. AWS slows a response down after its first 6 MB; Serin does not.
const maxStream = 200 << 20

// ResponseHead is what is known of a response before its first byte.
type ResponseHead struct {
	ContentType string // as the runtime announces it
	// Deadline is when the function's time is over. Whoever takes the response must not hold it up for longer.
	Deadline time.Time
}

// relay is a response on its way from a connection to the caller, while the function writes it.
type relay struct {
	conn    *conn
	to      *delivery
	out     io.Writer // what the caller has given; nil when it takes no more
	started bool
	size    int // what has been read, in bytes
}

// claim makes the response whose head has been read one that is passed on while it arrives, if the caller takes
// it like that. The owner does so, whichever goroutine has read the head: see await.
func (s *session) claim(c *conn, id []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.delivery
	if d == nil || d.Stream == nil || string(id) != s.requestID || !c.req.streams() {
		return false
	}
	s.phase = phaseResponding
	s.delivery, s.relay = nil, &relay{conn: c, to: d}
	s.notify(c)
	return true
}

// streams reports whether a function writes a response piece by piece: the runtime says so, or, like aws-lambda-go,
// it does not know the length of something that is no JSON.
func (r *request) streams() bool {
	return r.responseMode == "streaming" || r.responseMode == "" && r.chunked && r.contentType != jsonType
}

// pass reads what there is of a response, waiting for at least a byte, and gives it to the caller. It reports
// whether the time of the connection is over. Only the owner calls it, from await.
func (s *session) pass(r *relay, gone bool) (expired bool) {
	c := r.conn
	buf, _ := buffers.Get().(*buffer) // nothing else is put there
	defer buffers.Put(buf)
	err := r.start()
	n := 0
	if err == nil {
		n, err = c.readPart(buf[:])
	}
	s.mu.Lock()
	s.reading = nil
	s.mu.Unlock()
	r.size += n
	r.write(buf[:n-max(0, min(n, r.size-maxStream))])
	switch {
	case r.size > maxStream:
		s.conclude(r, &answer{payload: tooLargeStreamPayload, failed: true, errorType: responseTooLarge})
		s.finishTooLarge(c)
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded) && c.interrupted.Load():
	case errors.Is(err, errBodyEnd):
		s.conclude(r, c.streamAnswer())
		c.out = append(c.out, acknowledgement...) // the owner sends it when it has what it waits for
		if c.req.closing {
			s.finish(c, nil)
		}
	case !errors.Is(err, os.ErrDeadlineExceeded):
		s.refuse(c, err)
		s.truncate(r)
	case gone:
		s.drop(c)
	default:
		return true
	}
	return false
}

// start tells the caller that the response begins.
func (r *relay) start() error {
	if r.started {
		return nil
	}
	r.started, r.to.begun = true, true
	r.out = r.to.Stream(ResponseHead{ContentType: r.conn.req.contentType, Deadline: r.to.deadline})
	if r.conn.req.expect {
		r.conn.req.expect = false
		r.conn.out = append(r.conn.out, replyContinue...)
	}
	return r.conn.flush()
}

// write gives the caller a piece. One that has gone away or is too slow takes nothing more; the function goes on.
func (r *relay) write(piece []byte) {
	if r.out == nil || len(piece) == 0 {
		return
	}
	if _, err := r.out.Write(piece); err != nil {
		r.out = nil
	}
}

// conclude makes a the answer to the delivery of a response.
func (s *session) conclude(r *relay, a *answer) {
	a.contentType = r.conn.req.contentType
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phaseResponseSent
	s.relay, s.answer = nil, a
}

// truncate ends a response whose connection has broken: because the process has ended, which shows
// a moment later, or, if that does not show, because the runtime is broken.
func (s *session) truncate(r *relay) {
	timer := time.NewTimer(strayTime)
	defer timer.Stop()
	for {
		s.mu.Lock()
		gone := !s.exited.IsZero()
		s.mu.Unlock()
		if gone {
			return
		}
		select {
		case <-s.wake:
		case <-timer.C:
			s.conclude(r, &answer{failed: true, broken: true, errorType: "Runtime.TruncatedResponse"})
			return
		}
	}
}

// streamAnswer returns what the trailers of a response that has been passed on say of its end.
func (c *conn) streamAnswer() *answer {
	if c.req.lateError == "" {
		return &answer{}
	}
	return &answer{payload: c.req.lateErrorBody(), failed: true, errorType: c.req.lateError}
}

// lateErrorBody returns the error that trailers tell of.
func (r *request) lateErrorBody() []byte {
	body, err := base64.StdEncoding.DecodeString(r.lateBody)
	if err != nil || len(body) == 0 {
		return errorPayload(r.lateError, "")
	}
	return body
}

var tooLargeStreamPayload = errorPayload(responseTooLarge,
	fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxStream))

// errBodyEnd says that a body has been read to its end.
var errBodyEnd = errors.New("end of the body")

// readPart reads into p what has come of the body, at least a byte, or nothing and why there is no more:
// [errBodyEnd] after all of it, with its trailers. After a timeout it can be called again.
func (c *conn) readPart(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		switch {
		case c.req.length > 0:
			if n > 0 && c.r == c.w {
				return n, nil // what follows has not come yet
			}
			var k int
			k, err = c.readSome(p[n:min(int64(len(p)), int64(n)+c.req.length)])
			n += k
			c.req.length -= int64(k)
		case !c.req.chunked:
			err = errBodyEnd
		case n > 0 && !c.hasLine():
			return n, nil
		case c.req.inChunk:
			if err = c.chunkEnd(); err == nil {
				c.req.inChunk = false
			}
		case c.req.inTrailers:
			if err = c.trailers(); err == nil {
				err = errBodyEnd
			}
		default:
			var size int
			if size, err = c.chunkSize(); err == nil {
				c.req.length, c.req.inChunk, c.req.inTrailers = int64(size), size > 0, size == 0
			}
		}
	}
	return n, err
}

// readSome reads into p from the buffer, or from the connection if that is empty.
func (c *conn) readSome(p []byte) (int, error) {
	if c.r == c.w {
		n, err := c.Read(p)
		if n > 0 {
			err = nil // it shows again
		}
		return n, err
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}
