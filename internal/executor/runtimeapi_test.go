package executor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSessionKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		if err := s.awaitReady(time.Now().Add(time.Second)); !errors.Is(err, errTime) {
			t.Fatalf("awaitReady: %v", err)
		}
		p.next()
		for i := range 3 {
			id := strconv.Itoa(i)
			wantReady(t, s)
			until := deliverTo(t, s, id, `"in"`)
			p.want("200[" + id + ` "in"]`)
			p.respond(id, "out"+id)
			wantAnswer(t, s, until, "out"+id)
			p.want("")
			s.acknowledge()
			p.want("202")
			p.next()
			time.Sleep(time.Hour) // deadlines of the past do no harm
		}
	})
}

func TestSessionPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		for range 3 {
			wantReady(t, s)
			until := deliverTo(t, s, "i", "1")
			p.send("POST /2018-06-01/runtime/invocation/i/response HTTP/1.1\r\nContent-Length: 1\r\n\r\n2GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n")
			wantAnswer(t, s, until, "2")
			s.acknowledge()
		}
		// An acknowledgement comes with the next invocation.
		p.want("200[i 1] 202 200[i 1] 202 200[i 1]")
		wantReady(t, s)
		deliverTo(t, s, "j", "3")
		p.want("202 200[j 3]")
	})
}

func TestSessionManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		// The response comes on another connection while the owner reads the one that it has delivered to.
		a := connect(t, s)
		a.next()
		wantReady(t, s)
		until := deliverTo(t, s, "1", "{}")
		b := connect(t, s)
		go b.write("%s", response("1", "one"))
		wantAnswer(t, s, until, "one")
		b.want("202")
		a.want("200[1 {}]")

		// The next request comes on a third, and the first stays open.
		c := connect(t, s)
		c.next()
		wantReady(t, s)
		until = deliverTo(t, s, "2", "{}")
		c.want("200[2 {}]")
		go a.write("%s", response("2", "two")) // on the first, which has a goroutine of its own again
		wantAnswer(t, s, until, "two")
		a.want("202")

		// It comes while the owner waits for it elsewhere.
		go func() {
			time.Sleep(time.Millisecond)
			a.write(nextRequest)
		}()
		wantReady(t, s)

		// A client that asks twice has given up the first time.
		b.next()
		a.want("closed")
		wantReady(t, s)
		until = deliverTo(t, s, "3", "{}")
		b.want("200[3 {}]")

		// A runtime that asks again while it has an invocation gets it again, on whatever connection.
		c.next()
		c.want("200[3 {}]")
		c.respond("3", "three")
		wantAnswer(t, s, until, "three")
		c.want("202")
		c.respond("3", "four")
		c.want("403")
		if a := s.take(); a != nil {
			t.Errorf("there is another answer, %s", a.payload)
		}
	})
}

func TestSessionClosedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		a := connect(t, s)
		a.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nConnection: close\r\n\r\n")
		wantReady(t, s)
		until := deliverTo(t, s, "1", "{}")
		a.want("200[1 {}] closed")
		b := connect(t, s)
		b.send("POST /2018-06-01/runtime/invocation/1/response HTTP/1.0\r\nContent-Length: 1\r\n\r\n1")
		wantAnswer(t, s, until, "1")
		b.want("202 closed")

		c := connect(t, s)
		c.next()
		wantReady(t, s)
		until = deliverTo(t, s, "2", "{}")
		c.want("200[2 {}]")
		c.send("POST /2018-06-01/runtime/invocation/2/response HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
		c.c.Close() // in the middle of the body
		d := connect(t, s)
		go d.write("%s", response("2", "2"))
		wantAnswer(t, s, until, "2")

		d.next()
		wantReady(t, s)
		d.c.Close() // while it waits
		deliverTo(t, s, "3", "{}")
		e := connect(t, s)
		e.next() // it has not got the invocation
		e.want("200[3 {}]")
	})
}

func TestSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		start := time.Now()
		until := deliverTo(t, s, "1", "{}")
		p.send("POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nContent-Le")
		if err := s.awaitAnswer(until); !errors.Is(err, errTime) || time.Since(start) != time.Second {
			t.Fatalf("awaitAnswer: %v after %v", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) { // with no connection
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		until := deliverTo(t, s, "1", "{}")
		p.c.Close()
		if err := s.awaitAnswer(until); !errors.Is(err, errTime) || !time.Now().Equal(until) {
			t.Fatalf("awaitAnswer: %v at %v", err, time.Now())
		}
	})
	synctest.Test(t, func(t *testing.T) { // a deadline that was set earlier does not cut the next one short
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		p.respondLater(s, "1", 10*time.Millisecond)
		if err := s.awaitReady(time.Now().Add(100 * time.Millisecond)); !errors.Is(err, errTime) {
			t.Fatalf("awaitReady: %v", err)
		}
		go func() {
			time.Sleep(50 * time.Millisecond)
			p.write(nextRequest)
		}()
		wantReady(t, s)
		p.respondLater(s, "2", 900*time.Millisecond)
	})
}

