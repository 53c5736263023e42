package invoke

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"serin"
)

// Functions that are each other's destinations do not go on for ever, unless they are allowed to.
func TestLoopOfDestinations(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("a", w.on("", to(arn("b"), "")), answers("1"))
		w.function("b", w.on("", to(arn("a"), "")), answers("2"))
		w.send("a", "id-1", `{}`)
		w.wait(minute)
		w.expect("invocations", len(w.calls), maxHops+1)
		w.empty()
		w.expect("destination failures", w.Recorder.Events("a").DestinationFailures, 1)
		if got := w.log.find("level=ERROR", "in a row"); len(got) != 1 {
			t.Errorf("log lines: %q", got)
		}
		allow := func(f *serin.Function) { f.RecursiveLoop = "Allow" }
		w.function("a", allow, nil)
		w.function("b", allow, nil)
		w.calls = nil
		w.function("b", nil, func(_ context.Context, in *Request) (*Response, error) {
			if len(w.timesOf("b")) == 30 {
				w.function("b", func(f *serin.Function) { f.Attached = nil }, nil)
			}
			return &Response{Payload: []byte("2")}, nil
		})
		w.send("a", "id-2", `{}`)
		w.wait(minute)
		w.expect("invocations", len(w.calls), 62) // b was running when it was changed
		w.empty()
	})
}

func TestDestinationThatCannotBe(t *testing.T) {
	inBubble(t, func(w *world) {
		none := 0
		ch := to("", "arn:aws:sqs:us-east-1:000000000000:queue")
		ch.Retries = &none
		w.function("f", all(w.on("", ch), deadLetter("arn:aws:lambda:eu-west-1:000000000000:function:elsewhere")), fails)
		w.send("f", "id-1", `{}`)
		w.wait(second)
		stats := w.Recorder.Events("f")
		w.expect("counted", []int{stats.Lost, stats.DestinationFailures, stats.DeadLetterFailures}, []int{1, 1, 1})
		if got := w.log.find("level=ERROR", "cannot tell", "request_id=id-1"); len(got) != 2 {
			t.Errorf("log lines: %q", got)
		}

		// Nor can it be a URL that is none, whatever is in it.
		for i, target := range []string{"http://%ff/", "http://\x00", "https://exa mple"} {
			w.posts = func(*http.Request) (*http.Response, error) { return nil, io.EOF }
			w.function("h", w.on("", to(target, "")), answers("1"))
			w.send("h", fmt.Sprint("id-", i), `{}`)
			w.wait(second)
		}
		w.wait(7 * time.Hour)
		w.expect("destination failures", w.Recorder.Events("h").DestinationFailures, 3)

		// A destination that has been deleted does not get its record either.
		w.function("g", w.on("", to(arn("gone"), "")), answers("1"))
		w.send("g", "id-2", `{}`)
		w.wait(10 * minute)
		w.expect("attempts", len(w.timesOf("gone")), 3)
		w.expect("destination failures", w.Recorder.Events("g").DestinationFailures, 1)
		w.empty()
	})
}

// accepted is what a host got.
type accepted struct {
	at      time.Duration
	header  http.Header
	payload string
}

func TestURLDestination(t *testing.T) {
	inBubble(t, func(w *world) {
		var got []accepted
		statuses := []int{500, 302, 429, 404, 0, -1, 204}
		w.posts = func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.Method != http.MethodPost || r.URL.String() != "https://example.com/hook?token=secret" {
				t.Errorf("%s %s: %v", r.Method, r.URL, err)
			}
			got = append(got, accepted{time.Since(w.began), r.Header, string(body)})
			status := statuses[min(len(got)-1, len(statuses)-1)]
			switch status {
			case 0: // it never answers
				<-r.Context().Done()
				return nil, context.Cause(r.Context())
			case -1:
				return nil, io.ErrUnexpectedEOF
			}
			endless := io.NopCloser(endlessReader{})
			return &http.Response{StatusCode: status, Status: strconv.Itoa(status), Header: http.Header{"Location": {"http://127.0.0.1/"}}, Body: endless, Request: r}, nil
		}
		w.function("f", w.on("", to("https://example.com/hook?token=secret", "")), answers(`"done"`))
		w.send("f", "id-1", `{}`)
		w.wait(10 * minute)
		var times []time.Duration
		for _, a := range got {
			times = append(times, a.at)
			w.expect("the same record each time", a.payload, got[0].payload)
		}
		const hung = 15 * second
		w.expect("posts", times, []time.Duration{0, 1 * second, 3 * second, 7 * second, 15 * second, 31*second + hung, 63*second + hung})
		if !strings.Contains(got[0].payload, `"responsePayload":"done"`) {
			t.Errorf("the record is %s", got[0].payload)
		}
		w.expect("content type", got[0].header.Get("Content-Type"), "application/json")
		w.expect("request id", got[0].header.Get("Serin-Request-Id"), "id-1")
		w.empty()
		w.expect("destination failures", w.Recorder.Events("f").DestinationFailures, 0)
		if found := w.log.find("secret"); len(found) > 0 {
			t.Errorf("the log gives the URL away: %q", found)
		}
	})
}

// endlessReader is an answer without an end.
type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func TestURLThatNeverTakesIt(t *testing.T) {
	inBubble(t, func(w *world) {
		posts := 0
		w.posts = func(r *http.Request) (*http.Response, error) {
			posts++
			w.expect("attributes", []string{r.Header.Get("Serin-RequestID"), r.Header.Get("Serin-ErrorCode"), r.Header.Get("Serin-ErrorMessage")},
				[]string{"id-1", "200", "two lines  é"})
			return nil, io.ErrClosedPipe
		}
		none := 0
		w.function("f", all(w.on("", serin.EventInvokeChange{Retries: &none}), deadLetter("http://example.com/")),
			func(context.Context, *Request) (*Response, error) {
				return &Response{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"two lines\r\né"}`)}, nil
			})
		w.send("f", "id-1", `{}`)
		w.wait(7 * time.Hour)
		if posts < 80 || posts > 100 {
			t.Errorf("%d posts", posts)
		}
		w.empty()
		stats := w.Recorder.Events("f")
		w.expect("counted", []int{stats.Dropped, stats.Lost, stats.DeadLetterFailures}, []int{1, 0, 1})
		if got := w.log.find("level=ERROR", "dead letter", "request_id=id-1"); len(got) != 1 {
			t.Errorf("log lines: %q", got)
		}
	})
}
