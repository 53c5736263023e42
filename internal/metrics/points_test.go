package metrics_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
		viaAlias.Start = start
		one.Throttled(&viaAlias)

		const callers = metrics.ViewAccount | metrics.ViewFunction | metrics.ViewResource
		live := metrics.Subject{Function: "f", Qualifier: "live"}
		live3 := metrics.Subject{Function: "f", Qualifier: "live", Version: 3}
		began, now := start.UnixMilli(), time.Now().UnixMilli()
		want := []metrics.Measured{
			{Subject: live, At: began, Count: 1, Sum: 1, Min: 1, Max: 1, Measure: metrics.MeasureThrottle, Views: callers},
			{Subject: live3, At: began, Count: 1, Failed: 1, Sum: 1.5, Min: 1.5, Max: 1.5, Measure: metrics.MeasureInvocation, Views: callers | metrics.ViewVersion},
			{Subject: live3, At: began, Count: 1, Sum: 80, Min: 80, Max: 80, Measure: metrics.MeasureInit, Views: callers | metrics.ViewVersion},
			{Subject: metrics.Subject{Function: "f"}, At: began, Count: 1, Sum: 1, Min: 1, Max: 1, Measure: metrics.MeasureInvocation, Views: callers},
			{At: now, Count: 1, Sum: 2, Min: 2, Max: 2, Measure: metrics.MeasureConcurrency, Views: metrics.ViewAccount},
		}
		got, dropped := r.Drain(nil)
		var gauges []metrics.Measured
		got = slices.DeleteFunc(got, func(m metrics.Measured) bool {
			if m.Measure == metrics.MeasureConcurrency && m.Views != metrics.ViewAccount {
				gauges = append(gauges, m)
				return true
			}
			return false
		})
		slices.SortFunc(got, func(a, b metrics.Measured) int {
			return cmp.Or(-cmp.Compare(a.Function, b.Function), -cmp.Compare(a.Qualifier, b.Qualifier), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Measure, b.Measure))
		})
		if diff := gocmp.Diff(want, got, cmpopts.IgnoreFields(metrics.Measured{}, "Buckets")); diff != "" || dropped != 0 || len(gauges) != 3 {
			t.Errorf("%d dropped, %d gauges of functions and qualifiers, -want +got:\n%s", dropped, len(gauges), diff)
		}
		for _, p := range gauges {
			if most := map[metrics.Views]float64{metrics.ViewFunction: 2, metrics.ViewResource: 1}[p.Views]; p.Max != most {
				t.Errorf("concurrency %+v, want %v", p, most)
			}
		}
		// What still runs counts in the next second, what has ended does not.
		if got, _ = r.Drain(nil); len(got) != 3 || got[0].Max != 1 {
			t.Errorf("second drain: %+v", got)
		}
		two.Ended(true)
		_, _ = r.Drain(nil)
		if got, _ = r.Drain(nil); len(got) != 0 {
			t.Errorf("last drain: %+v", got)
		}
	})
}

// TestNothingIsLostBetweenDrains records from many goroutines while another drains and seconds pass, forgets the function
// in the middle, and compares everything that was drained with what was recorded, for each second.
func TestNothingIsLostBetweenDrains(t *testing.T) {
	const goroutines, each = 8, 20_000
	type total struct {
		count, failed, provisioned, throttles uint64
		sum, least, most                      float64
	}
	var clock atomic.Int64
	r := metrics.New(func() time.Time { return time.Unix(clock.Load(), 0) })
	var mu sync.Mutex
	want, got := map[int64]total{}, map[int64]total{}
	merge := func(to map[int64]total, at int64, o total) {
		s, ok := to[at]
		if !ok {
			s.least = math.Inf(1)
		}
		to[at] = total{
			s.count + o.count, s.failed + o.failed, s.provisioned + o.provisioned, s.throttles + o.throttles,
			s.sum + o.sum, min(s.least, o.least), max(s.most, o.most),
		}
	}
	var recording, draining sync.WaitGroup
	done := make(chan struct{})
	for g := range goroutines {
		recording.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(g)))
			own := map[int64]total{}
			for n := range each {
				d := time.Duration(random.IntN(1000)) * time.Microsecond
				s := metrics.Sample{Function: "f", Version: 1, Start: time.Unix(clock.Load(), 0), Duration: d, Capacity: metrics.Provisioned}
				o := total{count: 1, provisioned: 1, sum: float64(d.Microseconds()), least: float64(d) / 1e6, most: float64(d) / 1e6}
				if n%7 == 0 {
					s.Outcome, o.failed = serin.OutcomeCrash, 1
				}
				r.Record(s)
				merge(own, s.Start.UnixMilli(), o)
				if n%100 == 0 {
					r.Tally(&s).Throttled(&s)
					merge(own, s.Start.UnixMilli(), total{throttles: 1, least: math.Inf(1)})
				}
				if n == each/2 && g == 0 {
					r.Forget("f")
				}
				if n%1000 == 0 {
					clock.Add(1)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for at, o := range own {
				merge(want, at, o)
			}
		})
	}
	drain := func() {
		all, dropped := r.Drain(nil)
		if dropped != 0 {
			t.Errorf("%d dropped", dropped)
		}
		for _, m := range all {
			o := total{least: math.Inf(1)}
			switch m.Measure {
			case metrics.MeasureInvocation:
				o = total{count: m.Count, failed: m.Failed, sum: math.Round(m.Sum * 1000), least: m.Min, most: m.Max}
				for _, b := range m.Buckets {
					if b.Value > m.Max*1.011+0.001 || b.Value*1.011 < m.Min {
						t.Errorf("a bucket of %v between %v and %v", b.Value, m.Min, m.Max)
					}
				}
			case metrics.MeasureProvisioned:
				o.provisioned = m.Count
			case metrics.MeasureThrottle:
				o.throttles = m.Count
			}
			merge(got, m.At, o)
		}
	}
	draining.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				drain()
				runtime.Gosched()
			}
		}
	})
	recording.Wait()
	close(done)
	draining.Wait()
	drain()
	drain()
	if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(total{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The distribution of durations is within 1.1 %, and short and long ones count too.
func TestDistribution(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, d := range []time.Duration{0, 1, time.Microsecond, 999 * time.Microsecond, time.Millisecond, 1001 * time.Microsecond, 20 * time.Millisecond, 15 * time.Minute, time.Hour} {
		r := metrics.New(func() time.Time { return at })
		r.Record(metrics.Sample{Function: "f", Version: 1, Start: at, Duration: d})
		all, _ := r.Drain(nil)
		if len(all) != 1 || len(all[0].Buckets) != 1 || all[0].Buckets[0].Count != 1 {
			t.Fatalf("%v: %+v", d, all)
		}
		want, got := float64(d)/float64(time.Millisecond), all[0].Buckets[0].Value
		if d >= time.Microsecond && d <= 15*time.Minute && math.Abs(got-want) > 0.011*want || d < time.Microsecond && got > 0.001 {
			t.Errorf("%v counts as %v ms", d, got)
		}
	}
}
