package metrics_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"serin"
	"serin/internal/evidence"
	"serin/internal/metrics"
)

// However many requests arrive at once, no more of the canary than there are seats are in flight.
func TestWindowBoundsWhatIsInFlight(t *testing.T) {
	tap := metrics.New(time.Now).Watch("shop", "live")
	var most, now atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 200 {
				if !tap.Enter() {
					continue
				}
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				now.Add(-1)
				tap.Leave()
			}
		})
	}
	all.Wait()
	if most.Load() > 4 || tap.Seats() != 4 {
		t.Errorf("%d in flight with %d seats", most.Load(), tap.Seats())
	}
}

func TestWindowDoublesAfterCleanRounds(t *testing.T) {
	tap := metrics.New(time.Now).Watch("shop", "live")
	judge := func(n int, failed bool) {
		for range n {
			if !tap.Enter() {
				t.Fatal("no seat")
			}
			tap.Judged(failed)
			tap.Leave()
		}
	}
	for i, tt := range []struct {
		clean, failed int
		seats         int64
	}{{3, 0, 4}, {1, 0, 8}, {7, 1, 8}, {7, 0, 8}, {1, 0, 16}, {16 + 32, 0, 64}} {
		judge(tt.clean, false)
		judge(tt.failed, true)
		if tap.Seats() != tt.seats {
			t.Errorf("%d: %d seats, want %d", i, tap.Seats(), tt.seats)
		}
	}
	tap.Open()
	for range 1000 {
		if !tap.Enter() {
			t.Fatal("a promoted canary has no seat")
		}
	}
}

// A request that the canary did not get because it had too much in flight is no evidence: nothing was drawn for it.
func TestUndrawnRequestsAreNoEvidence(t *testing.T) {
	r := metrics.New(time.Now)
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	s := sample(1, serin.OutcomeCrash)
	s.Undrawn = true
	r.Record(s)
	s = sample(2, serin.OutcomeFunctionError)
	s.Failure, s.HTTP, s.Init = "KeyError 'tenant'", true, time.Second
	r.Record(s)
	r.Tally(&s).Throttled(&s)
	blocks, _ := tap.Drain(time.Now().Add(time.Minute))
	if len(blocks) != 1 || blocks[0].Baseline.Requests != 0 || blocks[0].Canary.Failures[evidence.Errors] != 1 {
		t.Errorf("%+v", blocks)
	}
	seen := tap.Signals()
	if seen.Baseline.Requests != 1 || seen.Baseline.Failures["crash"] != 1 || seen.Canary.ColdStarts != 1 || seen.Canary.HTTP != 1 ||
		seen.Canary.Throttles != 1 || len(seen.New()) != 1 || seen.New()[0].Text != "KeyError 'tenant'" {
		t.Errorf("%+v", seen)
	}
	if !tap.Signals().Empty() {
		t.Error("seen twice")
	}
}

func TestSummarise(t *testing.T) {
	r := metrics.New(time.Now)
	tap := r.Watch("shop", "live")
	tap.Expect(canary10)
	for i := range 1000 {
		s := sample(1, serin.OutcomeOK)
		s.Duration = time.Duration(i+1) * time.Millisecond
		r.Record(s)
	}
	d := metrics.Summarise(tap.Signals().Baseline.Warm)
	for name, pair := range map[string][2]time.Duration{"p50": {d.P50, 500 * time.Millisecond}, "p95": {d.P95, 950 * time.Millisecond}, "p99": {d.P99, 990 * time.Millisecond}} {
		if pair[0] < pair[1] || float64(pair[0]) > 1.07*float64(pair[1]) {
			t.Errorf("%s = %s, want about %s", name, pair[0], pair[1])
		}
	}
	if d.Count != 1000 || metrics.Summarise(map[int]int{-1: 5, 1 << 40: 3}) != (metrics.Durations{}) {
		t.Errorf("%+v", d)
	}
}
