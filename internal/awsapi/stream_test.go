package awsapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/google/go-cmp/cmp"

	"serin"
)

// events reads an event stream as lines of event type and payload.
func events(tb testing.TB, stream []byte) []string {
	tb.Helper()
	var all []string
	d := eventstream.NewDecoder()
	for r := bytes.NewReader(stream); r.Len() > 0; {
		m, err := d.Decode(r, nil)
		if err != nil {
			tb.Fatalf("%v in %q", err, stream)
		}
		if got := m.Headers.Get(":message-type").String(); got != "event" {
			tb.Errorf("a message of type %s", got)
		}
		all = append(all, m.Headers.Get(":event-type").String()+" "+string(m.Payload))
	}
	return all
}

func TestEventStream(t *testing.T) {
	log := base64.StdEncoding.EncodeToString([]byte("END"))
	for _, tt := range []struct {
		name   string
		pieces []string
		answer InvokeResponse
		err    error
		want   []string
	}{
		{"pieces", []string{"a", "b"}, InvokeResponse{Streamed: true, LogResult: []byte("END")}, nil, []string{"PayloadChunk a", "PayloadChunk b", `InvokeComplete {"LogResult":"` + log + `"}`}},
		{"whole", nil, InvokeResponse{Payload: []byte(`{"a":1}`)}, nil, []string{`PayloadChunk {"a":1}`, "InvokeComplete {}"}},
		{"nothing", nil, InvokeResponse{}, nil, []string{"InvokeComplete {}"}},
		{"error", nil, InvokeResponse{FunctionError: "Unhandled", ErrorType: "x", Payload: []byte("{}")}, nil, []string{`InvokeComplete {"ErrorCode":"Unhandled","ErrorDetails":"{}"}`}},
		{"error in the middle", []string{"a"}, InvokeResponse{Streamed: true, FunctionError: "Unhandled", ErrorType: "Sandbox.Timedout", Payload: []byte("{}")}, nil, []string{"PayloadChunk a", `InvokeComplete {"ErrorCode":"Sandbox.Timedout","ErrorDetails":"{}"}`}},
		{"shutdown in the middle", []string{"a"}, InvokeResponse{}, &serin.Error{Kind: serin.KindInternal, Message: "down"}, []string{"PayloadChunk a", `InvokeComplete {"ErrorCode":"Sandbox.Failure","ErrorDetails":"{\"Type\":\"Service\",\"Message\":\"down\"}"}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := openAPI(&fakeLambda{}, func(_ context.Context, r InvokeRequest) (InvokeResponse, error) {
				if tt.pieces != nil {
					to := r.Stream("7", "text/plain", time.Now().Add(time.Minute))
					for _, p := range tt.pieces {
						if _, err := fmt.Fprint(to, p); err != nil {
							t.Error(err)
						}
					}
				}
				tt.answer.ExecutedVersion = "7"
				return tt.answer, tt.err
			})
			w := do(a, httptest.NewRequest(http.MethodPost, "/2021-11-15/functions/f/response-streaming-invocations", strings.NewReader("{}")))
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/vnd.amazon.eventstream" || w.Header().Get("X-Amz-Executed-Version") != "7" || !w.Flushed {
				t.Errorf("%d %v", w.Code, w.Header())
			}
			if diff := cmp.Diff(tt.want, events(t, w.Body.Bytes())); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// What is refused before the response begins is an error like that of any operation.
func TestEventStreamRefusals(t *testing.T) {
	a := openAPI(&fakeLambda{}, func(context.Context, InvokeRequest) (InvokeResponse, error) {
		return InvokeResponse{}, &serin.Error{Kind: serin.KindThrottled, Reason: "ConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}
	})
	for header, want := range map[string]int{"": 429, "X-Amz-Tenant-Id": 501, "X-Amz-Invocation-Type": 400, "X-Amz-Client-Context": 400} {
		r := httptest.NewRequest(http.MethodPost, "/2021-11-15/functions/f/response-streaming-invocations", strings.NewReader("{}"))
		if header != "" {
			r.Header.Set(header, "Event")
		}
		if w := do(a, r); w.Code != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%q: %d %v %s", header, w.Code, w.Header(), w.Body)
		}
	}
}
