package executor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// apiPrefix starts every path of the Runtime API.
const apiPrefix = "/2018-06-01/"

// responseTooLarge is the type of the error that stands for a response over the limit.
const responseTooLarge = "Function.ResponseSizeTooLarge"

// acknowledgement answers a response or an error that has been accepted.
var acknowledgement = reply(202, "Accepted", `{"status":"OK"}`)

var (
	replyPong            = reply(200, "OK", "pong")
	replyNotFound        = reply(404, "Not Found", "404 page not found\n")
	replyInvalidID       = replyError(400, "Bad Request", "InvalidRequestID", "Invalid request ID")
	replyInvalidMode     = replyError(400, "Bad Request", "InvalidFunctionResponseMode", "Invalid function response mode")
	replyEntityTooLarge  = replyError(413, "Request Entity Too Large", "RequestEntityTooLarge", fmt.Sprintf("Exceeded maximum allowed payload size (%d bytes).", maxPayload))
	replyHeaderTooLarge  = reply(431, "Request Header Fields Too Large", "")
	replyMalformed       = reply(400, "Bad Request", "")
	replyContinue        = []byte("HTTP/1.1 100 Continue\r\n\r\n")
	tooLargeErrorPayload = errorPayload(responseTooLarge, fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxPayload))
)

func reply(status int, text, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, text, len(body), body)
}

func replyError(status int, text, errorType, message string) []byte {
	body, _ := json.Marshal(struct { // strings always marshal
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, errorType})
	return reply(status, text, string(body))
}

// handle serves the request whose head has been read. It reports whether the caller is to go on
// reading from the connection.
func (s *session) handle(c *conn) bool {
	if c.req.compact {
		return s.handleCompact(c)
	}
	path, ok := bytes.CutPrefix(c.req.path, []byte(apiPrefix))
	if ok && c.aside {
		s.takeBack(c)
	}
	get, post := string(c.req.method) == "GET", string(c.req.method) == "POST"
	switch {
	case !ok:
		return s.handleOther(c)
	case get && string(path) == "runtime/invocation/next":
		return s.handleNext(c)
	case get && string(path) == "ping":
		return s.finish(c, replyPong)
	case post && string(path) == "runtime/init/error":
		return s.handleInitError(c)
	case post && bytes.HasPrefix(path, []byte("runtime/invocation/")):
		id, kind, _ := bytes.Cut(path[len("runtime/invocation/"):], []byte("/"))
		if string(kind) == "response" || string(kind) == "error" {
			return s.handleAnswer(c, id, string(kind) == "error")
		}
	}
	return s.finish(c, replyNotFound)
}

// handleNext parks the connection until there is an invocation. A runtime that asks while it has one gets it again.
func (s *session) handleNext(c *conn) bool {
	if err := c.discardBody(); err != nil {
		s.refuse(c, err)
		return false
	}
	s.mu.Lock()
	switch s.phase {
	case phaseInitError, phaseResponding:
		reply := s.forbidden(phaseReady)
		s.mu.Unlock()
		return s.finish(c, reply)
	case phaseRunning:
		d := s.delivery
		s.mu.Unlock()
		if c.sendInvocation(d) != nil || c.req.closing {
			s.drop(c)
			return false
		}
		return true
	default:
	}
	before := s.parked
	s.parked = c
	s.phase = phaseReady
	s.notify(c)
	s.mu.Unlock()
	if before != nil && before != c {
		s.drop(before) // its client has given up
	}
	return false
}

func (s *session) handleInitError(c *conn) bool {
	errorType := c.req.errorType
	body, err := c.receive()
	if err != nil && !errors.Is(err, errTooLarge) {
		s.refuse(c, err)
		return false
	}
	s.mu.Lock()
	if s.phase != phaseStarted {
		reply := s.forbidden(phaseInitError)
		s.mu.Unlock()
		return s.finish(c, reply)
	}
	s.phase = phaseInitError
	s.answer = &answer{payload: c.errorBody(body), failed: true, errorType: normalErrorType(errorType)}
	if err != nil {
		s.answer = &answer{payload: tooLargeErrorPayload, failed: true, errorType: responseTooLarge}
	}
	s.notify(c)
	s.mu.Unlock()
	if err != nil {
		return s.finishTooLarge(c)
	}
	return s.finish(c, acknowledgement)
}

