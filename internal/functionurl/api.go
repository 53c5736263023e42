package functionurl

import (
	"errors"
	"net/http"
	"strings"

	"serin"
	"serin/internal/httpapi"
	"serin/internal/router"
	"serin/internal/store"
)

// APIPathPrefix begins the path of a request that names its HTTP API by path.
const APIPathPrefix = "/execute-api/"

// apiTarget returns the id of the HTTP API that a request is for, the path as the function sees it, still escaped, and whether the API is
// named by path.
func (h *Handler) apiTarget(r *http.Request) (id, path string, byPath, ok bool) {
	if h.APIs == nil {
		return "", "", false, false
	}
	host, _, _ := strings.Cut(r.Host, ":")
	path = r.URL.EscapedPath()
	if id, ok = strings.CutSuffix(strings.ToLower(strings.TrimSuffix(host, ".")), h.apiDomain()); ok {
		return id, rooted(path), false, true
	}
	rest, ok := strings.CutPrefix(path, APIPathPrefix)
	if !ok {
		return "", "", false, false
	}
	id, path, _ = strings.Cut(rest, "/")
	return id, "/" + path, true, true
}

func (h *Handler) apiDomain() string { return ".execute-api." + h.Place.Region + ".localhost" }

var (
	noRoute   = refusal{http.StatusNotFound, "", "Not Found"}
	noBackend = refusal{http.StatusInternalServerError, "", "Internal Server Error"}
)

// serveAPI answers a request to an HTTP API. Its routes are open: there are no authorizers.
func (h *Handler) serveAPI(w http.ResponseWriter, r *http.Request, x *exchange, id, path string, byPath bool) {
	w.Header().Set("Apigw-Requestid", x.requestID)
	x.route = &httpapi.Match{} // for the form of errors
	cors, err := h.APIs.CORSOf(r.Context(), id)
	if err != nil {
		h.refuseAPI(w, r, x, err)
		return
	}
	if cors != nil && isPreflight(r) {
		answerPreflight(w.Header(), r.Header, cors)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	decorate(w.Header(), r.Header, cors)
	plain := strings.TrimPrefix(r.URL.Path, APIPathPrefix+id)
	if !byPath {
		plain = r.URL.Path
	}
	m, err := h.APIs.Match(r.Context(), id, r.Method, rooted(plain))
	if err != nil {
		h.refuseAPI(w, r, x, err)
		return
	}
	f, ok := h.Function(m.Name)
	if !ok {
		h.Log.DebugContext(r.Context(), "the function of a route does not exist", "api", id, "route", m.RouteKey, "function", m.Name)
		x.refuse(w, noBackend)
		return
	}
	x.route, x.path, x.byPath = &m, path, byPath
	x.URL = router.URL{
		FunctionURL: &serin.FunctionURL{ID: id, AuthType: serin.AuthTypeNone, CORS: cors, InvokeMode: serin.InvokeModeBuffered}, Function: f, Qualifier: m.Qualifier,
	}
	if readBody(w, r, x) {
		h.serve(w, r, x)
	}
}

func (h *Handler) refuseAPI(w http.ResponseWriter, r *http.Request, x *exchange, err error) {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, httpapi.ErrNoRoute) {
		x.refuse(w, noRoute)
		return
	}
	h.Log.ErrorContext(r.Context(), "HTTP API failed", "path", r.URL.Path, "request_id", x.requestID, "error", err)
	x.refuse(w, noBackend)
}

// refuse answers a request that no function answered, as a function URL or as an HTTP API does.
func (x *exchange) refuse(w http.ResponseWriter, why refusal) {
	if x.route == nil {
		refuse(w, why)
		return
	}
	if why.status == http.StatusBadGateway {
		why = noBackend
	}
	why.kind = ""
	why.write(w, jsonText(struct {
		Message string `json:"message"`
	}{why.message}))
}

// inAPI completes the event of a request that came by a route.
func (h *Handler) inAPI(e *event, x *exchange) {
	e.RouteKey, e.Path, e.Variables = x.route.RouteKey, x.route.Parameters, x.route.Variables
	e.Context.RouteKey, e.Context.Stage, e.Context.AccountID = x.route.RouteKey, x.route.Stage, h.Place.Account
	e.Context.DomainName = x.ID + h.apiDomain()
}
