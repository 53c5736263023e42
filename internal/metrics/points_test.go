package metrics_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/metrics"
)

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := metrics.New(time.Now)
		start := time.Now()
		viaAlias, direct := metrics.Sample{Function: "f", Qualifier: "live", Alias: "live", Version: 3}, metrics.Sample{Function: "f", Version: 2}
		one, two := r.Tally(&viaAlias), r.Tally(&direct)
		one.Started()
		two.Started()
		one.Ended(true)
		time.Sleep(time.Second)
		r.Record(metrics.Sample{
			Function: "f", Qualifier: "live", Alias: "live", Version: 3, Start: start, Outcome: serin.OutcomeTimeout,
			Duration: 1500 * time.Microsecond, Init: 80 * time.Millisecond,
		})
		r.Record(metrics.Sample{Function: "f", Version: 2, Start: start, Outcome: serin.OutcomeServerError, Duration: time.Millisecond})
		one.Throttled(&viaAlias)

		const callers = metrics.ViewAccount | metrics.ViewFunction | metrics.ViewResource
		live := metrics.Subject{Function: "f", Qualifier: "live"}
		live3 := metrics.Subject{Function: "f", Qualifier: "live", Version: 3}
		began, now := start.UnixMilli(), time.Now().UnixMilli()
		want := []metrics.Point{
			{Subject: live3, At: began, Value: 1.5, Measure: metrics.MeasureInvocation, Views: callers | metrics.ViewVersion, Failed: true},
			{Subject: live3, At: began, Value: 80, Measure: metrics.MeasureInit, Views: callers | metrics.ViewVersion},
			{Subject: metrics.Subject{Function: "f"}, At: began, Value: 1, Measure: metrics.MeasureInvocation, Views: callers},
			{Subject: live, At: now, Value: 1, Measure: metrics.MeasureThrottle, Views: callers},
			{At: now, Value: 2, Measure: metrics.MeasureConcurrency, Views: metrics.ViewAccount},
		}
		got, dropped := r.Drain(nil)
		gauges := got[len(want):]
		if diff := cmp.Diff(want, got[:len(want)]); diff != "" || dropped != 0 || len(gauges) != 3 {
			t.Errorf("%d dropped, %d gauges of functions and qualifiers, -want +got:\n%s", dropped, len(gauges), diff)
		}
		for _, p := range gauges {
			if most := map[metrics.Views]float64{metrics.ViewFunction: 2, metrics.ViewResource: 1}[p.Views]; p.Value != most {
				t.Errorf("concurrency %+v, want %v", p, most)
			}
		}
		// What still runs counts in the next second, what has ended does not.
		if got, _ = r.Drain(nil); len(got) != 3 || got[0].Value != 1 {
			t.Errorf("second drain: %+v", got)
		}
		two.Ended(true)
		_, _ = r.Drain(nil)
		if got, _ = r.Drain(nil); len(got) != 0 {
			t.Errorf("last drain: %+v", got)
		}
	})
}
