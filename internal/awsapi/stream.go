package awsapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
	"github.com/aws/aws-sdk-go-v2/service/lambda/schemas"
)

// lastEventWithin is how long a caller may take to accept the end of a stream.
const lastEventWithin = time.Minute

// streamOperation is InvokeWithResponseStream: what the function writes reaches the caller as events while the
// function runs; the last event says how it ended. The reply begins with the response, so that a refused invocation has
// the status and the shape of any error.
func (a *API) streamOperation() *operation {
	op := newOperation(schemas.InvokeWithResponseStream)
	op.serve = func(w http.ResponseWriter, r *http.Request, c *call) error {
		req, err := newInvokeRequest(op.name, r.Header, c)
		if err != nil {
			return err
		}
		s := &eventWriter{w: w, control: http.NewResponseController(w), encoder: eventstream.NewEncoder()}
		req.Stream = s.begin
		resp, err := a.invoke(r.Context(), req)
		switch {
		case err != nil && !s.begun:
			return err
		case err != nil: // the server shuts down
			resp = InvokeResponse{FunctionError: "Unhandled", ErrorType: "Sandbox.Failure", Streamed: true, Payload: asWireError(err, c.requestID).body()}
		case req.InvocationType == dryRun:
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		if !s.begun {
			s.begin(resp.ExecutedVersion, "", time.Now().Add(lastEventWithin))
		}
		return s.end(&resp)
	}
	return op
}

// eventWriter writes a reply in application/vnd.amazon.eventstream. Every event is sent at once.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	encoder *eventstream.Encoder
	begun   bool
}

// begin sends the head of the reply. The content type that the function gives its response has no place in it.
func (s *eventWriter) begin(version, _ string, deadline time.Time) io.Writer {
	s.begun = true
	h := s.w.Header()
	h.Set("Content-Type", "application/vnd.amazon.eventstream")
	h.Set("X-Amz-Executed-Version", version)
	s.w.WriteHeader(http.StatusOK)
	// Not every connection has deadlines, or is buffered; those of the server's listener are both.
	_ = s.control.SetWriteDeadline(deadline)
	_ = s.control.Flush()
	return s
}

// Write sends a piece of the response.
func (s *eventWriter) Write(piece []byte) (int, error) {
	if err := s.send("PayloadChunk", "application/octet-stream", piece); err != nil {
		return 0, err
	}
	return len(piece), nil
}

// end sends what there is left to say.
func (s *eventWriter) end(resp *InvokeResponse) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(lastEventWithin))
	defer func() { _ = s.control.SetWriteDeadline(time.Time{}) }()
	complete := struct {
		ErrorCode    string `json:",omitempty"`
		ErrorDetails string `json:",omitempty"`
		LogResult    string `json:",omitempty"`
	}{LogResult: base64.StdEncoding.EncodeToString(resp.LogResult)}
	switch {
	case resp.FunctionError == "":
		if len(resp.Payload) > 0 {
			// A caller that has gone away cannot be told so; neither below.
			_, _ = s.Write(resp.Payload)
		}
	case resp.Streamed:
		complete.ErrorCode, complete.ErrorDetails = resp.ErrorType, string(resp.Payload)
	default:
		complete.ErrorCode, complete.ErrorDetails = resp.FunctionError, string(resp.Payload)
	}
	payload, err := json.Marshal(complete)
	if err != nil {
		return fmt.Errorf("encode the end of a stream: %w", err)
	}
	_ = s.send("InvokeComplete", "application/json", payload)
	return nil
}

func (s *eventWriter) send(kind, contentType string, payload []byte) error {
	err := s.encoder.Encode(s.w, eventstream.Message{
		Headers: eventstream.Headers{
			{Name: eventstreamapi.EventTypeHeader, Value: eventstream.StringValue(kind)},
			{Name: eventstreamapi.ContentTypeHeader, Value: eventstream.StringValue(contentType)},
			{Name: eventstreamapi.MessageTypeHeader, Value: eventstream.StringValue(eventstreamapi.EventMessageType)},
		},
		Payload: payload,
	})
	if err != nil {
		return err
	}
	return s.control.Flush()
}
