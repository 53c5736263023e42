package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"
)

const (
	// maxExtensionBody is the largest request of an extension, in bytes.
	maxExtensionBody = 64 << 10
	// eventTime is how long an extension that waits for an event may take to receive it.
	eventTime = time.Second
)

// extensionHeaders are the header fields of a request of an extension.
type extensionHeaders struct{ name, id, errorType string }

func (h *extensionHeaders) field(name, value []byte) {
	switch {
	case equalFold(name, "name"):
		h.name = string(value)
	case equalFold(name, "identifier"):
		h.id = string(value)
	case equalFold(name, "function-error-type"):
		h.errorType = string(value)
	}
}

// extensionRoute returns what serves a request of the Extensions, Telemetry or Logs API, or nil.
func extensionRoute(method, path string) func(*session, *conn) bool {
	switch method + " " + path {
	case "POST /2020-01-01/extension/register":
		return (*session).handleRegister
	case "GET /2020-01-01/extension/event/next":
		return (*session).handleEventNext
	case "POST /2020-01-01/extension/init/error":
		return func(s *session, c *conn) bool { return s.handleExtensionError(c, extensionInitError) }
	case "POST /2020-01-01/extension/exit/error":
		return func(s *session, c *conn) bool { return s.handleExtensionError(c, extensionExitError) }
	case "PUT /2022-07-01/telemetry":
		return func(s *session, c *conn) bool { return s.handleSubscribe(c, false) }
	case "PUT /2020-08-15/logs":
		return func(s *session, c *conn) bool { return s.handleSubscribe(c, true) }
	default:
		return nil
	}
}

// handleOther serves a request that is not of the Runtime API. Its connection leaves those of the runtime: it lives
// on when the runtime has ended, and the owner of the environment never reads it.
func (s *session) handleOther(c *conn) bool {
	route := extensionRoute(string(c.req.method), string(c.req.path))
	if route == nil {
		return s.finish(c, replyNotFound)
	}
	if !s.setAside(c) {
		return route(s, c)
	}
	go func() {
		c.resume()
		c.limit(time.Time{}, time.Time{})
		if route(s, c) {
			s.serve(c)
		}
	}()
	return false
}

// setAside moves a connection to those of extensions. It reports whether the owner was reading it, which no longer does.
func (s *session) setAside(c *conn) (inline bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if inline = s.inline == c; inline {
		s.inline, s.reading = nil, nil
	}
	if c.aside {
		return inline
	}
	c.aside = true
	delete(s.conns, c)
	if s.aside == nil {
		s.aside = map[*conn]struct{}{}
	}
	s.aside[c] = struct{}{}
	if !s.exited.IsZero() {
		_ = c.nc.SetDeadline(time.Time{}) // if it fails, the connection is closed
		s.notify(nil)
	}
	return inline
}

// takeBack moves a connection to those of the runtime, because the process that has both uses one for both.
func (s *session) takeBack(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.aside = false
	delete(s.aside, c)
	s.conns[c] = struct{}{}
	if !s.exited.IsZero() {
		_ = c.nc.SetDeadline(time.Now().Add(strayTime))
	}
}

func forbiddenExtension(errorType, message string) []byte {
	return replyError(http.StatusForbidden, "Forbidden", errorType, message)
}

// body reads the body of a request of an extension. If there is none to work with, the request has been dealt with
// and goOn says what handle returns.
func (s *session) body(c *conn) (body []byte, ok, goOn bool) {
	body, err := c.receiveUpTo(maxExtensionBody)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, false, s.finishTooLarge(c)
	case err != nil:
		s.refuse(c, err)
		return nil, false, false
	}
	return body, true, true
}

var extensionNamePattern = regexp.MustCompile(`^[\x21-\x7e][\x20-\x7e]{0,127}$`)

// registration is what an extension asks to be registered for.
type registration struct {
	Events []string `json:"events"`
}

func (s *session) handleRegister(c *conn) bool {
	name := c.req.extension.name
	body, ok, goOn := s.body(c)
	if !ok {
		return goOn
	}
	var r registration
	if !extensionNamePattern.MatchString(name) {
		return s.finish(c, forbiddenExtension("Extension.InvalidExtensionName", "Empty or invalid extension name"))
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return s.finish(c, replyError(http.StatusBadRequest, "Bad Request", "InvalidRequestFormat", err.Error()))
	}
	e, errorType, message := s.extensions.register(name, r.Events)
	if e == nil {
		return s.finish(c, forbiddenExtension(errorType, message))
	}
	s.extensions.mu.Lock()
	spec := s.extensions.spec
	s.extensions.mu.Unlock()
	reply, _ := json.Marshal(struct { // strings always marshal
		Function string `json:"functionName"`
		Version  string `json:"functionVersion"`
		Handler  string `json:"handler"`
	}{spec.Function, spec.Version, spec.Handler})
	return s.finish(c, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Extension-Identifier: %s\r\nContent-Length: %d\r\n\r\n%s",
		e.id, len(reply), reply))
}

