package invoke

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"serin"
	"serin/internal/store"
)

// maxEventPayload is the largest payload of an event, in bytes (AWS, October 2025).
const maxEventPayload = 1 << 20

// maxErrorMessage is AWS's bound on the error message of a dead letter, in bytes.
const maxErrorMessage = 1024

// record tells a destination how an event ended. The names are AWS's.
type record struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type requestContext struct {
	RequestID              string `json:"requestId"`
	FunctionARN            string `json:"functionArn"` // qualified
	Condition              string `json:"condition"`
	ApproximateInvokeCount int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion,omitempty"`
	FunctionError   string `json:"functionError,omitempty"`
}

// newRecord returns the record of an event that ends now. The answer is left out if the record would become larger
// than an event may be; the payload of the event never is.
func newRecord(e *event, arn string, payload []byte, condition string, now time.Time) ([]byte, error) {
	r := record{
		Version: "1.0", Timestamp: now.UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestContext: requestContext{e.RequestID, arn, condition, e.Attempts},
		RequestPayload: payload,
	}
	if last := e.Last; last != nil && condition != conditionZeroReserved {
		r.ResponseContext = &responseContext{last.StatusCode, last.ExecutedVersion, last.FunctionError}
		switch {
		case len(payload)+len(last.Payload) > maxEventPayload:
			r.ResponsePayload = fmt.Appendf(nil,
				`{"errorType":"Serin.ResponseTooLarge","errorMessage":"The response of %d bytes does not fit into the invocation record."}`, len(last.Payload))
		case json.Valid(last.Payload):
			r.ResponsePayload = last.Payload
		case len(last.Payload) > 0: // a function may answer with anything
			r.ResponsePayload = quoted(last.Payload)
		}
	}
	if !fits(r.RequestPayload) || !fits(r.ResponsePayload) {
		r.RequestPayload, r.ResponsePayload = quoted(r.RequestPayload), quoted(r.ResponsePayload)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// fits reports whether a JSON value is still one within another: encoding/json bounds how deep values may nest.
func fits(value json.RawMessage) bool {
	return len(value) == 0 || json.Valid(slices.Concat([]byte{'['}, value, []byte{']'}))
}

// quoted is the JSON string of a text, or nothing for no text.
func quoted(text []byte) json.RawMessage {
	if len(text) == 0 {
		return nil
	}
	b, _ := jsontext.AppendQuote(nil, text) // the error tells of bytes that are not UTF-8, which are replaced
	return b
}

// attributes are what a dead letter carries beside the payload of the event, named as on AWS.
func attributes(e *event, condition string) map[string]string {
	a := map[string]string{"RequestID": e.RequestID}
	message := "The event was not processed: " + condition
	switch {
	case condition == conditionZeroReserved:
		message = "Function not invoked. Function is configured with zero reserved concurrent executions"
	case e.Last != nil:
		a["ErrorCode"] = strconv.Itoa(e.Last.StatusCode)
		message = e.Last.Message
		var reported struct{ ErrorMessage string }
		if json.Unmarshal(e.Last.Payload, &reported) == nil && reported.ErrorMessage != "" {
			message = reported.ErrorMessage
		}
	}
	if len(message) > maxErrorMessage {
		message = message[:maxErrorMessage]
	}
	a["ErrorMessage"] = strings.ToValidUTF8(message, "")
	return a
}

// tell returns the event that tells a destination, a function of this server or a URL, of the end of another.
func (q *Queue) tell(e *event, target string, payload []byte, src source, now time.Time) (store.Event, error) {
	told := &event{
		RequestID: q.NewID(), TraceID: e.TraceID, Accepted: now, Source: &src, Hops: e.Hops + 1,
		Settings: settings{Retries: serin.DefaultRetries, MaxAge: serin.DefaultEventAge},
	}
	switch {
	case isURL(target):
		told.URL = target
	case strings.HasPrefix(target, "arn:") && strings.Contains(target, ":function:"):
		if e.Hops >= maxHops && !q.allowsLoops(e.Function) {
			return store.Event{}, fmt.Errorf("%d functions in a row were told of each other's events", maxHops)
		}
		ref, err := q.Place.ParseRef(target, "")
		if err != nil {
			return store.Event{}, err
		}
		told.Function, told.Qualifier = ref.Function, ref.Qualifier
		if f, ok := q.Table.Function(ref.Function); ok {
			if v, _, err := f.Resolve(ref.Qualifier); err == nil {
				told.Settings = settingsOf(f, v, ref.Qualifier)
			}
		}
		if src.DeadLetter {
			context, err := json.Marshal(map[string]any{"custom": src.Attributes})
			if err != nil {
				return store.Event{}, err
			}
			told.ClientContext = string(context)
		}
	default:
		return store.Event{}, fmt.Errorf("%q is neither a function of this server nor a URL", target)
	}
	return told.pack(payload, now)
}

// pack returns what the store keeps of an event that is due.
func (e *event) pack(payload []byte, due time.Time) (store.Event, error) {
	document, err := e.encode()
	return store.Event{Lane: e.lane(), Due: due, Document: document, Payload: payload}, err
}
