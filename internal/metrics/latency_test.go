package metrics_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/evidence"
	"serin/internal/metrics"
)

// drained is everything that a tap has counted, summed up by version.
func drained(tap *metrics.Tap) (baseline, canary evidence.Tally) {
	tap.Flush()
	var sum evidence.Slice
	slices, _ := tap.Drain(time.Now())
	for _, s := range slices {
		sum.Merge(&s)
	}
	return sum.Baseline, sum.Canary
}

func timed(v serin.VersionNumber, duration, initialisation time.Duration) metrics.Sample {
	s := sample(v, serin.OutcomeOK)
	s.Duration, s.Init = duration, initialisation
	return s
}

// Durations are compared once the canary is warm: of the canary with the tolerated slow-down, and cold starts among
// each other.
func TestTapComparesDurations(t *testing.T) {
	r := metrics.New(time.Now)
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	tap.Measure(metrics.Measures{
		Warm: &evidence.Thresholds{1, 40, 50, 60, 70}, Cold: &evidence.Thresholds{100, 200, 300, 400, 500}, Slowdown: 1.5,
	})
	for range 10 {
		r.Record(timed(1, time.Second, 0))
		r.Record(timed(2, time.Second, 0))
	}
	const ms = time.Millisecond
	for _, v := range []serin.VersionNumber{1, 2} {
		r.Record(timed(v, 4*ms, 0))
		r.Record(timed(v, 55*ms, 0))
		r.Record(timed(v, 65*ms, 0))
		r.Record(timed(v, time.Second, 350*ms))
		failed := timed(v, time.Second, 0)
		failed.Outcome = serin.OutcomeInitError
		r.Record(failed)
	}
	observed := tap.Signals()
	baseline, canary := drained(tap)
	latency := func(t evidence.Tally) evidence.Above { return t.Measurements[0] }
	cold := func(t evidence.Tally) evidence.Above { return t.Measurements[evidence.ColdStart-evidence.Latency] }
	for name, tt := range map[string]struct{ got, want evidence.Above }{
		"latency of the baseline":     {latency(baseline), evidence.Above{Observed: 3, Above: [5]int{3, 2, 2, 1, 0}}},
		"latency of the canary":       {latency(canary), evidence.Above{Observed: 3, Above: [5]int{2, 1, 0, 0, 0}}},
		"cold starts of the baseline": {cold(baseline), evidence.Above{Observed: 1, Above: [5]int{1, 1, 1, 0, 0}}},
		"cold starts of the canary":   {cold(canary), evidence.Above{Observed: 1, Above: [5]int{1, 1, 0, 0, 0}}},
	} {
		if d := cmp.Diff(tt.want, tt.got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if baseline.Failures[evidence.InitFailures] != 1 || observed.Baseline.Measured != 3 || observed.Canary.Measured != 3 {
		t.Errorf("%+v, measured %d and %d", baseline, observed.Baseline.Measured, observed.Canary.Measured)
	}
}

// A tap without a past compares with the first requests of the baseline, and counts none of those.
func TestTapLearnsThresholds(t *testing.T) {
	r := metrics.New(time.Now)
	if warm, cold := r.Thresholds("shop", "live", 1); warm != nil || cold != nil {
		t.Errorf("thresholds of nothing: %v, %v", warm, cold)
	}
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	tap.Measure(metrics.Measures{Slowdown: 1.25})
	for i := range 100 {
		if tap.Warm() != nil {
			t.Fatalf("thresholds after %d requests", i)
		}
		r.Record(timed(2, time.Millisecond, 0))
		r.Record(timed(1, time.Duration(100-i)*time.Millisecond, 0))
	}
	if d := cmp.Diff(&evidence.Thresholds{50, 75, 90, 95, 99}, tap.Warm()); d != "" {
		t.Error(d)
	}
	r.Record(timed(1, 96*time.Millisecond, 0))
	baseline, canary := drained(tap)
	if d := cmp.Diff(evidence.Above{Observed: 1, Above: [5]int{1, 1, 1, 1, 0}}, baseline.Measurements[0]); d != "" {
		t.Error(d)
	}
	if n := canary.Measurements[0].Observed; n != 0 {
		t.Errorf("%d requests of the canary were compared with thresholds that there were not", n)
	}
	warm, cold := r.Thresholds("shop", "live", 1)
	if warm == nil || cold != nil {
		t.Fatalf("thresholds of 101 warm requests: %v, %v", warm, cold)
	}
	for i, want := range []float64{50, 75, 90, 95, 99} {
		if (*warm)[i] < want || (*warm)[i] > want*17/16 {
			t.Errorf("thresholds %v", *warm)
		}
	}
}

// Slices grow with the traffic, so that a long release does not make a million of them.
func TestSlicesGrow(t *testing.T) {
	r := metrics.New(time.Now)
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	n := 0
	for range 200_000 {
		r.Record(sample(1, serin.OutcomeOK))
	}
	slices, _ := tap.Drain(time.Now())
	for _, s := range slices {
		n += s.Baseline.Requests
	}
	if len(slices) > 500 || n < 195_000 {
		t.Errorf("%d slices of %d requests", len(slices), n)
	}
}