func (s *session) handleAnswer(c *conn, id []byte, failed bool) bool {
	if !failed && s.claim(c, id) {
		return false
	}
	s.mu.Lock()
	d := s.delivery
	known := string(id) == s.requestID && s.requestID != ""
	s.mu.Unlock()
	body, err := c.receive()
	if err != nil && !errors.Is(err, errTooLarge) {
		s.refuse(c, err)
		return false
	}
	rejection := replyInvalidID
	if known {
		rejection = s.accept(c, d, c.answer(body, err, failed), failed)
	}
	switch {
	case err != nil:
		return s.finishTooLarge(c)
	case rejection != nil:
		return s.finish(c, rejection)
	case !failed && !validMode(c.req.responseMode):
		return s.finish(c, replyInvalidMode)
	case c.req.compact:
		return true
	}
	s.mu.Lock()
	inline := s.reading == c
	s.mu.Unlock()
	if inline && !c.req.closing {
		c.out = append(c.out, acknowledgement...) // the owner sends it when it has what it waits for
		return true
	}
	return s.finish(c, acknowledgement)
}

// accept makes a the answer of a delivery, or returns what refuses it.
func (s *session) accept(c *conn, d *delivery, a answer, failed bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d == nil || s.delivery != d {
		if failed {
			return s.forbidden("InvocationErrorResponse")
		}
		return s.forbidden("InvocationResponse")
	}
	s.phase = phaseResponseSent
	d.answer = a
	s.delivery, s.answer = nil, &d.answer
	s.notify(c)
	return nil
}

// answer returns what a request with an invocation's response or error means to the caller.
func (c *conn) answer(body []byte, err error, failed bool) answer {
	switch {
	case err != nil:
		return answer{payload: tooLargeErrorPayload, failed: true, errorType: responseTooLarge}
	case failed:
		return answer{payload: c.errorBody(body), failed: true, errorType: normalErrorType(c.req.errorType)}
	case !validMode(c.req.responseMode):
		const kind = "Runtime.InvalidResponseModeHeader"
		return answer{payload: errorPayload(kind, "Invalid function response mode"), failed: true, errorType: kind}
	case c.req.lateError != "":
		// The function failed after it had begun to respond; the trailers say why.
		return answer{payload: c.req.lateErrorBody(), failed: true, errorType: normalErrorType(c.req.lateError)}
	case c.req.streams():
		return answer{payload: body, contentType: c.req.contentType}
	default:
		return answer{payload: body}
	}
}

// validMode reports whether a runtime may announce the response mode. A response that is streamed is collected
// unless the caller takes it as it comes: see claim.
func validMode(mode string) bool { return mode == "" || mode == "streaming" }

// receive reads the body of a response or an error.
func (c *conn) receive() ([]byte, error) { return c.receiveUpTo(maxPayload) }

