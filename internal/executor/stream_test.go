package executor

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// caller is one that takes a response as it comes.
type caller struct {
	mu    sync.Mutex
	head  ResponseHead
	begun int
	got   bytes.Buffer
	sizes []int
	fail  int           // refuse everything after so many bytes, if not 0
	taken chan struct{} // takes a token for every piece, if not nil
}

func (c *caller) begin(h ResponseHead) io.Writer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = h
	c.begun++
	return c
}

func (c *caller) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail > 0 && c.got.Len() >= c.fail {
		return 0, errors.New("gone")
	}
	c.sizes = append(c.sizes, len(p))
	c.got.Write(p)
	if c.taken != nil {
		c.taken <- struct{}{}
	}
	return len(p), nil
}

func (c *caller) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

// deliverStream gives a streaming invocation to the runtime, which has 1 s for it.
func deliverStream(t *testing.T, s *session, c *caller) *delivery {
	t.Helper()
	d := &delivery{Invocation: &Invocation{RequestID: "1", Payload: []byte("{}"), Stream: c.begin}, deadline: time.Now().Add(time.Second)}
	if !s.deliver(d) {
		t.Fatal("the runtime is not ready")
	}
	return d
}

const streamHead = "POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nContent-Type: text/plain\r\n" +
	"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"

func chunk(s string) string { return strconv.FormatInt(int64(len(s)), 16) + "\r\n" + s + "\r\n" }

// streaming runs a test on a session with a streaming invocation. The test ends with what the owner has waited for.
func streaming(t *testing.T, c *caller, test func(s *session, p *peer, answered <-chan error)) *delivery {
	t.Helper()
	s := bubbleSession(t)
	p := connect(t, s)
	p.next()
	wantReady(t, s)
	d := deliverStream(t, s, c)
	answered := make(chan error, 1)
	go func() { answered <- s.awaitAnswer(d.deadline) }()
	p.want("200[1 {}]")
	test(s, p, answered)
	return d
}

func TestStreamIsPassedOnAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{}
		d := streaming(t, c, func(s *session, p *peer, answered <-chan error) {
			p.send("%s", streamHead)
			if c.begun != 1 || c.head.ContentType != "text/plain" || c.head.Deadline.IsZero() {
				t.Errorf("begun %d times with %+v", c.begun, c.head)
			}
			for i, piece := range []string{"first", "\r\n\r\n", "third"} {
				text := chunk(piece)
				// Every byte by itself: a chunk may be cut anywhere.
				for j := range len(text) {
					p.send("%s", text[j:j+1])
				}
				if got := c.text(); !strings.HasSuffix(got, piece) {
					t.Fatalf("piece %d: got %q", i, got)
				}
			}
			p.send("%s", chunk("a")+chunk("b")+chunk("c"))
			if got := c.sizes[len(c.sizes)-1]; got != 3 {
				t.Errorf("what came together was passed on as pieces of %v", c.sizes)
			}
			p.send("0\r\n")
			select {
			case err := <-answered:
				t.Fatalf("answered before the trailers: %v", err)
			default:
			}
			p.send("\r\n%s", nextRequest)
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
			if a := s.take(); a.failed || a.payload != nil || a.contentType != "text/plain" {
				t.Errorf("answer %+v", a)
			}
			s.acknowledge()
			wantReady(t, s)
			deliverTo(t, s, "2", "again")
			p.want("202 200[2 again]")
		})
		if !d.begun || c.text() != "first\r\n\r\nthirdabc" {
			t.Errorf("begun %v, got %q", d.begun, c.text())
		}
	})
}