// identify returns the extension that has sent a request, or the reply that refuses it. The caller holds the lock
// of the extensions.
func (s *session) identify(id string) (*extension, []byte) {
	if id == "" {
		return nil, forbiddenExtension("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
	}
	e := s.extensions.byID(id)
	if e == nil {
		return nil, forbiddenExtension("Extension.UnknownExtensionIdentifier", fmt.Sprintf("Unknown extension %.100q", id))
	}
	return e, nil
}

// invalidState refuses a request that an extension may not make any more.
func invalidState(e *extension, to extensionState) []byte {
	return forbiddenExtension("Extension.InvalidExtensionState",
		fmt.Sprintf("State transition from %s to %s failed for extension %s. Error: State transition is not allowed", e.state, to, e.name))
}

// handleEventNext parks the connection until there is an event.
func (s *session) handleEventNext(c *conn) bool {
	if err := c.discardBody(); err != nil {
		s.refuse(c, err)
		return false
	}
	x := &s.extensions
	x.mu.Lock()
	e, refusal := s.identify(c.req.extension.id)
	if e != nil && (e.state == extensionInitError || e.state == extensionExitError || e.state == extensionExited) {
		refusal = invalidState(e, extensionReady)
	}
	if refusal != nil {
		x.mu.Unlock()
		return s.finish(c, refusal)
	}
	if event := e.pending; event != nil {
		e.state, e.pending = extensionRunning, nil
		x.mu.Unlock()
		return s.finish(c, event)
	}
	before := e.parked
	e.parked, e.state = c, extensionReady
	x.change()
	x.mu.Unlock()
	if before != nil && before != c {
		s.drop(before) // its client has given up
	}
	return false
}

// handleExtensionError notes that an extension gives up.
func (s *session) handleExtensionError(c *conn, state extensionState) bool {
	headers := c.req.extension
	body, ok, goOn := s.body(c)
	if !ok {
		return goOn
	}
	var report struct {
		Message string `json:"errorMessage"`
	}
	_ = json.Unmarshal(body, &report) // it is not needed
	x := &s.extensions
	x.mu.Lock()
	e, refusal := s.identify(headers.id)
	switch {
	case refusal != nil:
	case headers.errorType == "":
		refusal = forbiddenExtension("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
	case e.state == extensionInitError || e.state == extensionExitError || state == extensionInitError && x.closed:
		refusal = invalidState(e, state)
	default:
		e.state, e.errorType = state, headerValue(headers.errorType)
		message := report.Message
		if message == "" {
			message = e.errorType
		}
		x.fail(&initFailure{errorType: "Extension." + string(state), message: message, repeatable: true})
	}
	x.mu.Unlock()
	if refusal != nil {
		return s.finish(c, refusal)
	}
	return s.finish(c, acknowledgement)
}

// tell gives an event to the extensions that want it.
func (s *session) tell(kind string, event any) {
	body, _ := json.Marshal(event) // strings and numbers always marshal
	id := newExtensionID()
	message := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Extension-Event-Identifier: %s\r\nContent-Length: %d\r\n\r\n%s", id, len(body), body)
	for _, e := range s.extensions.list {
		if e.wants(kind) {
			s.post(e, message)
		}
	}
}

// post gives an event to an extension, or keeps it until the extension asks.
func (s *session) post(e *extension, event []byte) {
	x := &s.extensions
	x.mu.Lock()
	c := e.parked
	e.parked, e.pending = nil, event
	if c == nil {
		x.mu.Unlock()
		return
	}
	e.state, e.pending = extensionRunning, nil
	x.mu.Unlock()
	closing := c.req.closing
	now := time.Now()
	c.limit(now.Add(eventTime), now)
	c.out = append(c.out, event...)
	if c.flush() != nil {
		s.drop(c)
		x.mu.Lock()
		if e.pending == nil {
			e.pending = event
		}
		x.mu.Unlock()
		return
	}
	if closing {
		s.drop(c)
		return
	}
	go s.serve(c)
}

// invokeEvent is the event INVOKE.
type invokeEvent struct {
	Type        string  `json:"eventType"`
	Deadline    int64   `json:"deadlineMs"`
	RequestID   string  `json:"requestId"`
	FunctionARN string  `json:"invokedFunctionArn"`
	Tracing     tracing `json:"tracing"`
}

// tellInvocation tells the extensions of an invocation.
func (s *session) tellInvocation(d *delivery) {
	if len(s.extensions.list) == 0 {
		return
	}
	s.tell(eventInvoke, invokeEvent{
		Type: eventInvoke, Deadline: d.deadline.UnixMilli(), RequestID: d.RequestID, FunctionARN: d.InvokedARN,
		Tracing: tracing{Type: "X-Amzn-Trace-Id", Value: d.TraceID},
	})
}

// isExtensionHeader cuts the beginning that the header fields of extensions share.
func isExtensionHeader(name []byte) ([]byte, bool) {
	const prefix = "lambda-extension-"
	if len(name) <= len(prefix) || !equalFold(name[:len(prefix)], prefix) {
		return nil, false
	}
	return name[len(prefix):], true
}
