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
	"serin/internal/evidence"
	"serin/internal/metrics"
)

// Every kind of error keeps its message and reason on the way to the client, and its kind unless another
// kind has the same status.
func TestErrorsRoundTrip(t *testing.T) {
	h := &handler{Config{Log: slog.New(slog.DiscardHandler)}}
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
	h := New(Config{Log: slog.New(slog.DiscardHandler), Now: time.Now})
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

func TestDescribeEvidence(t *testing.T) {
	ev, err := evidence.New(evidence.Config{})
	if err != nil {
		t.Fatal(err)
	}
	block := evidence.Block{CanaryRequests: 40, CanaryErrors: 10, BaselineRequests: 360, BaselineErrors: 1}
	if err := ev.Add(0.1, block); err != nil {
		t.Fatal(err)
	}
	saved, err := ev.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	r := &serin.Release{
		Policy: serin.DefaultPolicy(), Verdict: serin.VerdictWorse, Evidence: saved,
		Steps: []serin.Step{{Weight: 10, Baseline: serin.Counts{Requests: 360, Errors: 1}, Canary: serin.Counts{Requests: 40, Errors: 10}}},
	}
	e, why := describeEvidence(r)
	if e.EValue < 100 || e.CanaryRequests != 40 || e.LowerBoundRequests <= 0 || e.LowerBoundRequests > 40 || e.Low == nil || *e.Low <= 0 {
		t.Errorf("evidence: %+v", e)
	}
	if why.Signal != "errors" || why.Canary != 0.25 || why.HarmExcluded <= 0.2 {
		t.Errorf("reason: %+v", why)
	}
	// Nothing was counted: nothing is claimed.
	e, why = describeEvidence(&serin.Release{Policy: serin.DefaultPolicy()})
	if e.EValue != 1 || why.HarmExcluded != 1 || e.Low != nil {
		t.Errorf("without evidence: %+v, %+v", e, why)
	}
}

func TestVersionStatus(t *testing.T) {
	recorder := metrics.New(time.Now)
	for range 3 {
		recorder.Record(metrics.Sample{Function: "shop", Alias: "live", Version: 2, Outcome: serin.OutcomeTimeout, Duration: 1500 * time.Microsecond, Init: time.Second})
	}
	recorder.Record(metrics.Sample{Function: "shop", Version: 2, Duration: time.Millisecond})
	got := versionStatus(&serin.Version{Number: 2}, recorder.Function("shop"))
	if len(got.Metrics) != 2 || got.Metrics[0].Alias != "" || got.Metrics[1].ByKind["timeout"] != 3 || got.Metrics[1].Errors != 3 ||
		got.Metrics[1].Duration.Max != 1.5 || got.Metrics[1].Init.P50 != 1000 {
		t.Errorf("%+v", got.Metrics)
	}
}

func TestEventMetrics(t *testing.T) {
	recorder := metrics.New(time.Now)
	if got := eventMetrics(recorder.Events("shop")); got != nil {
		t.Errorf("without events: %+v", got)
	}
	recorder.EventReceived("shop", "")
	recorder.EventStarted("shop", "", 1500*time.Microsecond)
	recorder.EventDropped("shop", "", true)
	recorder.DestinationFailed("shop")
	recorder.DeadLetterFailed("shop")
	want := EventMetrics{Received: 1, Dropped: 1, Lost: 1, DestinationFailures: 1, DeadLetterFailures: 1}
	got := eventMetrics(recorder.Events("shop"))
	if got.Age.Count != 1 || got.Age.Max != 1.5 {
		t.Errorf("age: %+v", got.Age)
	}
	got.Age = Milliseconds{}
	if *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
}

func TestPercentages(t *testing.T) {
	got := percentages(serin.Routing{Version: 1, Additional: 2, Weight: 0.1})
	if got[1] != 90 || got[2] != 10 || len(got) != 2 {
		t.Errorf("percentages = %v", got)
	}
}
