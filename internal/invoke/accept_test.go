package invoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"serin"
)

// Accepting an event checks what the caller can still be told.
func TestAccept(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("f", nil, answers("null"))
		w.function("starting", func(f *serin.Function) {
			latest := *f.Latest
			latest.State = serin.StatePending
			f.Latest = &latest
		}, answers("null"))
		largest := `"` + strings.Repeat("x", maxEventPayload-2) + `"`
		for _, c := range []struct {
			function, payload string
			kind              serin.Kind
			message           string
		}{
			{"f", largest, 0, ""},
			{"f", "", 0, ""},
			{arn("f:$LATEST"), "null", 0, ""},
			{"f", largest + " ", serin.KindTooLarge, "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"},
			{"f", "{", serin.KindContent, "Could not parse request body into json: Could not parse payload into json: unexpected end of JSON input"},
			{"g", "{}", serin.KindNotFound, "Function not found: " + arn("g:$LATEST")},
			{"f:live", "{}", serin.KindNotFound, "Function not found: " + arn("f:live")},
			{"f:7", "{}", serin.KindNotFound, "Function not found: " + arn("f:7")},
			{"starting", "{}", serin.KindConflict, "The operation cannot be performed at this time. The function is currently in the following state: Pending. "},
		} {
			out, err := w.invoker.Invoke(context.Background(), &Request{FunctionName: c.function, Type: Event, RequestID: "id", Payload: []byte(c.payload)})
			refusal, _ := errors.AsType[*serin.Error](err)
			switch {
			case c.kind == 0:
				if err != nil || !cmp.Equal(out, &Response{}) {
					t.Errorf("%s with %d bytes: %+v, %v", c.function, len(c.payload), out, err)
				}
			case refusal == nil || refusal.Kind != c.kind || refusal.Message != c.message:
				t.Errorf("%s with %d bytes: %v, want %s", c.function, len(c.payload), err, c.message)
			}
		}
		w.wait(second)
		var got []string
		for _, c := range w.calls {
			got = append(got, fmt.Sprint(c.Qualifier, len(c.Payload)))
		}
		slices.Sort(got)
		w.expect("invocations", got, []string{"$LATEST4", "1048576", "2"})
		w.empty()
		w.expect("received", w.Recorder.Events("f").Received, 3)
	})
}

// An answer that does not fit, or is no JSON, does not keep the record from being sent.
func TestRecordOfAnyAnswer(t *testing.T) {
	inBubble(t, func(w *world) {
		w.function("done", nil, answers("null"))
		for answer, want := range map[string]string{
			"plain \xff text":                    "\"plain \ufffd text\"",
			"":                                   "",
			strings.Repeat("7", maxEventPayload): `{"errorType":"Serin.ResponseTooLarge","errorMessage":"The response of 1048576 bytes does not fit into the invocation record."}`,
		} {
			w.function("f", w.on("", to(arn("done"), "")), answers(answer))
			w.send("f", "id", `{"n":1}`)
			w.wait(second)
			var r record
			if err := json.Unmarshal(w.last("done").Payload, &r); err != nil {
				t.Fatal(err)
			}
			w.expect("request", string(r.RequestPayload), `{"n":1}`)
			w.expect("response", string(r.ResponsePayload), want)
		}
	})
}

func FuzzRecord(f *testing.F) {
	for _, payload := range []string{`{}`, `"<&>\u2028"`, "\xff", `[1e999]`, strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), `{"errorMessage":"\u0000\ud800"}`, `{"errorMessage":{}}`} {
		f.Add([]byte(payload), []byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload, answered []byte) {
		if !json.Valid(payload) {
			payload = []byte(`{}`)
		}
		e := &event{RequestID: "id", Last: &answer{StatusCode: 200, FunctionError: "Unhandled", Payload: answered}}
		told, err := newRecord(e, arn("f"), payload, conditionExhausted, time.Now())
		if err != nil || !json.Valid(told) {
			t.Fatalf("record %q, %v", told, err)
		}
		var r record
		if err := json.Unmarshal(told, &r); err != nil || len(r.RequestPayload) == 0 || r.RequestContext.RequestID != "id" {
			t.Fatalf("record %q, %v", told, err)
		}
		if message := attributes(e, conditionExhausted)["ErrorMessage"]; len(message) > maxErrorMessage || !utf8.ValidString(message) {
			t.Fatalf("message %q", message)
		}
		if document, err := e.encode(); err != nil || json.Unmarshal([]byte(document), &event{}) != nil {
			t.Fatalf("document %q, %v", document, err)
		}
	})
}
