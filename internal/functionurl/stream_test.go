package functionurl

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"serin"
	"serin/internal/invoke"
	"serin/internal/router"
)

// stream makes the function write pieces, after which its answer is out.
func (w *world) stream(contentType string, out *invoke.Response, pieces ...string) {
	w.url.InvokeMode = serin.InvokeModeStream
	w.Invoke = func(_ context.Context, in *invoke.Request) (*invoke.Response, error) {
		to := in.Stream("1", contentType, time.Now().Add(time.Minute))
		for _, p := range pieces {
			if _, err := to.Write([]byte(p)); err != nil {
				break
			}
		}
		out.Streamed = true
		if out.FunctionError == "" {
			_ = in.Judge(out) // what it says is counted, not returned
		}
		return out, nil
	}
}

func TestStreamedAnswers(t *testing.T) {
	const prelude = `{"statusCode": "201", "headers": {"X-A": "b", "Connection": "close", "Content-Length": "5"}, "cookies": ["c=d"]}` + separator
	for _, tt := range []struct {
		name, contentType string
		pieces            []string
		status            int
		body, answered    string // the body, and the content type
	}{
		{"plain", "text/plain", []string{"a", "b"}, 200, "ab", "text/plain"},
		{"no content type", "", []string{"a"}, 200, "a", "application/octet-stream"},
		{"nothing", "text/plain", nil, 200, "", "text/plain"},
		{"bad content type", "text/plain\x01", []string{"a"}, 502, `{"Message":"Internal Server Error"}`, "application/json"},
		{"prelude", httpIntegration, []string{prelude + "body", " more"}, 201, "body more", "application/octet-stream"},
		{"prelude alone", httpIntegration, []string{prelude}, 201, "", "application/octet-stream"},
		{"body of zeros", httpIntegration, []string{prelude + separator, separator}, 201, separator + separator, "application/octet-stream"},
		{"empty prelude", httpIntegration, []string{"{}" + separator + "x"}, 200, "x", "application/octet-stream"},
		{"no separator", httpIntegration, []string{`{"statusCode": 200}`, "\x00\x00\x00"}, 502, `{"Message":"Internal Server Error"}`, "application/json"},
		{"endless prelude", httpIntegration, []string{strings.Repeat(" ", maxPrelude+1), separator}, 502, `{"Message":"Internal Server Error"}`, "application/json"},
		{"no JSON", httpIntegration, []string{"{" + separator}, 502, `{"Message":"Internal Server Error"}`, "application/json"},
		{"informational", httpIntegration, []string{`{"statusCode": 101}` + separator}, 502, `{"Message":"Internal Server Error"}`, "application/json"},
		{"header that splits", httpIntegration, []string{`{"headers": {"a": "b\r\nc: d"}}` + separator}, 502, `{"Message":"Internal Server Error"}`, "application/json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all := strings.Join(tt.pieces, "")
			for size := range []int{1, 7, len(all) + 1} {
				var pieces []string
				for rest := all; rest != ""; {
					n := min(len(rest), size+1)
					pieces, rest = append(pieces, rest[:n]), rest[n:]
				}
				w := newWorld(t)
				w.stream(tt.contentType, &invoke.Response{}, pieces...)
				rec := w.ask("GET", "/", "")
				if rec.Code != tt.status || rec.Body.String() != tt.body || rec.Header().Get("Content-Type") != tt.answered {
					t.Fatalf("in pieces of %d: %d %v %.100q", size+1, rec.Code, rec.Header(), rec.Body)
				}
				if tt.status == 201 && (rec.Header().Get("X-A") != "b" || rec.Header().Get("Set-Cookie") != "c=d" || rec.Header().Get("Connection") != "" || rec.Header().Get("Content-Length") != "") {
					t.Fatalf("headers %v", rec.Header())
				}
			}
		})
	}
}

func TestStreamedAnswerThatBreaksOff(t *testing.T) {
	failed := &invoke.Response{FunctionError: "Unhandled", ErrorType: "Sandbox.Timedout"}
	w := newWorld(t)
	w.stream(httpIntegration, failed, `{"statusCode": 200}`)
	if rec := w.ask("GET", "/", ""); rec.Code != http.StatusBadGateway {
		t.Errorf("before the head was complete: %d", rec.Code)
	}
	w.stream("text/plain", failed, "begun")
	defer func() {
		if r := recover(); r != http.ErrAbortHandler { //nolint:errorlint // it is a value that is panicked with
			t.Errorf("recovered %v", r)
		}
	}()
	w.ask("GET", "/", "")
	t.Error("the connection was not broken off")
}

// A response that is not allowed a body gets none, and an answer that the function did not stream is one as ever.
func TestStreamWithoutBody(t *testing.T) {
	server := httptest.NewServer(nil)
	defer server.Close()
	w := newWorld(t)
	server.Config.Handler = w
	get := func() (status int, length int64) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+PathPrefix+urlID+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.ContentLength
	}
	w.stream(httpIntegration, &invoke.Response{}, `{"statusCode": 204}`+separator, "ignored")
	if status, _ := get(); status != http.StatusNoContent {
		t.Error(status)
	}
	w.Invoke = func(_ context.Context, in *invoke.Request) (*invoke.Response, error) {
		out := &invoke.Response{Payload: []byte(`{"statusCode": 404, "body": "x"}`)}
		_ = in.Judge(out)
		return out, nil
	}
	if status, length := get(); status != http.StatusNotFound || length != 1 {
		t.Error(status, length)
	}
}

// FuzzPrelude checks that a prelude is taken alike however it arrives, and that nothing else is made of it when the
// answer was collected.
func FuzzPrelude(f *testing.F) {
	f.Add([]byte(`{"statusCode": 201, "headers": {"a": "b"}, "cookies": ["c"]}`+separator+"body"), 3)
	f.Add([]byte("{}"+separator+separator), 1)
	f.Add([]byte("\x00\x00\x00"), 1)
	f.Add([]byte(`null`+separator), 9)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		whole, err := parseWhole(&invoke.Response{ContentType: httpIntegration, Payload: data})
		rec := httptest.NewRecorder()
		a := &answering{w: rec, r: httptest.NewRequest(http.MethodGet, "/", http.NoBody), x: &exchange{URL: router.URL{FunctionURL: &serin.FunctionURL{}}}, control: http.NewResponseController(rec)}
		to := a.begin("1", httpIntegration, time.Now().Add(time.Minute))
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+(size&0xff))
			if _, err := to.Write(rest[:n]); err != nil {
				break
			}
			rest = rest[n:]
		}
		judged := a.judge(&invoke.Response{Streamed: true})
		switch {
		case a.sent != (err == nil):
			t.Fatalf("sent: %v, as a whole: %v", a.sent, err)
		case err != nil && judged == nil:
			t.Fatalf("counted as a success: %v", err)
		case err == nil && (rec.Code != whole.status || whole.hasBody() && rec.Body.String() != string(whole.body)):
			t.Fatalf("%d %q, as a whole %d %q", rec.Code, rec.Body, whole.status, whole.body)
		}
	})
}