// receiveUpTo reads a body of up to limit bytes. It tells a client that waits for it to go ahead.
func (c *conn) receiveUpTo(limit int) ([]byte, error) {
	if c.req.expect && c.req.length <= int64(limit) {
		c.req.expect = false
		c.out = append(c.out, replyContinue...)
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	return c.readBody(limit)
}

// errorBody returns what the caller gets of an error: the whole of it, except a cause that is meant for X-Ray.
func (c *conn) errorBody(body []byte) []byte {
	if !strings.EqualFold(c.req.contentType, errorCauseType) {
		return body
	}
	var e struct {
		Message json.RawMessage `json:"errorMessage,omitempty"`
		Type    json.RawMessage `json:"errorType,omitempty"`
		Trace   json.RawMessage `json:"stackTrace,omitempty"`
	}
	if json.Unmarshal(body, &e) != nil {
		return []byte(`"Invalid error body"`)
	}
	filtered, err := json.Marshal(e)
	if err != nil {
		return []byte(`"Invalid error body"`)
	}
	return filtered
}

var errorTypePattern = regexp.MustCompile(`^(Runtime|Function)\.[A-Z][a-zA-Z]+$`)

// normalErrorType maps what a runtime calls an error to what the platform counts it as.
func normalErrorType(t string) string {
	switch {
	case errorTypePattern.MatchString(t):
		return t
	case strings.HasPrefix(t, "Function."):
		return "Function.Unknown"
	default:
		return "Runtime.Unknown"
	}
}

// forbidden says that a request came out of order. The caller holds s.mu.
func (s *session) forbidden(to phase) []byte {
	return replyError(403, "Forbidden", "InvalidStateTransition",
		fmt.Sprintf("State transition from %s to %s failed for runtime. Error: State transition is not allowed", s.phase, to))
}

// finish replies and skips a body that nobody has read. It reports whether the connection lives on.
func (s *session) finish(c *conn, reply []byte) bool {
	c.out = append(c.out, reply...)
	err := c.flush()
	if err != nil || c.req.closing || c.discardBody() != nil {
		s.drop(c)
		return false
	}
	return true
}

// finishTooLarge replies to a body that is too large and skips it on a goroutine of its own, so that
// the owner does not wait for the rest of it.
func (s *session) finishTooLarge(c *conn) bool {
	c.out = append(c.out, replyEntityTooLarge...)
	s.mu.Lock()
	inline := s.inline == c
	if inline {
		s.inline, s.reading = nil, nil
	}
	s.mu.Unlock()
	skip := func() bool {
		c.resume()
		c.limit(time.Time{}, time.Time{})
		return s.finish(c, nil)
	}
	if !inline {
		return skip()
	}
	go func() {
		if skip() {
			s.serve(c)
		}
	}()
	return false
}

// refuse ends a connection whose next request could not be read.
func (s *session) refuse(c *conn, err error) {
	var reply []byte
	switch {
	case errors.Is(err, errBadRequest):
		reply = replyMalformed
	case errors.Is(err, errHeader):
		reply = replyHeaderTooLarge
	}
	if reply != nil {
		now := time.Now()
		c.limit(now.Add(strayTime), now)
		c.out = append(c.out, reply...)
		_ = c.flush() // the connection is closed either way
	}
	s.drop(c)
}

// sendInvocation answers "next", behind what is queued.
func (c *conn) sendInvocation(d *delivery) error {
	if c.req.compact {
		return c.sendCompact(d)
	}
	out := append(c.out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Deadline-Ms: "...)
	out = strconv.AppendInt(out, d.deadline.UnixMilli(), 10)
	for _, h := range [...]struct{ name, value string }{
		{"\r\nLambda-Runtime-Aws-Request-Id: ", d.RequestID},
		{"\r\nLambda-Runtime-Invoked-Function-Arn: ", d.InvokedARN},
		{"\r\nLambda-Runtime-Trace-Id: ", d.TraceID},
		{"\r\nLambda-Runtime-Client-Context: ", d.ClientContext},
		{"\r\nLambda-Runtime-Cognito-Identity: ", d.CognitoIdentity},
	} {
		if h.value != "" {
			out = append(out, h.name...)
			out = append(out, headerValue(h.value)...)
		}
	}
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(d.Payload)), 10)
	out = append(out, "\r\n\r\n"...)
	return c.send(out, d.Payload)
}

// joinedPayload is the size up to which a payload is copied behind its head.
const joinedPayload = 32 << 10

// headerValue makes a string fit for a header line.
func headerValue(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s)
}

// errorPayload returns the payload of an error that the platform reports.
func errorPayload(errorType, message string) []byte {
	payload, _ := json.Marshal(struct { // strings always marshal
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{errorType, message})
	return payload
}
