package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"serin"
	"serin/internal/overview"
)

// Every kind of error keeps its message and reason on the way to the client, and its kind unless another
// kind has the same status.
func TestErrorsRoundTrip(t *testing.T) {
	h := &handler{Config{Reader: &overview.Reader{Log: slog.New(slog.DiscardHandler)}}}
	folded := map[serin.Kind]serin.Kind{
		serin.KindValidation: serin.KindInvalid, serin.KindContent: serin.KindInvalid, serin.KindStorage: serin.KindInvalid,
		serin.KindPolicyLength: serin.KindInvalid, serin.KindNotProvisioned: serin.KindNotFound,
	}
	for _, s := range statuses {
		w := httptest.NewRecorder()
		sent := &serin.Error{Kind: s.kind, Reason: "preflight", Message: "what to do"}
		h.fail(w, httptest.NewRequest(http.MethodGet, "/", nil), fmt.Errorf("context for the log: %w", sent))
		got, ok := errors.AsType[*serin.Error](remoteError(w.Code, w.Body.Bytes()))
		want := s.kind
		if other, ok := folded[want]; ok {
			want = other
		}
		if !ok || got.Kind != want || got.Reason != "preflight" || got.Message != "what to do" {
			t.Errorf("kind %d arrives as %+v", s.kind, got)
		}
		if strings.Contains(w.Body.String(), "context for the log") {
			t.Errorf("kind %d: the wrapping text reached the wire", s.kind)
		}
	}
	w := httptest.NewRecorder()
	h.fail(w, httptest.NewRequest(http.MethodGet, "/", nil), errors.New("secret cause"))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("an internal error: %d %s", w.Code, w.Body)
	}
	if e, _ := errors.AsType[*serin.Error](remoteError(http.StatusBadGateway, []byte("<html>"))); e.Kind != serin.KindInternal || e.Message == "" {
		t.Errorf("an answer that is not ours: %+v", e)
	}
}

func TestHostileRequests(t *testing.T) {
	h := New(Config{Reader: &overview.Reader{Log: slog.New(slog.DiscardHandler), Now: time.Now}})
	for _, tt := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "releases", "{", http.StatusBadRequest},
		{"POST", "releases", `{"version":"seven"}`, http.StatusBadRequest},
		{"POST", "releases", `{"policy":{"maxWait":"soon"}}`, http.StatusBadRequest},
		{"POST", "rollback", `{"version":"$LATEST"}`, http.StatusBadRequest},
		{"POST", "rollback", strings.Repeat(" ", maxRequest+1), http.StatusRequestEntityTooLarge},
		{"GET", "releases/x?after=soon", "", http.StatusBadRequest},
		{"GET", "nothing/here", "", http.StatusNotFound},
		{"DELETE", "functions", "", http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, Prefix+tt.path, strings.NewReader(tt.body)))
		if w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d: %s", tt.method, tt.path, w.Code, tt.want, w.Body)
		}
	}
}
