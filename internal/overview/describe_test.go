package overview

import (
	"testing"
	"time"

	"serin"
	"serin/internal/evidence"
	"serin/internal/metrics"
)

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
	got := Percentages(serin.Routing{Version: 1, Additional: 2, Weight: 0.1})
	if got[1] != 90 || got[2] != 10 || len(got) != 2 {
		t.Errorf("percentages = %v", got)
	}
}
