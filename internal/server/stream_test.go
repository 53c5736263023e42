package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// streamed writes its answer piece by piece, as the event or the path of the request says.
const streamed = `
import time
def handler(event, context):
    do = event.get("rawPath", "/" + event.get("do", ""))[1:]
    return {"do": do} if do == "whole" else parts(do, context)

def parts(do, context):
    if do == "early":
        raise ValueError("early")
    if do in ("http", "unavailable", "large", "broken"):
        yield {"statusCode": 503 if do == "unavailable" else 201, "headers": {"X-Version": context.function_version, "Content-Type": "text/plain"}, "cookies": ["a=b"]}
    if do == "misshapen":
        yield {"statusCode": "what"}
    if do == "nothing":
        return
    yield "first "
    if do in ("large", "much"):
        # More than all buffers between here and the caller hold: it ends when the caller has read most of it.
        for _ in range(64):
            yield b"x" * (1 << 20)
    if do in ("late", "broken"):
        raise ValueError("late")
    if do == "endless":
        while True:
            time.sleep(1)
    yield "last"
`

const large = 64 << 20

// stream is what came of an InvokeWithResponseStream.
type stream struct {
	chunks   int
	body     bytes.Buffer
	complete types.InvokeWithResponseStreamCompleteEvent
}

func (r *running) streaming(tb testing.TB, function, qualifier, payload string) *lambda.InvokeWithResponseStreamOutput {
	tb.Helper()
	in := &lambda.InvokeWithResponseStreamInput{FunctionName: &function, Payload: []byte(payload), LogType: types.LogTypeTail}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	out, err := r.InvokeWithResponseStream(tb.Context(), in)
	must(tb, err)
	return out
}

func (s *stream) take(tb testing.TB, out *lambda.InvokeWithResponseStreamOutput) {
	tb.Helper()
	events := out.GetStream()
	defer events.Close()
	for e := range events.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			s.chunks++
			s.body.Write(e.Value.Payload)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			s.complete = e.Value
		default:
			tb.Errorf("event %T", e)
		}
	}
	must(tb, events.Err())
}

// streams makes a function that streams, with a time limit in seconds, and publishes it as the next version.
func (r *running) streams(tb testing.TB, timeout int32) {
	tb.Helper()
	shop := aws.String("shop")
	if _, err := r.GetFunction(tb.Context(), &lambda.GetFunctionInput{FunctionName: shop}); err != nil {
		r.create(tb, *shop, streamed, 0)
	}
	_, err := r.UpdateFunctionConfiguration(tb.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: shop, Timeout: &timeout})
	must(tb, err)
	_, err = r.PublishVersion(tb.Context(), &lambda.PublishVersionInput{FunctionName: shop})
	must(tb, err)
}

func TestInvokeWithResponseStream(t *testing.T) {
	r := start(t)
	r.streams(t, 60)
	for _, c := range []struct {
		do, body       string
		code, details  string
		chunks, errors int
	}{
		{do: "", body: "first last"},
		{do: "http", body: `{"statusCode": 201, "headers": {"X-Version": "1", "Content-Type": "text/plain"}, "cookies": ["a=b"]}` + "\x00\x00\x00\x00\x00\x00\x00\x00first last"},
		{do: "nothing"},
		{do: "whole", body: `{"do": "whole"}`, chunks: 1},
		{do: "early", code: "Unhandled", details: `"errorMessage": "early"`, errors: 1},
		{do: "late", body: "first ", code: "ValueError", details: `"errorMessage": "late"`, errors: 1},
	} {
		before, failed := r.counted(t, "shop", "")
		out := r.streaming(t, "shop", "1", `{"do":"`+c.do+`"}`)
		if out.StatusCode != http.StatusOK || aws.ToString(out.ExecutedVersion) != "1" || aws.ToString(out.ResponseStreamContentType) != "application/vnd.amazon.eventstream" {
			t.Errorf("%q: %+v", c.do, out)
		}
		var s stream
		s.take(t, out)
		if s.body.String() != c.body || c.chunks > 0 && s.chunks != c.chunks {
			t.Errorf("%q: %d chunks with %q, want %d with %q", c.do, s.chunks, s.body.String(), c.chunks, c.body)
		}
		if got := aws.ToString(s.complete.ErrorCode); got != c.code || !strings.Contains(aws.ToString(s.complete.ErrorDetails), c.details) {
			t.Errorf("%q: error %q %q, want %q with %q", c.do, got, aws.ToString(s.complete.ErrorDetails), c.code, c.details)
		}
		if aws.ToString(s.complete.LogResult) == "" {
			t.Errorf("%q: no log", c.do)
		}
		after, errs := r.counted(t, "shop", "")
		if after["1"] != before["1"]+1 || errs != failed+c.errors {
			t.Errorf("%q: counted %v and %d errors, then %v and %d", c.do, before, failed, after, errs)
		}
	}
}

