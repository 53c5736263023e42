// Package functionurl serves function URLs: plain HTTP requests in front of a function or an alias.
//
// A function URL is reached by its host name, <id>.lambda-url.<region>.localhost, or, where such names do not
// lead to the server, by path: /url/<id>/… on any host. Both are the same URL: the function does not see the
// prefix of the path. A request goes through five steps, each of which may answer it:
//
//	find       the router's index of ids; an unknown id looks like a forbidden one
//	preflight  what a browser asks before a request of another origin, if the URL has CORS settings
//	admit      AuthType NONE: the policy of the qualifier opens the URL; AWS_IAM: a signature of a known key
//	invoke     the request as an event in payload format 2.0; the alias's weights apply
//	answer     what the function returned as a response: whole, or, if the InvokeMode is RESPONSE_STREAM and the
//	           function streams its answer, while the function writes it
//
// By path all functions share the server's own origin, so a page that is served by path is
// sandboxed: the browser keeps it from what belongs to that origin.
package functionurl

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"serin"
	"serin/internal/httpapi"
	"serin/internal/invoke"
	"serin/internal/router"
	"serin/internal/tracing"
)

// PathPrefix begins the path of a request that names its function URL by path.
const PathPrefix = "/url/"

const (
	// maxPayload bounds the body of a request and the event that it becomes, in bytes, as on AWS.
	maxPayload = 6 << 20
	// bodyWithin is how long a body may take to arrive.
	bodyWithin = time.Minute
)

// Config is what a [Handler] is made of. All of it is required.
type Config struct {
	Place serin.Place
	// Find returns the function URL of an id.
	Find func(id string) (router.URL, bool)
	// Invoke runs the function.
	Invoke func(context.Context, *invoke.Request) (*invoke.Response, error)
	// Authenticate returns who signed a request, and its body of at most maxBody bytes.
	Authenticate func(r *http.Request, maxBody int64) (actor string, body []byte, err error)
	// Unauthenticated answers with an error of Authenticate.
	Unauthenticated func(w http.ResponseWriter, err error)
	// Anonymous is the actor whom Authenticate names if nobody has to sign.
	Anonymous string
	Now       func() time.Time
	NewID     func() string
	Log       *slog.Logger
	// APIs are the HTTP APIs, and Function returns a function of their routes. Both may be nil.
	APIs     *httpapi.Service
	Function func(name string) (*serin.Function, bool)
}

// Handler serves all function URLs. It is safe for concurrent use.
type Handler struct {
	Config
	domain string // what follows the id in a host name
}

// New returns a Handler.
func New(cfg Config) *Handler {
	return &Handler{Config: cfg, domain: ".lambda-url." + cfg.Place.Region + ".localhost"}
}

// Serves reports whether a request is for a function URL, be it one that exists or not.
func (h *Handler) Serves(r *http.Request) bool {
	_, _, _, ok := h.target(r)
	if !ok {
		_, _, _, ok = h.apiTarget(r)
	}
	return ok
}

// target returns the id of the function URL that a request is for, the path as the function sees it, still
// escaped, and whether the URL is named by path.
func (h *Handler) target(r *http.Request) (id, path string, byPath, ok bool) {
	host, _, _ := strings.Cut(r.Host, ":")
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	path = r.URL.EscapedPath()
	if id, ok = strings.CutSuffix(host, h.domain); ok {
		return id, rooted(path), false, true
	}
	rest, ok := strings.CutPrefix(path, PathPrefix)
	if !ok {
		return "", "", false, false
	}
	id, path, _ = strings.Cut(rest, "/")
	return id, "/" + path, true, true
}

func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// exchange is one request on its way.
type exchange struct {
	router.URL

	route     *httpapi.Match // of an HTTP API, or nil
	path      string         // as the function sees it, escaped
	byPath    bool
	actor     string // the access key that signed, or ""
	requestID string
	traceID   string
	body      []byte
}

// ServeHTTP answers a request that [Handler.Serves] accepts.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{requestID: h.NewID(), traceID: h.traceID(r)}
	w.Header().Set("X-Amzn-Requestid", x.requestID)
	w.Header().Set("X-Amzn-Trace-Id", x.traceID)
	if id, path, byPath, ok := h.apiTarget(r); ok {
		h.serveAPI(w, r, x, id, path, byPath)
		return
	}
	id, path, byPath, _ := h.target(r)
	u, ok := h.Find(id)
	if !ok {
		refuse(w, forbidden)
		return
	}
	x.URL, x.path, x.byPath = u, path, byPath
	if u.CORS != nil && isPreflight(r) {
		answerPreflight(w.Header(), r.Header, u.CORS)
		w.WriteHeader(http.StatusOK)
		return
	}
	// Browsers show a page the reason why it was refused only with these.
	decorate(w.Header(), r.Header, u.CORS)
	if !h.admit(w, r, x) {
		return
	}
	h.serve(w, r, x)
}

// traceID returns the trace that a request takes part in, or begins one.
func (h *Handler) traceID(r *http.Request) string {
	if id := tracing.FromHeader(r.Header); id != "" && len(id) <= 256 {
		return id
	}
	random := uuid.New()
	const digits = "0123456789abcdef"
	b := []byte("Root=1-")
	seconds := h.Now().Unix()
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[seconds>>shift&15])
	}
	b = append(b, '-')
	for _, c := range random[:12] {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}

