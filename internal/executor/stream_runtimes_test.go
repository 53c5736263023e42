package executor

import (
	"strings"
	"testing"
	"time"

	"serin"
)

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