// The beginning of a response arrives while the function still writes, and the invocation goes on until all is taken.
func TestStreamBeginsBeforeTheFunctionEnds(t *testing.T) {
	r := start(t)
	r.streams(t, 60)
	_, err := r.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("shop"), ReservedConcurrentExecutions: aws.Int32(1)})
	must(t, err)
	out := r.streaming(t, "shop", "1", `{"do":"much"}`)
	first, _ := (<-out.GetStream().Events()).(*types.InvokeWithResponseStreamResponseEventMemberPayloadChunk)
	if first == nil || !strings.HasPrefix(string(first.Value.Payload), "first ") {
		t.Fatalf("the first event is %+v", first)
	}
	if counted, _ := r.counted(t, "shop", ""); counted["1"] != 0 {
		t.Error("the invocation was counted before its end")
	}
	// It takes its part of the function's reserved concurrency all the time.
	_, err = r.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("shop")})
	if _, throttled := errors.AsType[*types.TooManyRequestsException](err); !throttled {
		t.Errorf("beside it: %v", err)
	}
	var rest stream
	rest.take(t, out)
	if got, want := len(first.Value.Payload)+rest.body.Len(), len("first ")+large+len("last"); got != want || rest.complete.ErrorCode != nil {
		t.Errorf("%d bytes and %+v, want %d", got, rest.complete, want)
	}
	if counted, errs := r.counted(t, "shop", ""); counted["1"] != 1 || errs != 0 {
		t.Errorf("counted %v and %d errors", counted, errs)
	}
}

// until waits for something that the server does behind a caller's back.
func until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			tb.Fatalf("timeout: %s", what)
		}
	}
}

// A caller that hangs up does not disturb the function; one that does not read costs it its time, and no more.
func TestStreamWithoutAReader(t *testing.T) {
	r := start(t)
	r.streams(t, 60)
	r.streams(t, 1)

	out := r.streaming(t, "shop", "1", `{"do":"much"}`)
	<-out.GetStream().Events()
	must(t, out.GetStream().Close())
	until(t, "the function goes on to its end", func() bool { c, errs := r.counted(t, "shop", ""); return c["1"] == 1 && errs == 0 })

	out = r.streaming(t, "shop", "2", `{"do":"much"}`)
	defer out.GetStream().Close()
	until(t, "the function runs into its time limit", func() bool { c, errs := r.counted(t, "shop", ""); return c["2"] == 1 && errs == 1 })
}

func TestStreamOfAFunctionThatIsEnded(t *testing.T) {
	r := start(t)
	r.streams(t, 1)
	var s stream
	s.take(t, r.streaming(t, "shop", "", `{"do":"endless"}`))
	if s.body.String() != "first " || aws.ToString(s.complete.ErrorCode) != "Sandbox.Timedout" ||
		!strings.Contains(aws.ToString(s.complete.ErrorDetails), "Task timed out after 1.00 seconds") {
		t.Errorf("%q, %+v", s.body.String(), s.complete)
	}
}

func TestFunctionURLThatStreams(t *testing.T) {
	r := start(t)
	c := browser(r)
	r.streams(t, 60)
	live := aws.String("live")
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: live, FunctionVersion: aws.String("1")})
	must(t, err)
	buffered := r.url(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("shop"), AuthType: types.FunctionUrlAuthTypeNone})
	stream := r.url(t, &lambda.CreateFunctionUrlConfigInput{
		FunctionName: aws.String("shop"), Qualifier: live, AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: types.InvokeModeResponseStream,
	})
	r.open(t, "shop", nil)
	r.open(t, "shop", live)

	for name, url := range map[string]string{"buffered": buffered, "stream": stream, "stream by path": byPath(r, stream)} {
		for _, tt := range []struct {
			path, contentType, body string
			status                  int
		}{
			{"http", "text/plain", "first last", 201},
			{"unavailable", "text/plain", "first last", 503},
			{"", "application/octet-stream", "first last", 200},
			{"nothing", "application/octet-stream", "", 200},
			{"whole", "application/json", `{"do": "whole"}`, 200},
			{"early", "application/json", `{"Message":"Internal Server Error"}`, 502},
			{"misshapen", "application/json", `{"Message":"Internal Server Error"}`, 502},
		} {
			_, failed := r.counted(t, "shop", "live")
			p := fetch(t, c, r.Ready, "", "GET", url+tt.path, "")
			if p.status != tt.status || p.body != tt.body || p.header.Get("Content-Type") != tt.contentType {
				t.Errorf("%s: %q: %d %v %q, want %d %q", name, tt.path, p.status, p.header, p.body, tt.status, tt.body)
			}
			if tt.path == "http" && (p.header.Get("X-Version") == "" || p.header.Get("Set-Cookie") != "a=b") {
				t.Errorf("%s: %v", name, p.header)
			}
			if sandboxed := p.header.Get("Content-Security-Policy") != ""; tt.status != 502 && sandboxed != strings.Contains(name, "path") {
				t.Errorf("%s: sandboxed: %v", name, sandboxed)
			}
			if _, now := r.counted(t, "shop", "live"); name != "buffered" && now-failed != tt.status/500 {
				t.Errorf("%s: %q counted as %d errors", name, tt.path, now-failed)
			}
		}
	}
	for _, url := range []string{stream, byPath(r, stream)} {
		r.readSlowly(t, c, url)
	}
	if _, errs := r.counted(t, "shop", "live"); errs == 0 {
		t.Error("a response that broke off counts as no error")
	}
	for _, url := range []string{buffered, stream} {
		if p := fetch(t, c, r.Ready, "", "HEAD", url+"http", ""); p.status != 201 || p.body != "" {
			t.Errorf("HEAD: %d %q", p.status, p.body)
		}
	}
}

