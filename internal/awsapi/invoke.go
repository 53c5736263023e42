package awsapi

import (
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/schemas"
	"github.com/go-json-experiment/json/jsontext"

	"serin"
	"serin/internal/tracing"
)

// The values of [InvokeRequest.InvocationType].
const (
	requestResponse = "RequestResponse"
	event           = "Event"
	dryRun          = "DryRun"
)

// maxClientContext is AWS's bound on the base64 form of a client context, in bytes.
const maxClientContext = 3583

// InvokeRequest is one Invoke as it came in. FunctionName and Qualifier are unchecked.
type InvokeRequest struct {
	FunctionName   string // any spelling: name, partial ARN or ARN, with or without a qualifier
	Qualifier      string // from the query; often empty
	InvocationType string // RequestResponse, Event or DryRun
	LogType        string // None or Tail
	ClientContext  string // a JSON object in text, or ""
	TraceID        string // X-Amzn-Trace-Id, or made from traceparent, or ""
	RequestID      string // the id that the reply carries and the function sees
	Payload        []byte // at most 6 MiB, not checked to be JSON, the receiver's to keep
	Header         http.Header
	// Stream takes a response that the function writes piece by piece; nil for Invoke. It is called once, before the
	// first piece, and what it returns takes them, until the deadline at most.
	Stream func(version, contentType string, deadline time.Time) io.Writer
}

// InvokeResponse is the answer to an Invoke that reached its function, or that was accepted.
type InvokeResponse struct {
	StatusCode      int    // 200, 202 or 204; 0 means the one that belongs to the invocation type
	ExecutedVersion string // the version that ran; "" leaves the header out
	FunctionError   string // "Unhandled" or "Handled" if the function failed
	Streamed        bool   // the response has gone to Stream; Payload is what ended it, if FunctionError is set
	ErrorType       string // what ended a streamed response
	LogResult       []byte // the tail of the log as plain text; nil leaves the header out
	Payload         []byte
}

// invokeOperation is Invoke without the SDK's shapes between the wire and the data plane.
func (a *API) invokeOperation() *operation {
	op := newOperation(schemas.Invoke)
	op.serve = func(w http.ResponseWriter, r *http.Request, c *call) error {
		req, err := newInvokeRequest(op.name, r.Header, c)
		if err != nil {
			return err
		}
		resp, err := a.invoke(r.Context(), req)
		if err != nil {
			return err
		}
		resp.write(w, req.InvocationType)
		return nil
	}
	return op
}

func newInvokeRequest(operation string, h http.Header, c *call) (InvokeRequest, error) {
	req := InvokeRequest{
		FunctionName:   c.labels[0],
		Qualifier:      c.query.Get("Qualifier"),
		InvocationType: orDefault(h.Get("X-Amz-Invocation-Type"), requestResponse),
		LogType:        orDefault(h.Get("X-Amz-Log-Type"), "None"),
		TraceID:        tracing.FromHeader(h),
		RequestID:      c.requestID,
		Payload:        c.body,
		Header:         h,
	}
	if err := req.validate(operation); err != nil {
		return InvokeRequest{}, err
	}
	for _, name := range [...]string{"X-Amz-Durable-Execution-Name", "X-Amz-Tenant-Id"} {
		if h.Get(name) != "" {
			return InvokeRequest{}, serin.Errorf(serin.KindNotImplemented, "Serin does not have what the header %s of the operation %s asks for.", name, operation)
		}
	}
	encoded := h.Get("X-Amz-Client-Context")
	if encoded == "" {
		return req, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if object := jsontext.Value(decoded); err != nil || len(encoded) > maxClientContext || !object.IsValid() || object.Kind() != jsontext.KindBeginObject {
		return InvokeRequest{}, serin.Errorf(serin.KindContent,
			"Client context must be a valid Base64-encoded JSON object of at most %d bytes.", maxClientContext)
	}
	req.ClientContext = string(decoded)
	return req, nil
}

// validate checks the members that the model restricts to a set of values.
func (r *InvokeRequest) validate(operation string) error {
	var failures []string
	streaming := operation == schemas.InvokeWithResponseStream.ID().Name
	switch {
	case r.InvocationType == requestResponse, r.InvocationType == dryRun, r.InvocationType == event && !streaming:
	case streaming:
		failures = append(failures, notInSet(r.InvocationType, "invocationType", "[RequestResponse, DryRun]"))
	default:
		failures = append(failures, notInSet(r.InvocationType, "invocationType", "[Event, RequestResponse, DryRun]"))
	}
	switch r.LogType {
	case "None", "Tail":
	default:
		failures = append(failures, notInSet(r.LogType, "logType", "[None, Tail]"))
	}
	switch len(failures) {
	case 0:
		return nil
	case 1:
		return serin.Errorf(serin.KindValidation, "1 validation error detected: %s", failures[0])
	default:
		return serin.Errorf(serin.KindValidation, "%d validation errors detected: %s", len(failures), strings.Join(failures, "; "))
	}
}

func notInSet(value, member, set string) string {
	return "Value '" + clip(value) + "' at '" + member + "' failed to satisfy constraint: Member must satisfy enum value set: " + set
}

// write answers an Invoke.
func (r *InvokeResponse) write(w http.ResponseWriter, invocationType string) {
	h := w.Header()
	if r.ExecutedVersion != "" {
		h.Set("X-Amz-Executed-Version", r.ExecutedVersion)
	}
	if r.FunctionError != "" {
		h.Set("X-Amz-Function-Error", r.FunctionError)
	}
	if r.LogResult != nil {
		h.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(r.LogResult))
	}
	status := r.StatusCode
	if status == 0 {
		status = usualStatus(invocationType)
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	if status == http.StatusOK {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(r.Payload)))
	w.WriteHeader(status)
	// A caller that has gone away cannot be told so.
	_, _ = w.Write(r.Payload)
}

func usualStatus(invocationType string) int {
	switch invocationType {
	case event:
		return http.StatusAccepted
	case dryRun:
		return http.StatusNoContent
	default:
		return http.StatusOK
	}
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
