package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// spread is the standard deviation of the logarithm of the simulated durations: the p99 is 3.2 times the p50.
const spread = 0.5

// baselineThresholds are the quantiles of the simulated durations, in units of the median.
var baselineThresholds = Thresholds{1, math.Exp(0.6745 * spread), math.Exp(1.2816 * spread), math.Exp(1.6449 * spread), math.Exp(2.3263 * spread)}

// latencies observes releases whose durations are lognormal until they are found worse. slow changes the
// canary's durations, tolerated is the slow-down that does not count, and the first cold canary requests start
// cold: they take a second longer.
func latencies(t *testing.T, seed uint64, shares [SignalCount]float64, tolerated float64, cold, requests int, slow func(*rand.Rand, float64) float64) (Verdict, int) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 61))
	e := newEvidence(t, Config{Shares: shares})
	forCanary := baselineThresholds.Scaled(tolerated)
	n := 0
	for range requests / SliceRequests {
		s := Slice{Weight: 0.1}
		for range SliceRequests {
			canary := random.Float64() < s.Weight
			duration := math.Exp(spread * random.NormFloat64())
			isCold := random.Float64() < 0.002
			side, thresholds := &s.Baseline, &baselineThresholds
			if canary {
				n++
				side, thresholds, duration = &s.Canary, &forCanary, slow(random, duration)
				isCold = isCold || n <= cold
			}
			side.Requests++
			if isCold {
				side.Measure(ColdStart, random.IntN(Levels+1))
			} else {
				side.Measure(Latency, thresholds.Level(duration))
			}
		}
		if err := e.Observe(&s); err != nil {
			t.Fatal(err)
		}
		if e.worse {
			return Worse, n
		}
	}
	return NotEnough, n
}

// TestSimulationLatency measures how many canary requests it takes at weight 10 % to find that a canary is
// slower, alone and with all signals watched, and how often one that is not is rolled back.
func TestSimulationLatency(t *testing.T) {
	t.Parallel()
	const second = 10 // medians of 100 ms
	alone := [SignalCount]float64{Latency: 1}
	same := func(_ *rand.Rand, d float64) float64 { return d }
	times := func(x float64) func(*rand.Rand, float64) float64 {
		return func(_ *rand.Rand, d float64) float64 { return d * x }
	}
	tail := func(share float64) func(*rand.Rand, float64) float64 {
		return func(random *rand.Rand, d float64) float64 {
			if random.Float64() < share {
				d += second
			}
			return d
		}
	}
	t.Logf("latency, weight 10 %%: median canary requests until rollback (%d releases per cell)", *runs)
	for _, c := range []struct {
		name     string
		slow     func(*rand.Rand, float64) float64
		requests int
		most     float64 // median, alone
	}{
		{"everything x1.1", times(1.1), 60_000, 600},
		{"everything x1.2", times(1.2), 60_000, 200},
		{"everything x1.5", times(1.5), 60_000, 60},
		{"2 % of requests +1 s", tail(0.02), 60_000, 800},
		{"hangs: 5 % never end", tail(0.05), 60_000, 300},
	} {
		var median2 [2]float64
		var found frequency
		for i, shares := range [][SignalCount]float64{alone, DefaultShares} {
			var requests []float64
			for run := range *runs {
				v, n := latencies(t, uint64(run), shares, 0, 0, c.requests, c.slow)
				found.add(v == Worse)
				requests = append(requests, float64(n))
			}
			median2[i] = median(requests)
		}
		t.Logf("%-24s latency alone %5.0f, all signals %5.0f, found %v", c.name, median2[0], median2[1], found)
		if limit := c.most * (1 + 1.5/math.Sqrt(float64(*runs))); median2[0] > limit {
			t.Errorf("%s: median %v canary requests, want at most %v", c.name, median2[0], limit)
		}
	}
	for _, c := range []struct {
		name      string
		slow      func(*rand.Rand, float64) float64
		tolerated float64
		cold      int
	}{
		{"as fast", same, 0, 0},
		{"as fast, the first 5 of the canary cold", same, 0, 5},
		{"as fast, the first 50 of the canary cold", same, 0, 50},
		{"exactly the tolerated 10 % slower", times(1.1), 0.1, 0},
	} {
		for name, shares := range map[string][SignalCount]float64{"latency alone": alone, "all signals": DefaultShares} {
			var rolledBack frequency
			for run := range *runs {
				v, _ := latencies(t, uint64(run), shares, c.tolerated, c.cold, 10_000, c.slow)
				rolledBack.add(v == Worse)
			}
			mustBeAtMost(t, fmt.Sprintf("%s, %s", c.name, name), rolledBack, DefaultAlpha)
		}
	}
}

// TestHangingRequestsCountEarly checks that a level is final before its request has ended.
func TestHangingRequestsCountEarly(t *testing.T) {
	thresholds := Thresholds{1, 2, 3, 4, 5}
	for elapsed, want := range map[float64]int{0: 0, 1: 0, 1.1: 1, 3.5: 3, 5: 4, 5.01: Levels, 1e9: Levels, math.Inf(1): Levels} {
		if got := thresholds.Level(elapsed); got != want {
			t.Errorf("Level(%v) = %d, want %d", elapsed, got, want)
		}
	}
	scaled := thresholds.Scaled(0.1)
	if scaled.Level(1.05) != 0 || thresholds.Level(1.05) != 1 || scaled.Level(1.2) != 1 {
		t.Errorf("Scaled(0.1) = %v", scaled)
	}
}
