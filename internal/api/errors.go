package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"serin"
)

// statuses pairs the kinds of errors with their HTTP status. The first kind of a status is what the client
// makes of it.
var statuses = []struct {
	kind   serin.Kind
	status int
}{
	{serin.KindInvalid, http.StatusBadRequest},
	{serin.KindValidation, http.StatusBadRequest},
	{serin.KindContent, http.StatusBadRequest},
	{serin.KindStorage, http.StatusBadRequest},
	{serin.KindPolicyLength, http.StatusBadRequest},
	{serin.KindDenied, http.StatusForbidden},
	{serin.KindNotFound, http.StatusNotFound},
	{serin.KindNotProvisioned, http.StatusNotFound},
	{serin.KindConflict, http.StatusConflict},
	{serin.KindPrecondition, http.StatusPreconditionFailed},
	{serin.KindTooLarge, http.StatusRequestEntityTooLarge},
	{serin.KindThrottled, http.StatusTooManyRequests},
	{serin.KindInternal, http.StatusInternalServerError},
	{serin.KindNotImplemented, http.StatusNotImplemented},
}

// errorBody is the form of errors on the wire: Lambda's, and the reason.
type errorBody struct {
	Message string `json:"message"`
	Reason  string `json:"reason,omitempty"`
}

// fail answers with an error. Only domain errors show their message; the cause of others is for the log.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*serin.Error](err)
	if !ok {
		h.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		e = serin.Errorf(serin.KindInternal, "The server failed; its log says why.")
	}
	status := http.StatusInternalServerError
	for _, s := range statuses {
		if s.kind == e.Kind {
			status = s.status
		}
	}
	write(w, status, errorBody{Message: e.Message, Reason: e.Reason})
}

// remoteError turns an error answer into the domain error that the server saw.
func remoteError(status int, answer []byte) error {
	var body errorBody // also matches a capital Message
	if json.Unmarshal(answer, &body) != nil || body.Message == "" {
		body.Message = "the server answered " + http.StatusText(status)
	}
	e := &serin.Error{Kind: serin.KindInternal, Reason: body.Reason, Message: body.Message}
	for _, s := range statuses {
		if s.status == status {
			e.Kind = s.kind
			break
		}
	}
	return e
}
