package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// ramp is a release of half an hour in which nothing changes but what the function changes, in 60 stages.
func ramp(perSecond int, change func(minute float64, s *stage)) []*simulator {
	var stages []stage
	for i := range 60 {
		s := stage{requests: 30 * perSecond, weight: 0.1}
		change(float64(i)/2, &s)
		stages = append(stages, s)
	}
	return newSimulators(stages...)
}

// TestSimulationFalseRollback tries every kind of traffic in which the canary changes nothing, and looks after
// every request. All of alpha is on failures, so that nothing hides how often they cross.
func TestSimulationFalseRollback(t *testing.T) {
	t.Parallel()
	const alpha = DefaultAlpha
	constant := func(rate float64) func(float64, *stage) {
		return func(_ float64, s *stage) { s.baseline, s.canary = rate, rate }
	}
	drift := func(minute float64, s *stage) { constant(0.001+0.002*minute/30)(minute, s) }
	incident := func(minute float64, s *stage) {
		constant(0.001)(minute, s)
		if minute >= 10 && minute < 12 {
			constant(0.1)(minute, s)
		}
	}
	weights := func(minute float64, s *stage) {
		incident(minute, s)
		s.weight = []float64{0.01, 0.05, 0.25, 0.5, 0.02, 0.9}[int(minute*2)%6]
	}
	better := func(_ float64, s *stage) { s.baseline, s.canary = 0.01, 0.005 }
	var all frequency
	for _, c := range []struct {
		name      string
		perSecond []int
		change    func(float64, *stage)
		history   float64
		coin      bool
	}{
		{"A/A 0.1 %", []int{10, 100, 1000}, constant(0.001), 0, false},
		{"A/A 1 %", []int{10, 100, 1000}, constant(0.01), 0, false},
		{"drift 0.1 % to 0.3 %", []int{10, 100, 1000}, drift, 0, false},
		{"both fail at 10 % for two minutes", []int{10, 100, 1000}, incident, 0, false},
		{"the same while weights change", []int{10, 100, 1000}, weights, 0, false},
		{"A/A 30 %", []int{100}, constant(0.3), 0, false},
		{"better canary", []int{100}, better, 0, false},
		{"coin, A/A 0.1 %", []int{100}, constant(0.001), 0.001, true},
		{"coin, A/A 1 %", []int{10, 100}, constant(0.01), 0.01, true},
		{"coin, A/A 1 %, history 0.01 %", []int{100}, constant(0.01), 0.0001, true},
		{"coin, both fail while weights change", []int{100}, weights, 0.001, true},
	} {
		for _, perSecond := range c.perSecond {
			stages := ramp(perSecond, c.change)
			var rolledBack frequency
			n := *runs
			if n < 1000 && perSecond == 1000 {
				n /= 4 // they take long
			}
			for run := range n {
				e := newEvidence(t, Config{History: c.history, Coin: c.coin, Shares: OnlyErrors})
				rolledBack.add(watch(t, e, rand.New(rand.NewPCG(uint64(run), 31)), stages) == Worse)
			}
			mustBeAtMost(t, fmt.Sprintf("%s, %d/s", c.name, perSecond), rolledBack, alpha)
			all.happened += rolledBack.happened
			all.n += rolledBack.n
		}
	}
	mustBeAtMost(t, "all of these", all, alpha)
}

