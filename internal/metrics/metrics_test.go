package metrics_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/evidence"
	"serin/internal/metrics"
)

var canary10 = serin.Routing{Version: 1, Additional: 2, Weight: 0.1}

func sample(v serin.VersionNumber, o serin.Outcome) metrics.Sample {
	return metrics.Sample{Function: "shop", Alias: "live", Routing: canary10, Version: v, Outcome: o, Duration: time.Millisecond}
}

func TestStats(t *testing.T) {
	r := metrics.New(time.Now)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				r.Record(sample(1, serin.OutcomeOK))
				r.Record(sample(2, serin.OutcomeTimeout))
			}
		})
	}
	wg.Wait()
	throttled := sample(2, serin.OutcomeOK)
	r.Tally(&throttled).Throttled(&throttled)
	r.Rerouted("shop", "live")
	s := sample(2, serin.OutcomeServerError)
	s.Init = 80 * time.Millisecond
	r.Record(s)

	got := r.Function("shop")
	slices.SortFunc(got, func(a, b metrics.Stats) int { return int(a.Version - b.Version) })
	if len(got) != 2 {
		t.Fatalf("%d series, want 2", len(got))
	}
	if a := got[0]; a.Requests != 8000 || a.Errors() != 0 || a.SinceRouting != 0 {
		t.Errorf("version 1: %+v", a)
	}
	if b := got[1]; b.Requests != 8001 || b.Errors() != 8001 || b.Outcomes[serin.OutcomeTimeout] != 8000 || b.Throttles != 1 ||
		b.SinceRouting != 1 || b.Init.Count != 1 || b.Init.Max != 80*time.Millisecond {
		t.Errorf("version 2: %+v", b)
	}
	if c := r.Counts("shop", 2); c != (serin.Counts{Requests: 8001, Errors: 8001}) {
		t.Errorf("Counts = %+v", c)
	}
	r.Forget("shop")
	if len(r.Function("shop")) != 0 {
		t.Error("a forgotten function still has stats")
	}
}

// Quantiles are never too low and at most one sixteenth too high.
func TestQuantiles(t *testing.T) {
	r := metrics.New(time.Now)
	rng := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(rng.ExpFloat64()*float64(20*time.Millisecond)) + 50*time.Microsecond
		all = append(all, d)
		s := sample(1, serin.OutcomeOK)
		s.Duration = d
		r.Record(s)
	}
	slices.Sort(all)
	st := r.Function("shop")[0].Duration
	for q, got := range map[float64]time.Duration{0.5: st.P50, 0.95: st.P95, 0.99: st.P99} {
		exact := all[int(q*float64(len(all)))-1]
		if got < exact || float64(got) > float64(exact)*(1+1.0/16)+float64(2*time.Microsecond) {
			t.Errorf("p%v = %v, exact %v", q*100, got, exact)
		}
	}
	if st.Max != all[len(all)-1] {
		t.Errorf("max = %v, want %v", st.Max, all[len(all)-1])
	}
}

func TestExtremeDurations(t *testing.T) {
	r := metrics.New(time.Now)
	for _, d := range []time.Duration{-time.Second, 0, 1, time.Hour, 1<<63 - 1} {
		s := sample(1, serin.OutcomeOK)
		s.Duration = d
		r.Record(s)
	}
	if st := r.Function("shop")[0]; st.Requests != 5 || st.Duration.Max != 1<<63-1 {
		t.Errorf("%+v", st)
	}
}

func TestTapCutsBlocks(t *testing.T) {
	now := time.Unix(100, 0)
	r := metrics.New(func() time.Time { return now })
	tap := r.Watch("shop", "live")
	r.Record(sample(1, serin.OutcomeOK)) // before Expect: not counted
	tap.Expect(canary10)
	for i := range 25 {
		v := serin.VersionNumber(1)
		if i%5 == 0 {
			v = 2
		}
		o := serin.OutcomeOK
		if i%10 == 0 {
			o = serin.OutcomeCrash
		}
		r.Record(sample(v, o))
	}
	select {
	case <-tap.Ready():
	default:
		t.Error("no signal after a full block")
	}
	slices, wait := tap.Drain(now)
	crash := tally(1, evidence.Crashes)
	want := []evidence.Slice{
		{Weight: 0.1, Canary: crash},
		{Weight: 0.1, Canary: tally(2, evidence.Crashes), Baseline: tally(8)},
		{Weight: 0.1, Canary: tally(2, evidence.Crashes), Baseline: tally(8)},
	}
	if d := cmp.Diff(want, slices); d != "" {
		t.Error(d)
	}
	if wait != metrics.SliceAge {
		t.Errorf("the open slice waits %v, want %v", wait, metrics.SliceAge)
	}
	slices, _ = tap.Drain(now.Add(metrics.SliceAge))
	want = []evidence.Slice{{Weight: 0.1, Baseline: tally(4)}}
	if d := cmp.Diff(want, slices); d != "" {
		t.Error(d)
	}
	for range evidence.SliceRequests {
		r.Record(sample(1, serin.OutcomeOK))
	}
	slices, wait = tap.Drain(now)
	if d := cmp.Diff([]evidence.Slice{{Weight: 0.1, Baseline: tally(evidence.SliceRequests)}}, slices); d != "" || wait != 0 {
		t.Errorf("wait %v, %s", wait, d)
	}
}

