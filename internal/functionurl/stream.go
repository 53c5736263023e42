package functionurl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"serin/internal/invoke"
)

const (
	// httpIntegration is the content type of an answer that begins with a prelude: a JSON object with statusCode,
	// headers and cookies, and then the separator.
	httpIntegration = "application/vnd.awslambda.http-integration-response"
	separator       = "\x00\x00\x00\x00\x00\x00\x00\x00"
	// maxPrelude bounds a prelude, in bytes.
	maxPrelude = 4 * maxHeaders
	// lastByteWithin is how long a caller may take to accept the end of a streamed answer.
	lastByteWithin = time.Minute
)

var (
	errNoSeparator = errors.New("the prelude has no end")
	errServer      = errors.New("the function answered with a server error")
)

// answering is what a function answers to one request, as a whole or piece by piece.
type answering struct {
	w       http.ResponseWriter
	r       *http.Request
	x       *exchange
	control *http.ResponseController

	whole     *answer
	malformed error // why the answer is none

	streams   bool   // the answer comes piece by piece
	sent      bool   // the head of a streamed answer has been sent
	status    int    // in it
	inPrelude bool   // of a streamed answer
	prelude   []byte // what has come of it
}

// judge looks at an answer when all of it is there. What the caller gets as a 502, or what says of itself that it is a
// server error, counts as an error of the version.
func (a *answering) judge(out *invoke.Response) error {
	status := 0
	if !out.Streamed {
		if a.whole, a.malformed = parseWhole(out); a.malformed == nil {
			status = a.whole.status
		}
	} else if status = a.status; a.inPrelude && a.malformed == nil {
		a.malformed = errNoSeparator
	}
	if a.malformed == nil && status >= http.StatusInternalServerError {
		return errServer
	}
	return a.malformed
}

// parseWhole reads an answer that has been collected. The content type says whether the function streamed it.
func parseWhole(out *invoke.Response) (*answer, error) {
	switch out.ContentType {
	case "":
		return parseAnswer(out.Payload)
	case httpIntegration:
		prelude, body, ok := bytes.Cut(out.Payload, []byte(separator))
		if !ok {
			return nil, errNoSeparator
		}
		a, err := parsePrelude(prelude)
		if err == nil {
			a.body = body
		}
		return a, err
	default:
		a, err := plainAnswer(out.ContentType)
		a.body = out.Payload
		return a, err
	}
}

// parsePrelude reads what a streamed answer begins with.
func parsePrelude(text []byte) (*answer, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("prelude: %w", err)
	}
	a := &answer{header: http.Header{}}
	status, ok := members["statusCode"]
	if !ok {
		status = json.RawMessage("200")
	}
	return a, a.parseHead(status, members, "application/octet-stream")
}

// plainAnswer is an answer without a prelude.
func plainAnswer(contentType string) (*answer, error) {
	a := &answer{status: http.StatusOK, header: http.Header{"Content-Type": {contentType}}}
	if !isFieldValue(contentType) {
		return a, fmt.Errorf("the content type %.40q cannot be sent", contentType)
	}
	return a, nil
}

// begin takes a streamed answer.
func (a *answering) begin(_, contentType string, deadline time.Time) io.Writer {
	a.streams, a.malformed = true, nil
	a.limit(time.Until(deadline))
	if a.inPrelude = contentType == httpIntegration; a.inPrelude {
		return a
	}
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	var head *answer
	if head, a.malformed = plainAnswer(contentType); a.malformed == nil {
		a.send(head)
	}
	return a
}

// send sends the head of a streamed answer.
func (a *answering) send(head *answer) {
	head.setHeader(a.w.Header(), a.x)
	a.sent, a.status = true, head.status
	a.w.WriteHeader(head.status)
	if head.hasBody() {
		// A caller that has gone away shows when the body is written.
		_ = a.control.Flush()
	}
}

// Write takes a piece of a streamed answer.
func (a *answering) Write(piece []byte) (int, error) {
	body := piece
	if a.inPrelude {
		body = a.takePrelude(piece)
	}
	if a.malformed != nil {
		return 0, a.malformed
	}
	if len(body) == 0 || a.r.Method == http.MethodHead {
		return len(piece), nil
	}
	if _, err := a.w.Write(body); err != nil {
		return 0, err
	}
	return len(piece), a.control.Flush()
}

// takePrelude collects the prelude, sends what it says when it is complete, and returns what of the piece belongs to the
// body.
func (a *answering) takePrelude(piece []byte) (body []byte) {
	from := max(0, len(a.prelude)-len(separator)+1)
	a.prelude = append(a.prelude, piece...)
	end := bytes.Index(a.prelude[from:], []byte(separator))
	if end < 0 {
		if len(a.prelude) > maxPrelude {
			a.malformed = errNoSeparator
		}
		return nil
	}
	end += from
	body = a.prelude[end+len(separator):]
	var head *answer
	if head, a.malformed = parsePrelude(a.prelude[:end]); a.malformed == nil {
		a.inPrelude, a.prelude = false, nil
		a.send(head)
	}
	return body
}

// limit bounds how long a caller may hold up a streamed answer.
func (a *answering) limit(d time.Duration) {
	if a.streams {
		// Not every connection has deadlines; those of the server's listener do.
		_ = a.control.SetWriteDeadline(time.Now().Add(d))
	}
}

// end sends what is left of a streamed answer, and makes the connection fit for the next one.
func (a *answering) end() {
	if a.streams {
		_ = a.control.Flush() // fails if the caller has gone away
		_ = a.control.SetWriteDeadline(time.Time{})
	}
}