// TestSimulationNullHypotheses watches, at an alpha that is reached often enough to be seen, canaries that are
// worse by exactly as much as is tolerated, and the conditional test on blocks of several sizes.
func TestSimulationNullHypotheses(t *testing.T) {
	t.Parallel()
	const alpha, requests = 0.05, 20_000
	fixed := func(rate float64) func(int) float64 { return func(int) float64 { return rate } }
	bursts := func(i int) float64 { return 0.001 + 0.5*math.Pow(math.Sin(float64(i)/300), 20) }
	// Adaptive but predictable: the exposure window closes for a while after every five blocks.
	window := func(i int) float64 { return []float64{0.1, 0.3, 0.9, 0.02, 0.5, 0}[(i/20)%6] }
	odds := func(p, ratio float64) float64 { return ratio * p / (1 - p) / (1 + ratio*p/(1-p)) }
	for _, c := range []struct {
		name             string
		config           Config
		baseline, weight func(int) float64
		canary           func(baseline float64) float64
	}{
		{"coin, bursts, weights change all the time", Config{Coin: true}, bursts, window, func(p float64) float64 { return p }},
		{"conditional, bursts", Config{}, bursts, window, func(p float64) float64 { return p }},
		{"conditional, blocks of 20, A/A 1 %", Config{}, fixed(0.01), fixed(0.1), func(p float64) float64 { return p }},
		{"exactly the tolerated odds ratio 2", Config{OddsRatio: 2}, fixed(0.01), fixed(0.1), func(p float64) float64 { return odds(p, 2) }},
		{"exactly the tolerated margin of 1 pp", Config{Coin: true, Margin: 0.01, History: 0.01}, bursts, fixed(0.1), func(p float64) float64 { return p + 0.01 }},
		{"odds ratio 3, margin 0.1 pp, exactly 3", Config{Coin: true, OddsRatio: 3, Margin: 0.001}, fixed(0.02), fixed(0.2), func(p float64) float64 { return odds(p, 3) }},
	} {
		var rolledBack frequency
		for run := range *runs {
			c.config.Alpha, c.config.Shares = alpha, OnlyErrors
			e := newEvidence(t, c.config)
			traffic := newTraffic(run, 0, 0, 0)
			traffic.baseline = c.baseline
			traffic.canary = func(i int) float64 { return c.canary(c.baseline(i)) }
			for traffic.request < requests && !e.worse {
				traffic.weight = c.weight(traffic.request)
				if err := e.Add(traffic.weight, traffic.block()); err != nil {
					t.Fatal(err)
				}
			}
			rolledBack.add(e.worse)
		}
		mustBeAtMost(t, c.name, rolledBack, alpha)
	}
}

// TestSimulationStickyKeys gives each of 500 keys a version for good; one in a hundred fails at every request,
// on both versions. Counted by request that looks like a regression; counted by key it does not, and one is
// still found.
func TestSimulationStickyKeys(t *testing.T) {
	t.Parallel()
	const weight, requests = 0.1, 20_000
	type counts struct{ byRequest, byKey, found frequency }
	var c counts
	var untilFound []float64
	simulate := func(seed uint64, sticky bool, canaryFails float64) (bool, int) {
		random := rand.New(rand.NewPCG(seed, 41))
		e := newEvidence(t, Config{Sticky: sticky, Shares: OnlyErrors})
		keys := NewKeys(1 << 12)
		n := 0
		var onCanary, poisoned [500]bool
		for key := range onCanary {
			onCanary[key], poisoned[key] = random.Float64() < weight, random.Float64() < 0.01
		}
		for i := 0; i < requests && !e.worse; i++ {
			key := random.Uint64N(uint64(len(onCanary)))
			canary, failed := onCanary[key], poisoned[key]
			failed = failed || canary && random.Float64() < canaryFails
			s := Slice{Weight: weight}
			side := &s.Baseline
			if canary {
				side = &s.Canary
				n++
			}
			first, firstFailure := keys.Observe(key, failed)
			if !sticky || first {
				side.Requests++
			}
			if failed && (!sticky || firstFailure) {
				side.Failures[Errors]++
				if sticky {
					side.Requests = 1
				}
			}
			if first && canary {
				s.Units.CanaryRequests++
			} else if first {
				s.Units.BaselineRequests++
			}
			if err := e.Observe(&s); err != nil {
				t.Fatal(err)
			}
		}
		return e.worse, n
	}
	for run := range *runs {
		worse, _ := simulate(uint64(run), false, 0)
		c.byRequest.add(worse)
		worse, _ = simulate(uint64(run), true, 0)
		c.byKey.add(worse)
		worse, n := simulate(uint64(run), true, 0.05)
		c.found.add(worse)
		untilFound = append(untilFound, float64(n))
	}
	t.Logf("sticky keys counted by request: %v false rollbacks; a regression of 5 points counted by key: %v found, median %v canary requests",
		c.byRequest, c.found, median(untilFound))
	mustBeAtMost(t, "sticky keys counted by key", c.byKey, DefaultAlpha)
	if c.byRequest.share() < 0.1 {
		t.Errorf("counted by request there are only %v false rollbacks: the test shows nothing", c.byRequest)
	}
	if c.found.share() < 0.9 {
		t.Errorf("counted by key a regression of 5 points is found in %v", c.found)
	}
}