// readSlowly shows that a response begins before its end, and that the caller sees that one breaks off.
func (r *running) readSlowly(t *testing.T, c *http.Client, url string) {
	t.Helper()
	get := func(path string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		must(t, err)
		resp, err := c.Do(req)
		must(t, err)
		return resp
	}
	before, _ := r.counted(t, "shop", "live")
	resp := get("large")
	defer resp.Body.Close()
	first := make([]byte, 6)
	_, err := io.ReadFull(resp.Body, first)
	must(t, err)
	if counted, _ := r.counted(t, "shop", "live"); string(first) != "first " || resp.StatusCode != http.StatusCreated || counted["1"] != before["1"] {
		t.Errorf("%d %q, counted %v after %v", resp.StatusCode, first, counted, before)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != large+4 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if counted, _ := r.counted(t, "shop", "live"); counted["1"] != before["1"]+1 {
		t.Errorf("counted %v after %v", counted, before)
	}
	broken := get("broken")
	defer broken.Body.Close()
	if text, err := io.ReadAll(broken.Body); broken.StatusCode != http.StatusCreated || string(text) != "first " || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d %q, %v", broken.StatusCode, text, err)
	}
}

const streamedByNode = `
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const http = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'content-type': 'text/plain' }, cookies: ['a=b'] });
  http.write('first ');
  http.end('last');
});
`

// goFunction is a package with a program of the executor's tests.
func goFunction(tb testing.TB, name string) []byte {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "bootstrap")
	build := exec.CommandContext(tb.Context(), "go", "build", "-o", program, "../executor/testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	out, err := build.CombinedOutput()
	if err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(program)
	must(tb, err)
	return zipped(tb, "bootstrap", string(text))
}

// The runtime families stream in the same way, through a function URL and through the API.
func TestStreamOfEveryRuntime(t *testing.T) {
	r := start(t)
	c := browser(r)
	for _, f := range []struct {
		runtime types.Runtime
		handler string
		needs   string
		code    func() []byte
	}{
		{types.RuntimePython312, "app.handler", "python3", func() []byte {
			return zipped(t, "app.py", "def handler(event, context):\n    yield {'statusCode': 201, 'headers': {'content-type': 'text/plain'}, 'cookies': ['a=b']}\n    yield 'first '\n    yield b'last'\n")
		}},
		{types.RuntimeNodejs22x, "index.handler", "node", func() []byte { return zipped(t, "index.js", streamedByNode) }},
		{types.RuntimeProvidedal2023, "bootstrap", "go", func() []byte { return goFunction(t, "awsgostream") }},
	} {
		t.Run(string(f.runtime), func(t *testing.T) {
			needs(t, f.needs)
			name := aws.String("stream-" + f.needs)
			_, err := r.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
				FunctionName: name, Runtime: f.runtime, Handler: &f.handler, Role: aws.String(role), Code: &types.FunctionCode{ZipFile: f.code()},
			})
			must(t, err)
			url := r.url(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: name, AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: types.InvokeModeResponseStream})
			r.open(t, *name, nil)
			p := fetch(t, c, r.Ready, "", "GET", url, "")
			if p.status != 201 || p.body != "first last" || p.header.Get("Content-Type") != "text/plain" || p.header.Get("Set-Cookie") != "a=b" {
				t.Errorf("%d %v %q", p.status, p.header, p.body)
			}
			var s stream
			s.take(t, r.streaming(t, *name, "", "{}"))
			prelude, body, _ := strings.Cut(s.body.String(), "\x00\x00\x00\x00\x00\x00\x00\x00")
			var head struct{ StatusCode int }
			if err := json.Unmarshal([]byte(prelude), &head); err != nil || head.StatusCode != http.StatusCreated || body != "first last" {
				t.Errorf("%q %q", prelude, body)
			}
		})
	}
}

func TestStreamToBoto3(t *testing.T) {
	needsBoto3(t)
	r := start(t)
	r.streams(t, 60)
	out, err := r.program(t, "python3", "testdata/boto3_stream.py", r.Endpoint, r.AccessKeyID, r.SecretAccessKey, "shop").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "streamed") {
		t.Errorf("%v\n%s", err, out)
	}
}
