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

	"serin"
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
func streaming(t *testing.T, c *caller, test func(t *testing.T, s *session, p *peer, answered <-chan error)) *delivery {
	t.Helper()
	s := bubbleSession(t)
	p := connect(t, s)
	p.next()
	wantReady(t, s)
	d := deliverStream(t, s, c)
	answered := make(chan error, 1)
	go func() { answered <- s.awaitAnswer(d.deadline) }()
	p.want("200[1 {}]")
	test(t, s, p, answered)
	return d
}

func TestStreamIsPassedOnAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &caller{}
		d := streaming(t, c, func(t *testing.T, s *session, p *peer, answered <-chan error) {
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
				streaming(t, c, func(t *testing.T, s *session, p *peer, answered <-chan error) {
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
		streaming(t, c, func(t *testing.T, s *session, p *peer, answered <-chan error) {
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
		streaming(t, c, func(t *testing.T, s *session, p *peer, answered <-chan error) {
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
		streaming(t, c, func(t *testing.T, s *session, p *peer, answered <-chan error) {
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

// streamCase is a streaming invocation of a function and what becomes of it.
type streamCase struct {
	name    string
	spec    *Spec
	payload string
	timeout time.Duration

	got         string // by the caller
	contentType string
	outcome     serin.Outcome
	errType     string // Result.ErrorType
	whole       bool   // the response came as a whole
	payloadHas  string
}

func (c *streamCase) run(t *testing.T, e *Executor) {
	t.Helper()
	s := *c.spec
	s.Revision = t.Name()
	if c.timeout != 0 {
		s.Timeout = c.timeout
	}
	to := &caller{}
	r, err := e.Invoke(t.Context(), &s, &Invocation{RequestID: testID, Payload: []byte(c.payload), Tail: true, Stream: to.begin})
	if err != nil {
		t.Fatal(err)
	}
	if got := to.text(); got != c.got || r.Streamed == c.whole {
		t.Errorf("got %.200q (streamed: %v), want %.200q", got, r.Streamed, c.got)
	}
	if r.Outcome != c.outcome || c.errType != "" && r.ErrorType != c.errType || !strings.Contains(string(r.Payload), c.payloadHas) {
		t.Errorf("%v %q %s, want %v %q with %q", r.Outcome, r.ErrorType, r.Payload, c.outcome, c.errType, c.payloadHas)
	}
	if c.contentType != to.head.ContentType {
		t.Errorf("content type %q, want %q", to.head.ContentType, c.contentType)
	}
	if !strings.Contains(string(r.Tail), "REPORT RequestId: "+testID) {
		t.Errorf("no report in the log")
	}
	if t.Failed() {
		t.Logf("log:\n%s", r.Tail)
		return
	}
	if c.outcome == serin.OutcomeOK || c.outcome == serin.OutcomeFunctionError { // the environment is of use afterwards
		again, err := e.Invoke(t.Context(), &s, &Invocation{RequestID: testID, Payload: []byte(c.payload), Stream: to.begin})
		if err != nil || again.Cold || again.Outcome != c.outcome || to.text() != c.got+c.got {
			t.Errorf("the second time: %+v, %v", again, err)
		}
	}
}

const httpIntegration = "application/vnd.awslambda.http-integration-response"

func TestStreamNode(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "nodejs20.x")
	spec := nodeSpec(t, `
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  switch (event.do) {
    case 'write': stream.setContentType('text/plain'); stream.write('one '); stream.write(Buffer.from('two ')); stream.write({three: 3}); stream.end(); return;
    case 'http': {
      stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'x-a': 'b' } });
      stream.write('body'); stream.end(); return;
    }
    case 'only metadata': awslambda.HttpResponseStream.from(stream, { statusCode: 204 }).end(); return;
    case 'nothing': stream.end(); return;
    case 'early': throw new TypeError('early');
    case 'late': stream.write('begun'); throw new TypeError('late');
    case 'later': stream.write('begun'); await new Promise((r) => setImmediate(r)); throw new TypeError('later');
    case 'pipeline': await pipeline(Readable.from(['a', 'b', 'c']), stream); return;
    case 'broken pipeline': await pipeline((async function* () { yield 'begun'; throw new RangeError('source'); })(), stream); return;
    case 'too late': stream.write('begun'); try { stream.setContentType('x/y'); } catch (e) { stream.write(' ' + e.name); } stream.end(); return;
    case 'large': for (let i = 0; i < 64; i++) { if (!stream.write('x'.repeat(65536))) await new Promise((r) => stream.once('drain', r)); } stream.end(); return;
    case 'unfinished': stream.write('begun'); return;
    case 'uncaught': stream.write('begun'); setImmediate(() => { throw new Error('nobody'); }); await new Promise(() => {}); return;
    case 'exit': stream.write('begun'); setTimeout(() => process.exit(3), 20); await new Promise(() => {}); return;
    case 'timeout': stream.write('begun'); setInterval(() => {}, 1000); await new Promise(() => {}); return;
  }
}, { highWaterMark: 1000 });
exports.plain = async (event) => event;
exports.sync = awslambda.streamifyResponse((event, stream) => { stream.write('x'); stream.end(); });`)
	plain, sync := *spec, *spec
	plain.Handler, sync.Handler = "index.plain", "index.sync"
	const octets = "application/octet-stream"
	for _, c := range []streamCase{
		{name: "write", got: `one two {"three":3}`, contentType: "text/plain"},
		{name: "http", got: `{"statusCode":201,"headers":{"x-a":"b"}}` + "\x00\x00\x00\x00\x00\x00\x00\x00body", contentType: httpIntegration},
		{name: "only metadata", got: `{"statusCode":204}` + "\x00\x00\x00\x00\x00\x00\x00\x00", contentType: httpIntegration},
		{name: "nothing", contentType: octets},
		{name: "early", whole: true, outcome: serin.OutcomeFunctionError, payloadHas: `"errorType":"TypeError","errorMessage":"early"`},
		{name: "late", got: "begun", contentType: octets, outcome: serin.OutcomeFunctionError, errType: "TypeError", payloadHas: `"errorMessage":"late"`},
		{name: "later", got: "begun", contentType: octets, outcome: serin.OutcomeFunctionError, errType: "TypeError", payloadHas: `"errorMessage":"later"`},
		{name: "pipeline", got: "abc", contentType: octets},
		{name: "broken pipeline", got: "begun", contentType: octets, outcome: serin.OutcomeFunctionError, errType: "RangeError", payloadHas: `"errorMessage":"source"`},
		{name: "too late", got: "begun Runtime.InvalidStreamingOperation", contentType: octets},
		{name: "large", got: strings.Repeat("x", 64*65536), contentType: octets},
		{name: "unfinished", got: "begun", contentType: octets, outcome: serin.OutcomeFunctionError, errType: "Error", payloadHas: "Response stream is not finished."},
		{name: "exit", got: "begun", contentType: octets, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError", payloadHas: "exit status 3"},
		{name: "timeout", timeout: 500 * time.Millisecond, got: "begun", contentType: octets, outcome: serin.OutcomeTimeout, errType: "Sandbox.Timedout", payloadHas: "Task timed out after 0.50 seconds"},
		{name: "plain", spec: &plain, whole: true, payloadHas: `{"do":"plain"}`},
		{name: "sync", spec: &sync, got: "x", contentType: octets, outcome: serin.OutcomeFunctionError, errType: "Error", payloadHas: "Streaming does not support non-async handlers."},
	} {
		if c.spec == nil {
			c.spec = spec
		}
		c.payload = `{"do":"` + c.name + `"}`
		t.Run(c.name, func(t *testing.T) { c.run(t, e) })
	}
	t.Run("uncaught", func(t *testing.T) {
		s := *spec
		s.Revision = t.Name()
		to := &caller{}
		r, err := e.Invoke(t.Context(), &s, &Invocation{RequestID: testID, Payload: []byte(`{"do":"uncaught"}`), Stream: to.begin})
		if err != nil || to.text() != "begun" || r.ErrorType != "Error" || !strings.Contains(string(r.Payload), `"errorMessage":"nobody"`) {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("buffered", func(t *testing.T) {
		s := *spec
		s.Revision = t.Name()
		r := invoke(t, e, &s, `{"do":"http"}`)
		if r.ContentType != httpIntegration || !strings.HasSuffix(string(r.Payload), "\x00body") || r.Streamed {
			t.Errorf("%+v", r)
		}
		if r := invoke(t, e, &s, `{"do":"late"}`); r.Outcome != serin.OutcomeFunctionError || !strings.Contains(string(r.Payload), `"late"`) {
			t.Errorf("%+v", r)
		}
	})
}

func TestStreamPython(t *testing.T) {
	e := newExecutor(t, Config{})
	needInterpreter(t, e, "python3.11")
	spec := pythonSpec(t, `
import asyncio, os, time
def handler(event, context):
    do = event["do"]
    if do == "plain":
        return event
    if do == "async":
        return asynchronous()
    if do == "map":
        return map(str, [1, 2])
    return parts(do)

async def asynchronous():
    yield {"statusCode": 202}
    await asyncio.sleep(0)
    yield b"async"

def parts(do):
    if do == "early":
        raise KeyError("early")
    if do == "http":
        yield {"statusCode": 201, "cookies": ["a=b"]}
        yield "body"
        return
    if do == "nothing":
        return
    yield "begun "
    if do == "write":
        yield b"two "
        yield b""
        yield bytearray(b"three")
    if do == "late":
        raise KeyError("late")
    if do == "wrong":
        yield 5
    if do == "exit":
        os._exit(3)
    if do == "timeout":
        time.sleep(60)
`)
	const octets = "application/octet-stream"
	const null8 = "\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, c := range []streamCase{
		{name: "write", got: "begun two three", contentType: octets},
		{name: "http", got: `{"statusCode": 201, "cookies": ["a=b"]}` + null8 + "body", contentType: httpIntegration},
		{name: "async", got: `{"statusCode": 202}` + null8 + "async", contentType: httpIntegration},
		{name: "map", got: "12", contentType: octets},
		{name: "nothing", contentType: octets},
		{name: "early", whole: true, outcome: serin.OutcomeFunctionError, payloadHas: `"errorType": "KeyError"`},
		{name: "late", got: "begun ", contentType: octets, outcome: serin.OutcomeFunctionError, errType: "KeyError", payloadHas: `"errorMessage": "'late'"`},
		{name: "wrong", got: "begun ", contentType: octets, outcome: serin.OutcomeFunctionError, errType: "Runtime.MarshalError", payloadHas: "type int"},
		{name: "exit", got: "begun ", contentType: octets, outcome: serin.OutcomeCrash, errType: "Runtime.ExitError"},
		{name: "timeout", timeout: 500 * time.Millisecond, got: "begun ", contentType: octets, outcome: serin.OutcomeTimeout, errType: "Sandbox.Timedout"},
		{name: "plain", whole: true, payloadHas: `{"do": "plain"}`},
	} {
		c.spec, c.payload = spec, `{"do":"`+c.name+`"}`
		t.Run(c.name, func(t *testing.T) { c.run(t, e) })
	}
}

func TestStreamGo(t *testing.T) {
	e := newExecutor(t, Config{})
	spec := goSpec(t)
	for _, c := range []streamCase{
		{name: "reader", got: "one two ", contentType: "application/octet-stream"},
		{name: "http", got: `{"statusCode":201,"headers":{"X-A":"b"},"cookies":["c=d"]}` + "\x00\x00\x00\x00\x00\x00\x00\x00body", contentType: httpIntegration},
		{name: "breakoff", got: `"part of`, contentType: "application/octet-stream", outcome: serin.OutcomeFunctionError, errType: "errorString", payloadHas: `"errorMessage":"broke off"`},
		{name: "echo", whole: true, payloadHas: `{"a":1}`},
		{name: "error", whole: true, outcome: serin.OutcomeFunctionError, payloadHas: "errorMessage"},
	} {
		c.spec, c.payload = spec, `{"do":"`+c.name+`","n":201,"echo":{"a":1}}`
		t.Run(c.name, func(t *testing.T) { c.run(t, e) })
	}
}