// TestSimulationWrongPromotion lets a canary be worse by exactly the tolerated harm and asks after every block.
func TestSimulationWrongPromotion(t *testing.T) {
	t.Parallel()
	const alpha = DefaultPromoteAlpha
	ramp := []float64{0.01, 0.05, 0.25, 0.5}
	for _, c := range []struct {
		name                 string
		base, delta, history float64
		weights              []float64
		requests             int
	}{
		{"0.1% + 20pp, weight 10%", 0.001, 0.20, 0.001, []float64{0.1}, 4_000},
		{"0.1% + 5pp, weight 10%", 0.001, 0.05, 0.001, []float64{0.1}, 8_000},
		{"1% + 5pp, weight 10%, no history", 0.01, 0.05, 0, []float64{0.1}, 8_000},
		{"1% + 1pp, weight 50%", 0.01, 0.01, 0.01, []float64{0.5}, 12_000},
		{"5% + 5pp, ramp, history 10x too low", 0.05, 0.05, 0.005, ramp, 8_000},
		{"1% + 2pp, ramp", 0.01, 0.02, 0.01, ramp, 12_000},
	} {
		var accepted frequency
		for run := range min(*runs, 2000) {
			traffic := newTraffic(run, 0, c.base, c.base+c.delta)
			safety := Safety{history: c.history}
			wrong := false
			for traffic.request < c.requests && !wrong {
				traffic.weight = c.weights[len(c.weights)*traffic.request/c.requests]
				if err := safety.Add(traffic.weight, traffic.block()); err != nil {
					t.Fatal(err)
				}
				wrong = safety.rejects(c.delta, alpha)
			}
			accepted.add(wrong)
		}
		mustBeAtMost(t, c.name, accepted, alpha)
	}
}

// TestSimulationTwoFunctions judges two functions of one release, of which neither, or one, is worse.
func TestSimulationTwoFunctions(t *testing.T) {
	t.Parallel()
	const alpha, functions = 0.05, 4
	simulate := func(seed uint64, guilty int) (bool, []int) {
		e, values := make([]*Evidence, functions), make([]float64, functions)
		for f := range e {
			e[f] = newEvidence(t, Config{Alpha: alpha / functions, Shares: OnlyErrors})
		}
		random := rand.New(rand.NewPCG(seed, 51))
		for range 400 {
			// What the functions have in common: every 50 requests fail together or do not.
			common := 0.3 * math.Pow(random.Float64(), 20)
			for f := range e {
				traffic := newTraffic(0, 0.1, common, common)
				traffic.random = random
				if f == guilty {
					traffic.canary = func(int) float64 { return 0.3 }
				}
				if err := e[f].Add(0.1, traffic.block()); err != nil {
					t.Fatal(err)
				}
				values[f] = e[f].EValue()
			}
			if Joint(values, alpha) {
				return true, Guilty(values, alpha)
			}
		}
		return false, nil
	}
	var wrong, found, named frequency
	for run := range *runs {
		worse, _ := simulate(uint64(run), -1)
		wrong.add(worse)
		worse, guilty := simulate(uint64(run), 2)
		found.add(worse)
		named.add(slices.Contains(guilty, 2) && len(guilty) == 1)
	}
	mustBeAtMost(t, "four functions with common incidents", wrong, alpha)
	if found.share() < 0.99 || named.share() < 0.8 {
		t.Errorf("the bad function rolls back %v of releases and is named in %v", found, named)
	}
}
