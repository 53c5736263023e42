package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// regressions are the cells of the table of bounds in which the canary fails at least five times as often.
var regressions = []struct{ p0, p1 float64 }{
	{0.0001, 0.001}, {0.0001, 0.01}, {0.001, 0.01}, {0.001, 0.05}, {0.001, 0.5}, {0.01, 0.05}, {0.01, 0.5},
}

// requestsUntilWorse returns how many requests the canary serves until it is found worse, on average and
// relative to the bound, over the given number of releases.
func requestsUntilWorse(t *testing.T, c Config, p0, p1, weight float64, n int) (requests []float64, ratio float64) {
	t.Helper()
	bound := Bound(p0, p1, weight, DefaultAlpha, 0.01)
	stages := newSimulators(stage{int(300 * bound / weight), weight, p0, p1})
	for run := range n {
		e := newEvidence(t, c)
		if watch(t, e, rand.New(rand.NewPCG(uint64(run), 21)), stages) != Worse {
			t.Fatalf("%v -> %v at weight %v: not found in %d requests", p0, p1, weight, stages[0].requests)
		}
		requests = append(requests, float64(e.Total().CanaryRequests))
	}
	return requests, mean(requests) / bound
}

// oracle returns the mean number of canary requests, relative to the bound, of the sequential likelihood ratio
// test that knows both rates.
func oracle(p0, p1, weight float64, n int) float64 {
	bets := &bets{alternatives: []alternative{{p1, p0, 1}}, factors: make([]factor, 1)}
	s := newSimulator(stage{math.MaxInt, weight, p0, p1})
	sum := 0
	for run := range n {
		random := rand.New(rand.NewPCG(uint64(run), 21))
		for log := 0.0; log < -math.Log(DefaultAlpha); {
			fine, failure := s.run(random, math.MaxInt)
			b := fine.Add(failure)
			log += bets.at(weight)[0].of(b)
			sum += b.CanaryRequests
		}
	}
	return float64(sum) / float64(n) / Bound(p0, p1, weight, DefaultAlpha, 0.01)
}

// TestSimulationPower measures the canary requests until rollback against the least that any test can do with:
// for failures alone without and with the coin, with the coin and no history, and with all signals watched.
func TestSimulationPower(t *testing.T) {
	t.Parallel()
	t.Logf("canary requests until rollback: median, and mean / lower bound of any test (%d releases per cell)", *runs)
	t.Logf("%-16s %7s %8s %8s %8s %8s %8s %8s %8s %8s", "error rates", "weight", "bound", "median", "mean/b", "signals", "coin", "no hist.", "wrong h.", "oracle")
	for _, weight := range []float64{0.01, 0.05, 0.1, 0.25, 0.5} {
		for _, c := range regressions {
			ratio := func(config Config) (float64, float64) {
				requests, ratio := requestsUntilWorse(t, config, c.p0, c.p1, weight, *runs)
				return ratio, median(requests)
			}
			alone, typical := ratio(Config{Shares: OnlyErrors})
			signals, _ := ratio(Config{})
			coin, _ := ratio(Config{Coin: true, History: c.p0, Shares: OnlyErrors})
			without, _ := ratio(Config{Coin: true, Shares: OnlyErrors})
			wrong, _ := ratio(Config{Coin: true, History: 10 * c.p0, Shares: OnlyErrors})
			bound := Bound(c.p0, c.p1, weight, DefaultAlpha, 0.01)
			t.Logf("%-16s %6g%% %8.1f %8.0f %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f", fmt.Sprintf("%g%% -> %g%%", 100*c.p0, 100*c.p1), 100*weight,
				bound, typical, alone, signals, coin, without, wrong, oracle(c.p0, c.p1, weight, *runs))
			// Two errors of the canary, the least that the guard asks for, take 2/p1 requests. And the mean of few
			// runs is off by a few per cent.
			limit := max(1.5, 1.05*2/c.p1/bound) + 2/math.Sqrt(float64(*runs))
			if coin > limit || c.p1 < 0.5 && alone > limit || alone > limit+0.4 {
				t.Errorf("%v -> %v at weight %v: %.2f times the bound, with the coin %.2f, want at most %.2f", c.p0, c.p1, weight, alone, coin, limit)
			}
		}
	}
}