// respondLater answers an invocation after some time, in two pieces.
func (p *peer) respondLater(s *session, id string, d time.Duration) {
	p.t.Helper()
	until := deliverTo(p.t, s, id, "{}")
	go func() {
		time.Sleep(d)
		_, _ = fmt.Fprintf(p.c, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nContent-Length: 4\r\n\r\nla", id)
		time.Sleep(d / 10)
		_, _ = io.WriteString(p.c, "te")
	}()
	wantAnswer(p.t, s, until, "late")
	s.acknowledge()
}

func TestSessionExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it did not
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		until := deliverTo(t, s, "1", "{}")
		go func() {
			time.Sleep(time.Millisecond)
			p.c.Close()
			s.exit()
		}()
		if err := s.awaitAnswer(until); !errors.Is(err, errExited) || time.Until(until) < 900*time.Millisecond {
			t.Fatalf("awaitAnswer: %v at %v", err, time.Now())
		}
	})
	synctest.Test(t, func(t *testing.T) { // another process holds its connections open
		s := bubbleSession(t)
		p, stray := connect(t, s), connect(t, s)
		p.next()
		wantReady(t, s)
		until := deliverTo(t, s, "1", "{}")
		go func() {
			time.Sleep(time.Millisecond)
			s.exit()
		}()
		start := time.Now()
		if err := s.awaitAnswer(until); !errors.Is(err, errExited) || time.Since(start) > 2*strayTime {
			t.Fatalf("awaitAnswer: %v after %v", err, time.Since(start))
		}
		stray.want("closed")
		p.want("200[1 {}] closed")
	})
	synctest.Test(t, func(t *testing.T) { // while it was waited for
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		s.exit()
		if s.deliver(&delivery{Invocation: &Invocation{RequestID: "1"}, deadline: time.Now().Add(time.Second)}) {
			t.Error("an invocation was delivered to a process that has ended")
		}
	})
}

// TestSessionLastWords lets a runtime end that has answered: what it has sent is in the socket.
func TestSessionLastWords(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(listener)
	defer s.close()
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, nextRequest); err != nil {
		t.Fatal(err)
	}
	wantReady(t, s)
	until := deliverTo(t, s, "1", "{}")
	if _, err := io.WriteString(c, response("1", "last words")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.exit()
	wantAnswer(t, s, until, "last words")
	if err := s.awaitReady(time.Now().Add(time.Second)); !errors.Is(err, errExited) {
		t.Fatalf("awaitReady: %v", err)
	}
}

func TestSessionInitError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		go p.write("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: Function.NoStart\r\nContent-Length: 2\r\n\r\n{}")
		wantReady(t, s)
		if diff := cmp.Diff(&answer{payload: []byte("{}"), failed: true, errorType: "Function.NoStart"}, s.take(), cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		p.want("202")
		p.next()
		p.want("403")
	})
}

func TestSessionTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		until := deliverTo(t, s, "1", "{}")
		size := maxPayload + 1
		p.send("POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nContent-Length: %d\r\n\r\n", size)
		wantAnswer(t, s, until, string(tooLargeErrorPayload)) // before the body has come
		p.send("%sGET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n", strings.Repeat("x", size))
		p.want("200[1 {}] 413")
		wantReady(t, s)

		until = deliverTo(t, s, "2", "{}")
		p.send("POST /2018-06-01/runtime/invocation/2/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
		p.send("%s", strings.Repeat(chunk, 7)+"0\r\n\r\n")
		wantAnswer(t, s, until, string(tooLargeErrorPayload))
		p.next()
		wantReady(t, s)
		p.want("200[2 {}] 413")

		until = deliverTo(t, s, "3", "{}")
		p.send("POST /2018-06-01/runtime/invocation/3/response HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", size)
		wantAnswer(t, s, until, string(tooLargeErrorPayload))
		p.want("200[3 {}] 413 closed") // nobody knows whether the body will follow
	})
}

func TestSessionExpect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		p := connect(t, s)
		p.next()
		wantReady(t, s)
		until := deliverTo(t, s, "1", "{}")
		go func() {
			p.write("POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
			time.Sleep(time.Millisecond)
			p.mu.Lock()
			defer p.mu.Unlock()
			if !bytes.HasSuffix(p.got, []byte("HTTP/1.1 100 Continue\r\n\r\n")) {
				t.Errorf("the server said %q", p.got)
			}
			go p.write("ok")
		}()
		wantAnswer(t, s, until, "ok")
	})
}

func TestSessionHostile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleSession(t)
		for request, want := range map[string]string{
			"\x16\x03\x01\x02\x00\x01\x00\x01\n\n":                                                                "400 closed",
			"GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 2*maxHeader):                                            "431 closed",
			"POST /2018-06-01/other HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET /2018-06-01/ping HTTP/1.1\r\n\r\n": "404 200",
			"POST /2018-06-01/runtime/invocation//response HTTP/1.1\r\nContent-Length: 2\r\n\r\nab":               "400",
			"POST /2018-06-01/runtime/invocation/a/b/response HTTP/1.1\r\nContent-Length: 2\r\n\r\nab":            "404",
			"POST /2018-06-01/runtime/invocation/x/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": "400 closed",
		} {
			p := connect(t, s)
			p.send("%s", request)
			if got := p.replies(); got != want {
				t.Errorf("replies to %.60q: %q, want %q", request, got, want)
			}
		}
		for range maxConns {
			connect(t, s)
		}
		connect(t, s).want("closed")
	})
}