func TestStreamEndsBadly(t *testing.T) {
	type end struct {
		name, send string
		close      bool // the connection, without ending the process
		exit       bool
		err        error
		answer     answer
		replies    string
	}
	for _, e := range []end{
		{
			name: "trailers", send: "0\r\nLambda-Runtime-Function-Error-Type: Broken\r\nLambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n",
			answer: answer{payload: []byte(`{"a":1}`), failed: true, errorType: "Broken"},
		},
		{
			name: "trailers without an error", send: "0\r\nLambda-Runtime-Function-Error-Type: Broken\r\n\r\n",
			answer: answer{payload: []byte(`{"errorType":"Broken","errorMessage":""}`), failed: true, errorType: "Broken"},
		},
		{name: "truncated", close: true, answer: answer{failed: true, broken: true, errorType: "Runtime.TruncatedResponse"}, replies: "closed"},
		{
			name: "malformed", send: "zz\r\n",
			answer: answer{failed: true, broken: true, errorType: "Runtime.TruncatedResponse"}, replies: "400 closed",
		},
		{name: "exit", exit: true, close: true, err: errExited, replies: "closed"},
		{name: "exit while something holds the connection", exit: true, err: errExited, replies: "closed"},
		{name: "timeout", err: errTime},
	} {
		t.Run(e.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &caller{}
				streaming(t, c, func(s *session, p *peer, answered <-chan error) {
					p.send("%s", streamHead+chunk("begun"))
					other := connect(t, s)
					other.send("%s", response("1", "another")) // is too late
					other.want("403")
					other.next()
					other.want("403")
					p.send("%s", e.send)
					if e.close {
						_ = p.c.Close()
					}
					if e.exit {
						_ = other.c.Close()
						s.exit()
					}
					if err := <-answered; !errors.Is(err, e.err) {
						t.Fatalf("awaitAnswer: %v, want %v", err, e.err)
					}
					if e.err == nil {
						a := s.take()
						a.contentType = ""
						if string(a.payload) != string(e.answer.payload) || a.failed != e.answer.failed || a.broken != e.answer.broken || a.errorType != e.answer.errorType {
							t.Errorf("answer %+v, want %+v", a, e.answer)
						}
					}
					p.want(e.replies)
				})
				if c.text() != "begun" {
					t.Errorf("the caller got %q", c.text())
				}
			})
		})
	}
}

func TestStreamOnAnotherConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{}
		streaming(t, c, func(s *session, p *peer, answered <-chan error) {
			second := connect(t, s)
			second.send("%s", streamHead+chunk("here"))
			if c.text() != "here" {
				t.Fatalf("got %q", c.text())
			}
			p.next() // too early, on the connection that had the invocation
			p.want("403")
			second.send("0\r\n\r\n")
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
			s.acknowledge()
			second.want("202")
			p.next()
			wantReady(t, s)
		})
	})
}

func TestStreamToACallerThatHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{fail: 1}
		streaming(t, c, func(s *session, p *peer, answered <-chan error) {
			p.send("%s", streamHead+chunk("x"))
			for range 100 {
				p.send("%s", chunk("lost"))
			}
			p.send("0\r\n\r\n")
			if err := <-answered; err != nil || s.take().failed {
				t.Errorf("the function was disturbed: %v", err)
			}
		})
		if c.text() != "x" {
			t.Errorf("got %q", c.text())
		}
	})
}

// TestStreamWaitsForItsCaller shows that a runtime cannot write ahead of its caller.
func TestStreamWaitsForItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{taken: make(chan struct{})}
		streaming(t, c, func(s *session, p *peer, answered <-chan error) {
			p.write("%s", streamHead+chunk("a"))
			synctest.Wait() // the caller has not taken the first piece
			p.write("%s", chunk("b"))
			synctest.Wait()
			s.mu.Lock()
			r := s.relay
			s.mu.Unlock()
			if r.size != 1 {
				t.Errorf("%d bytes were read ahead", r.size-1)
			}
			<-c.taken
			<-c.taken
			p.write("0\r\n\r\n")
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	})
}

func TestStreamIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		total := 0
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		d := &delivery{Invocation: &Invocation{RequestID: "1", Stream: func(ResponseHead) io.Writer {
			return writerFunc(func(b []byte) (int, error) { total += len(b); return len(b), nil })
		}}, deadline: time.Now().Add(time.Second)}
		s.deliver(d)
		answered := make(chan error, 1)
		go func() { answered <- s.awaitAnswer(d.deadline) }()
		p.want("200[1 ]")
		p.write("%s%x\r\n", streamHead, maxStream+10)
		piece := strings.Repeat("x", 1<<20)
		for range maxStream / len(piece) {
			p.send("%s", piece)
		}
		p.send("%s", "0123456789\r\n")
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if a := s.take(); !a.failed || a.errorType != "Function.ResponseSizeTooLarge" || total != maxStream {
			t.Errorf("%d bytes were passed on, then %+v", total, a)
		}
		p.send("0\r\n\r\n%s", nextRequest)
		p.want("413")
		wantReady(t, s)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