// admit decides who may call, reads the body and answers those who may not.
func (h *Handler) admit(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	control := http.NewResponseController(w)
	// Not every connection has deadlines; those of the server's listener do.
	_ = control.SetReadDeadline(time.Now().Add(bodyWithin))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	if x.AuthType == serin.AuthTypeNone {
		if !x.Function.At(x.Qualifier).Policy.OpensURL() {
			h.Log.DebugContext(r.Context(), "a function URL without authentication is closed by its policy",
				"function", x.Function.Name, "qualifier", x.Qualifier, "request_id", x.requestID)
			refuse(w, forbidden)
			return false
		}
		return readBody(w, r, x)
	}
	actor, body, err := h.Authenticate(r, maxPayload)
	if err != nil {
		if !signed(r) {
			refuse(w, forbidden)
		} else {
			h.Unauthenticated(w, err)
		}
		return false
	}
	if actor != h.Anonymous {
		x.actor = actor
	}
	x.body = body
	return true
}

// readBody reads the body of a request that nobody has to sign.
func readBody(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	var err error
	if r.ContentLength <= maxPayload {
		x.body, err = io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	}
	switch {
	case err != nil:
		x.refuse(w, badRequest)
		return false
	case r.ContentLength > maxPayload || len(x.body) > maxPayload:
		if r.Header.Get("Expect") == "" {
			// Most clients read the answer only after they have sent everything. Nothing depends on how it ends.
			_, _ = io.CopyN(io.Discard, r.Body, maxPayload)
		}
		x.refuse(w, tooLargeRequest)
		return false
	default:
		return true
	}
}

func signed(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
}

// serve invokes the function and answers with what it returned.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, x *exchange) {
	payload := h.event(r, x)
	if len(payload) > maxPayload {
		x.refuse(w, tooLargeRequest)
		return
	}
	a := &answering{w: w, r: r, x: x, control: http.NewResponseController(w), malformed: errors.New("nothing was returned")}
	in := &invoke.Request{
		FunctionName: x.Function.Name, Qualifier: x.Qualifier, Type: invoke.RequestResponse,
		TraceID: x.traceID, RequestID: x.requestID, Payload: payload, Judge: a.judge,
		Header: r.Header, Anonymous: x.AuthType == serin.AuthTypeNone,
	}
	if x.InvokeMode == serin.InvokeModeStream {
		in.Stream = a.begin
	}
	out, err := h.Invoke(serin.WithActor(r.Context(), x.actor), in)
	a.limit(lastByteWithin)
	defer a.end()
	switch {
	case a.sent && (err != nil || out.FunctionError != ""):
		// All that can still be said is that the response is not complete.
		panic(http.ErrAbortHandler)
	case err != nil:
		h.fail(w, r, x, err)
	case out.FunctionError != "":
		x.refuse(w, badGateway)
	case a.malformed != nil:
		h.Log.DebugContext(r.Context(), "a function URL got an answer that is no response", "function", x.Function.Name,
			"version", out.ExecutedVersion, "request_id", x.requestID, "error", a.malformed)
		x.refuse(w, badGateway)
	case !a.sent:
		a.whole.write(w, r, x)
	}
}

// fail answers for an invocation that did not take place.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	if e, ok := errors.AsType[*serin.Error](err); ok {
		if why, ok := refusalOf(e); ok {
			x.refuse(w, why)
			return
		}
	}
	if r.Context().Err() == nil {
		h.Log.ErrorContext(r.Context(), "function URL failed", "function", x.Function.Name, "qualifier", x.Qualifier,
			"request_id", x.requestID, "error", err)
	}
	x.refuse(w, badGateway)
}

// refusalOf is what the caller is told of an error, if it is anything but that the function cannot be run.
func refusalOf(e *serin.Error) (refusal, bool) {
	switch {
	case e.Reason == serin.ReasonPin && e.Kind == serin.KindDenied:
		return refusal{http.StatusForbidden, "AccessDeniedException", e.Message}, true
	case e.Reason == serin.ReasonPin:
		return refusal{http.StatusBadRequest, "InvalidParameterValueException", e.Message}, true
	case e.Kind == serin.KindThrottled:
		return tooManyRequests, true
	case e.Kind == serin.KindNotFound: // has been deleted since it was found
		return forbidden, true
	case e.Kind == serin.KindTooLarge:
		return tooLargeRequest, true
	default:
		return refusal{}, false
	}
}

// refusal is an answer that no function gave.
type refusal struct {
	status  int
	kind    string // for X-Amzn-Errortype, or ""
	message string
}

var (
	// forbidden is recorded on AWS, November 2025.
	forbidden = refusal{
		http.StatusForbidden, "AccessDeniedException",
		"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html",
	}
	badRequest      = refusal{http.StatusBadRequest, "", "Bad Request"}
	tooLargeRequest = refusal{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "Request Entity Too Large"}
	tooManyRequests = refusal{http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded."}
	badGateway      = refusal{http.StatusBadGateway, "", "Internal Server Error"}
)

func refuse(w http.ResponseWriter, why refusal) {
	why.write(w, jsonText(struct{ Message string }{why.message}))
}

func (why refusal) write(w http.ResponseWriter, body []byte) {
	header := w.Header()
	if why.kind != "" {
		header.Set("X-Amzn-Errortype", why.kind)
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(why.status)
	// A caller that has gone away cannot be told so.
	_, _ = w.Write(body)
}

// jsonText encodes what always encodes, without the escapes that are for HTML.
func jsonText(document any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// Structs of strings and numbers always encode, and a buffer takes every write.
	_ = e.Encode(document)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
