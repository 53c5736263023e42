package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"serin"
	"serin/internal/overview"
	"serin/internal/recording"
	"serin/internal/release"
)

// Config is what the handlers work with.
type Config struct {
	*overview.Reader
	Recordings *recording.Recorder
	// Stopping ends when the server begins to shut down: nobody is kept waiting then.
	Stopping context.Context
}

type handler struct{ Config }

const (
	maxRequest = 1 << 20          // bytes of a request body
	longPoll   = 20 * time.Second // how long Wait lets a client wait
)

// New returns the handler of everything below [Prefix]. The caller authenticates.
func New(cfg Config) http.Handler {
	h := &handler{cfg}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"POST releases":                    h.start,
		"GET releases/{id}":                h.release,
		"POST releases/{id}/{command}":     h.command,
		"GET releases/{id}/certificate":    h.certificate,
		"POST rollback":                    h.rollback,
		"POST prune":                       h.prune,
		"POST recordings":                  h.record,
		"GET recordings":                   h.recordings,
		"GET recordings/{id}":              h.recording,
		"POST recordings/{id}/stop":        h.stopRecording,
		"DELETE recordings/{id}":           h.deleteRecording,
		"GET functions":                    h.functions,
		"GET functions/{function}":         h.status,
		"GET functions/{function}/history": h.history,

		"GET functions/{function}/aliases/{alias}/routing":   h.routing,
		"PATCH functions/{function}/aliases/{alias}/routing": h.reroute,
	} {
		var method, path string
		_, _ = fmt.Sscan(pattern, &method, &path)
		mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			out, err := serve(r)
			if err != nil {
				h.fail(w, r, err)
				return
			}
			write(w, http.StatusOK, out)
		})
	}
	mux.HandleFunc("GET "+Prefix+"recordings/{id}/file", h.recordingFile)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, r, serin.Errorf(serin.KindNotFound, "%s %s is not part of Serin's API.", r.Method, r.URL.Path))
	})
	return mux
}

func write(w http.ResponseWriter, status int, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"message":"The server could not write its answer."}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone
}

func read[T any](r *http.Request) (T, error) {
	var in T
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err != nil || len(body) > maxRequest {
		return in, serin.Errorf(serin.KindTooLarge, "Request must be smaller than %d bytes", maxRequest)
	}
	if len(body) == 0 {
		return in, nil
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return in, serin.Errorf(serin.KindContent, "Could not parse request body into json: %s", err)
	}
	return in, nil
}

func (h *handler) start(r *http.Request) (any, error) {
	in, err := read[StartRequest](r)
	if err != nil {
		return nil, err
	}
	started, err := h.Releases.Start(r.Context(), release.Request{
		Function: in.Function, Alias: in.Alias, Version: in.Version, Policy: in.Policy, Message: in.Message,
	})
	if err != nil {
		return nil, err
	}
	return h.Document(r.Context(), started), nil
}

func (h *handler) release(r *http.Request) (any, error) {
	after := r.URL.Query().Get("after")
	if after == "" {
		got, err := h.Releases.Get(r.Context(), r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		return h.Document(r.Context(), got), nil
	}
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return nil, serin.Errorf(serin.KindInvalid, "after: %q is not a number", after)
	}
	ctx, cancel := context.WithTimeout(r.Context(), longPoll)
	defer cancel()
	defer context.AfterFunc(h.Stopping, cancel)()
	got, err := h.Releases.Wait(ctx, r.PathValue("id"), n)
	if err != nil {
		return nil, err
	}
	return h.Document(r.Context(), got), nil
}

func (h *handler) command(r *http.Request) (any, error) {
	in, err := read[serin.Instruction](r)
	if err != nil {
		return nil, err
	}
	in.Command = serin.Command(r.PathValue("command"))
	got, err := h.Releases.Command(r.Context(), r.PathValue("id"), in)
	if err != nil {
		return nil, err
	}
	return h.Document(r.Context(), got), nil
}

func (h *handler) certificate(r *http.Request) (any, error) {
	return h.Releases.Certificate(r.Context(), r.PathValue("id"))
}

func (h *handler) rollback(r *http.Request) (any, error) {
	in, err := read[RollbackRequest](r)
	if err != nil {
		return nil, err
	}
	return h.RollBack(r.Context(), in)
}

func (h *handler) prune(r *http.Request) (any, error) {
	in, err := read[PruneRequest](r)
	if err != nil {
		return nil, err
	}
	return h.Prune(r.Context(), in)
}

func (h *handler) functions(*http.Request) (any, error) { return h.Functions(), nil }

func (h *handler) status(r *http.Request) (any, error) {
	return h.Status(r.Context(), r.PathValue("function"))
}

func (h *handler) history(r *http.Request) (any, error) {
	newest := overview.MaxMoves
	if n, err := strconv.Atoi(r.URL.Query().Get("newest")); err == nil && n > 0 {
		newest = n
	}
	return h.History(r.Context(), r.PathValue("function"), r.URL.Query().Get("alias"), newest)
}