// A request that was routed by an earlier routing never counts, and a change of the weight closes the open
// block under its own weight.
func TestTapFollowsTheRouting(t *testing.T) {
	r := metrics.New(time.Now)
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	r.Record(sample(2, serin.OutcomeCrash))
	canary50 := canary10
	canary50.Weight = 0.5
	tap.Expect(canary50)
	r.Record(sample(2, serin.OutcomeCrash)) // still of the 10 % step
	late := sample(2, serin.OutcomeOK)
	late.Routing = canary50
	r.Record(late)
	tap.Expect(serin.Routing{Version: 2})
	r.Record(metrics.Sample{Function: "shop", Alias: "live", Routing: serin.Routing{Version: 2}, Version: 2})
	blocks, wait := tap.Drain(time.Now())
	want := []evidence.Slice{
		{Weight: 0.1, Canary: tally(1, evidence.Crashes)},
		{Weight: 0.5, Canary: tally(1)},
	}
	if d := cmp.Diff(want, blocks); d != "" || wait != 0 {
		t.Errorf("wait %v, %s", wait, d)
	}
	r.Unwatch("shop", "live", tap)
	tap.Expect(canary10)
	r.Record(sample(2, serin.OutcomeOK))
	if blocks, wait := tap.Drain(time.Now().Add(time.Second)); len(blocks) != 0 || wait != 0 {
		t.Error("an ended tap still counts")
	}
}

// Of each routing key the first request counts, also over steps; requests without a key all do.
func TestTapCountsKeysOnce(t *testing.T) {
	now := time.Unix(100, 0)
	r := metrics.New(func() time.Time { return now })
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	record := func(routing serin.Routing, v serin.VersionNumber, key serin.KeyHash, o serin.Outcome) {
		s := sample(v, o)
		s.Key, s.Routing = key, routing
		r.Record(s)
	}
	for range 3 {
		record(canary10, 1, 7, serin.OutcomeOK)
		record(canary10, 2, 8, serin.OutcomeCrash)
		record(canary10, 2, 0, serin.OutcomeOK)
	}
	canary50 := canary10
	canary50.Weight = 0.5
	tap.Expect(canary50)
	record(canary50, 2, 7, serin.OutcomeCrash) // has come over to the canary: no new draw
	record(canary50, 1, 9, serin.OutcomeOK)
	blocks, _ := tap.Drain(now.Add(metrics.SliceAge))
	want := []evidence.Slice{
		{Weight: 0.1, Baseline: tally(1), Canary: tally(1, evidence.Crashes)},
		{Weight: 0.1, Canary: tally(3)},
		{Weight: 0.5, Baseline: tally(1)},
	}
	if d := cmp.Diff(want, blocks); d != "" {
		t.Error(d)
	}
	if st := r.Function("shop"); len(st) != 2 || st[0].Requests+st[1].Requests != 11 {
		t.Errorf("the totals count %+v", st)
	}
}

// tally counts requests and what failed of them.
func tally(requests int, failed ...evidence.Signal) evidence.Tally {
	t := evidence.Tally{Requests: requests}
	for _, f := range failed {
		t.Fail(f)
	}
	return t
}

// BenchmarkRecord is all that the metrics of an invocation cost it, with 10,000 series and a reader that drains: of an
// invocation within one second, and of one that started in an earlier second than it ends in.
func BenchmarkRecord(b *testing.B) {
	for name, age := range map[string]time.Duration{"second": 0, "late": time.Second} {
		b.Run(name, func(b *testing.B) {
			now := time.Unix(1_700_000_000, 0)
			r := metrics.New(func() time.Time { return now })
			r.Watch("f7", "live").Expect(canary10)
			samples := make([]metrics.Sample, 10_000)
			for i := range samples {
				samples[i] = sample(serin.VersionNumber(1+i%2), serin.OutcomeOK)
				samples[i].Function, samples[i].Qualifier, samples[i].Start = fmt.Sprintf("f%d", i/2), "live", now.Add(-age)
				r.Record(samples[i])
			}
			drained, _ := r.Drain(nil)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				s := &samples[n%len(samples)]
				tally := r.Tally(s)
				tally.Started()
				tally.Record(s)
				tally.Ended(true)
				if n++; n%100_000 == 0 {
					b.StopTimer()
					drained, _ = r.Drain(drained)
					b.StartTimer()
				}
			}
		})
	}
}

func BenchmarkRecordLatency(b *testing.B) {
	r := metrics.New(time.Now)
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	tap.Measure(metrics.Measures{Warm: &evidence.Thresholds{0.1, 0.2, 0.3, 0.4, 0.5}, Slowdown: 1.25})
	for range 20 {
		r.Record(sample(2, serin.OutcomeOK))
	}
	s := sample(1, serin.OutcomeOK)
	b.ReportAllocs()
	for b.Loop() {
		r.Record(s)
	}
}

func TestCapacity(t *testing.T) {
	r := metrics.New(time.Now)
	for _, c := range []metrics.Capacity{metrics.OnDemand, metrics.Provisioned, metrics.Provisioned, metrics.Spillover} {
		r.Record(metrics.Sample{Function: "shop", Alias: "live", Version: 1, Capacity: c})
	}
	if s := r.Function("shop")[0]; s.Requests != 4 || s.Provisioned != 2 || s.Spillover != 1 {
		t.Errorf("stats %+v", s)
	}
}
