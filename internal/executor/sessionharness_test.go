package executor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// closedListener is a listener whose connections the test makes.
type closedListener struct{ net.Listener }

func (closedListener) Close() error { return nil }

// bubbleSession returns a session whose process ends with the synctest bubble.
func bubbleSession(t *testing.T) *session {
	t.Helper()
	s := &session{listener: closedListener{}, wake: make(chan struct{}, 1), phase: phaseStarted, conns: map[*conn]struct{}{}}
	s.extensions.spec = &Spec{Function: "f", Version: "1", Handler: "h"}
	t.Cleanup(func() {
		s.exit()
		s.close()
	})
	return s
}

// peer is the runtime's end of a connection.
type peer struct {
	t    *testing.T
	c    net.Conn
	mu   sync.Mutex
	got  []byte
	over bool // the server has closed the connection
}

func connect(t *testing.T, s *session) *peer {
	t.Helper()
	return connectBy(t, s.admit)
}

func connectBy(t *testing.T, admit func(net.Conn)) *peer {
	t.Helper()
	ours, theirs := newMemConns()
	p := &peer{t: t, c: theirs}
	admit(ours)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := theirs.Read(buf)
			p.mu.Lock()
			p.got = append(p.got, buf[:n]...)
			p.over = err != nil
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { theirs.Close() })
	return p
}

// send sends, and waits until the server has done what it can with it. Only the goroutine of the test may call it.
func (p *peer) send(format string, args ...any) {
	p.write(format, args...)
	synctest.Wait()
}

func (p *peer) write(format string, args ...any) { _, _ = fmt.Fprintf(p.c, format, args...) }

const nextRequest = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n"

func (p *peer) next() { p.send(nextRequest) }

func (p *peer) respond(id, body string) { p.send("%s", response(id, body)) }

func response(id, body string) string {
	return fmt.Sprintf("POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
}

// replies takes what has arrived, as status codes, with the payload of an invocation in brackets.
func (p *peer) replies() string {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	r := bufio.NewReader(bytes.NewReader(p.got))
	for {
		if text := compactReply(p.t, r); text != "" {
			all = append(all, text)
			continue
		}
		reply, err := http.ReadResponse(r, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			p.t.Fatalf("reply %q: %v", p.got, err)
		}
		body, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		if err != nil {
			p.t.Fatalf("reply %q: %v", p.got, err)
		}
		text := strconv.Itoa(reply.StatusCode)
		if id := reply.Header.Get("Lambda-Runtime-Aws-Request-Id"); id != "" {
			text += "[" + id + " " + string(body) + "]"
		}
		all = append(all, text)
	}
	p.got = nil
	if p.over {
		all = append(all, "closed")
	}
	return strings.Join(all, " ")
}

// compactReply takes an invocation in the compact form, if that comes next.
func compactReply(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	head, err := r.Peek(9)
	if err != nil || head[0] != compactAnswer {
		return ""
	}
	text := make([]byte, binary.LittleEndian.Uint32(head[1:]))
	payload := make([]byte, binary.LittleEndian.Uint32(head[5:]))
	for _, part := range [][]byte{make([]byte, 9), text, payload} {
		if _, err := io.ReadFull(r, part); err != nil {
			t.Fatal(err)
		}
	}
	fields := strings.Split(string(text), "\n")
	if len(fields) != 6 {
		t.Fatalf("the head of an invocation: %q", text)
	}
	return "compact[" + fields[1] + " " + string(payload) + "]"
}

func (p *peer) want(replies string) {
	p.t.Helper()
	if got := p.replies(); got != replies {
		p.t.Fatalf("replies %q, want %q", got, replies)
	}
}

// deliverTo gives an invocation to the runtime, which has 1 s for it.
func deliverTo(t *testing.T, s *session, id, payload string) time.Time {
	t.Helper()
	deadline := time.Now().Add(time.Second)
	if !s.deliver(&delivery{Invocation: &Invocation{RequestID: id, Payload: []byte(payload)}, deadline: deadline}) {
		t.Fatal("the runtime is not ready")
	}
	return deadline
}

func wantReady(t *testing.T, s *session) {
	t.Helper()
	if err := s.awaitReady(time.Now().Add(time.Second)); err != nil {
		t.Fatalf("awaitReady: %v", err)
	}
}

func wantAnswer(t *testing.T, s *session, until time.Time, payload string) {
	t.Helper()
	if err := s.awaitAnswer(until); err != nil {
		t.Fatalf("awaitAnswer: %v", err)
	}
	if got := string(s.take().payload); got != payload {
		t.Fatalf("answer %.100q, want %.100q", got, payload)
	}
}
