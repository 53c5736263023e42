package evidence

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The normal test run simulates few releases. For figures worth printing:
//
//	go test ./internal/evidence -run TestSimulation -runs 2000 -v
var runs = flag.Int("runs", 100, "simulated releases per cell of TestSimulation*")

// traffic is a stream of requests in blocks of 20, in which a router draws each version with the weight.
type traffic struct {
	random           *rand.Rand
	weight           float64
	baseline, canary func(request int) float64 // error rates
	request          int
}

func newTraffic(seed int, weight, baseline, canary float64) *traffic {
	return &traffic{
		random:   rand.New(rand.NewPCG(uint64(seed), 20)),
		weight:   weight,
		baseline: func(int) float64 { return baseline },
		canary:   func(int) float64 { return canary },
	}
}

func (t *traffic) block() Block {
	var b Block
	for range 20 {
		isCanary := t.random.Float64() < t.weight
		rate := t.baseline
		if isCanary {
			rate = t.canary
		}
		failed := t.random.Float64() < rate(t.request)
		t.request++
		switch {
		case isCanary && failed:
			b.CanaryErrors++
			fallthrough
		case isCanary:
			b.CanaryRequests++
		case failed:
			b.BaselineErrors++
			fallthrough
		default:
			b.BaselineRequests++
		}
	}
	return b
}

// count says in how many of n runs something happened.
type count struct{ happened, n int }

func (c *count) add(happened bool) {
	c.n++
	if happened {
		c.happened++
	}
}

func (c count) String() string { return fmt.Sprintf("%.2f%%", 100*float64(c.happened)/float64(c.n)) }

// lower returns the lower Clopper-Pearson limit of the probability at the given one-sided level: the
// probability at which so many or more would happen with that probability.
func (c count) lower(level float64) float64 {
	low, high := 0.0, float64(c.happened)/float64(c.n)
	for range 60 {
		if middle := (low + high) / 2; c.atLeast(middle) < level {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// atLeast returns P(X >= happened) for X binomial(n, p).
func (c count) atLeast(p float64) float64 {
	tail := 0.0
	for k := c.happened; k <= c.n; k++ {
		n, x := float64(c.n), float64(k)
		tail += math.Exp(logChoose(n, x) + x*math.Log(p) + (n-x)*math.Log1p(-p))
	}
	return tail
}

// mustBeAtMost fails the test if the simulated probability is above the bound beyond doubt: wrongly
// once in 10 000 tests of a probability that is exactly the bound.
func mustBeAtMost(t *testing.T, what string, c count, bound float64) {
	t.Helper()
	t.Logf("%-40s %4d of %d = %v, bound %v%%", what, c.happened, c.n, c, 100*bound)
	if lower := c.lower(1e-4); lower > bound {
		t.Errorf("%s: probability is above %v, bound %v", what, lower, bound)
	}
}

func TestClopperPearson(t *testing.T) {
	c := count{happened: 8, n: 1000}
	limit := c.lower(0.001)
	if got := c.atLeast(limit); math.Abs(got-0.001) > 1e-9 || limit > 0.008 || limit < 0.001 {
		t.Errorf("limit %v has tail %v", limit, got)
	}
	if got := (count{happened: 20, n: 20}).lower(0.05); math.Abs(got-math.Pow(0.05, 1./20)) > 1e-9 {
		t.Errorf("limit of 20 of 20 = %v", got)
	}
}

// TestSimulationFalseRollback tries every kind of traffic in which the canary changes nothing. The E-value
// is watched after every block, without the guard, and at an alpha that is often enough reached to be seen.
func TestSimulationFalseRollback(t *testing.T) {
	const alpha, requests = 0.05, 20_000
	constant := func(rate float64) func(int) float64 { return func(int) float64 { return rate } }
	drift := func(i int) float64 { return 0.001 + 0.02*float64(i)/requests }
	incident := func(i int) float64 {
		if i > 6_000 && i < 9_000 {
			return 0.1
		}
		return 0.002
	}
	bursts := func(i int) float64 { return 0.001 + 0.5*math.Pow(math.Sin(float64(i)/300), 20) }
	fixed := func(w float64) func(int) float64 { return func(int) float64 { return w } }
	ramp := func(i int) float64 { return []float64{0.01, 0.05, 0.25, 0.5}[4*i/requests] }
	// Adaptive but predictable: the exposure window closes for a while after every five blocks.
	window := func(i int) float64 { return []float64{0.1, 0.3, 0.9, 0.02, 0.5, 0}[(i/20)%6] }
	for _, c := range []struct {
		name         string
		rate, weight func(int) float64
		odds, canary float64 // tolerated odds ratio; how many times the baseline's odds the canary has
	}{
		{"A/A 0.1%", constant(0.001), fixed(0.1), 1, 1},
		{"A/A 1%", constant(0.01), fixed(0.1), 1, 1},
		{"A/A 30%", constant(0.3), fixed(0.1), 1, 1},
		{"A/A 1%, weight 1%", constant(0.01), fixed(0.01), 1, 1},
		{"drift", drift, fixed(0.1), 1, 1},
		{"shared incident", incident, fixed(0.1), 1, 1},
		{"bursts", bursts, fixed(0.25), 1, 1},
		{"incident while weights change", incident, ramp, 1, 1},
		{"weights change all the time", drift, window, 1, 1},
		{"exactly the tolerated odds ratio 2", constant(0.01), fixed(0.1), 2, 2},
		{"better canary", constant(0.01), fixed(0.1), 1, 0.5},
	} {
		var reached count
		for run := range *runs {
			traffic := newTraffic(run, 0, 0, 0)
			traffic.baseline = c.rate
			traffic.canary = func(i int) float64 {
				odds := c.canary * c.rate(i) / (1 - c.rate(i))
				return odds / (1 + odds)
			}
			harm, err := NewHarm(c.odds)
			if err != nil {
				t.Fatal(err)
			}
			crossed := false
			for traffic.request < requests && !crossed {
				traffic.weight = c.weight(traffic.request)
				if err := harm.Add(traffic.block()); err != nil {
					t.Fatal(err)
				}
				crossed = harm.LogE() >= -math.Log(alpha)
			}
			reached.add(crossed)
		}
		mustBeAtMost(t, c.name, reached, alpha)
	}
}

// TestSimulationTwoRouters adds the blocks of two routers that see different traffic at the same weight.
func TestSimulationTwoRouters(t *testing.T) {
	const alpha, requests = 0.05, 20_000
	var reached count
	for run := range *runs {
		one, two := newTraffic(2*run, 0.1, 0.002, 0.002), newTraffic(2*run+1, 0.1, 0.2, 0.2)
		var harm Harm
		crossed := false
		for one.request < requests && !crossed {
			if err := harm.Add(one.block().Add(two.block())); err != nil {
				t.Fatal(err)
			}
			crossed = harm.LogE() >= -math.Log(alpha)
		}
		reached.add(crossed)
	}
	mustBeAtMost(t, "two routers", reached, alpha)
}

// TestSimulationWrongPromotion lets a canary be worse by exactly the tolerated harm and asks after every block.
func TestSimulationWrongPromotion(t *testing.T) {
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
		var accepted count
		for run := range *runs {
			traffic := newTraffic(run, 0, c.base, c.base+c.delta)
			safety, err := NewSafety(c.history)
			if err != nil {
				t.Fatal(err)
			}
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

// TestSimulationPower measures how many canary requests a rollback takes at weight 10 % against the least
// that any test can do with, and how often a good canary is rolled back within 30 minutes of 100 requests
// per second.
func TestSimulationPower(t *testing.T) {
	const weight, alpha = 0.1, DefaultAlpha
	t.Logf("%-16s %9s %9s %9s %9s %7s", "rates", "rolled", "median", "mean", "errors", "x bound")
	for _, c := range []struct{ p0, p1 float64 }{
		{0.0001, 0.01}, {0.001, 0.01}, {0.001, 0.05}, {0.001, 0.5}, {0.01, 0.05}, {0.01, 0.5},
	} {
		var rolledBack count
		var requests, errors []float64
		for run := range *runs {
			total, worse := runHarm(t, newTraffic(run, weight, c.p0, c.p1), 180_000)
			rolledBack.add(worse)
			requests = append(requests, float64(total.CanaryRequests))
			errors = append(errors, float64(total.CanaryErrors))
		}
		ratio := mean(requests) / Bound(c.p0, c.p1, weight, alpha, 0.01)
		t.Logf("%-16s %9v %9.0f %9.1f %9.0f %7.2f", fmt.Sprintf("%g%% -> %g%%", 100*c.p0, 100*c.p1),
			rolledBack, median(requests), mean(requests), median(errors), ratio)
		if ratio > 2 || rolledBack.happened < rolledBack.n*99/100 {
			t.Errorf("%v -> %v: %v rolled back, %.2f times the bound, want at most 2", c.p0, c.p1, rolledBack, ratio)
		}
	}
	for _, base := range []float64{0.001, 0.01} {
		var rolledBack count
		for run := range *runs / 2 {
			_, worse := runHarm(t, newTraffic(run, weight, base, base), 180_000)
			rolledBack.add(worse)
		}
		mustBeAtMost(t, fmt.Sprintf("A/A %g%%, 30 min at 100/s", 100*base), rolledBack, alpha)
	}
}

// TestSimulationPromotionPower measures how many canary requests it takes at weight 10 % to exclude a harm when
// there is none, with the right history, without one, and with one that is ten times too low.
func TestSimulationPromotionPower(t *testing.T) {
	const weight, alpha = 0.1, DefaultPromoteAlpha
	t.Logf("%-18s %9s %9s %9s %7s", "rate, harm", "history", "median", "mean", "x bound")
	for _, c := range []struct{ base, delta, history, limit float64 }{
		{0.001, 0.05, 0.001, 1.5},
		{0.001, 0.01, 0.001, 1.5},
		{0.001, 0.01, 0, 1.7},
		{0.001, 0.005, 0.001, 1.5},
		{0.01, 0.05, 0.01, 1.5},
		{0.01, 0.05, 0.001, 2},
		{0.01, 0.01, 0.01, 1.8},
		{0.01, 0.01, 0.001, 3},
	} {
		var requests []float64
		for run := range *runs {
			s, err := NewSafety(c.history)
			if err != nil {
				t.Fatal(err)
			}
			traffic := newTraffic(run, weight, c.base, c.base)
			for !s.Excludes(c.delta, alpha) && traffic.request < 200_000 {
				if err := s.Add(weight, traffic.block()); err != nil {
					t.Fatal(err)
				}
			}
			requests = append(requests, float64(s.Total().CanaryRequests))
		}
		ratio := mean(requests) / NeededCanaryRequests(c.base, weight, c.delta, alpha, alpha)
		t.Logf("%-18s %9v %9.0f %9.0f %7.2f", fmt.Sprintf("%g%%, +%gpp", 100*c.base, 100*c.delta),
			c.history, median(requests), mean(requests), ratio)
		if ratio > c.limit || ratio < 0.9 {
			t.Errorf("%+v: %.2f times the bound", c, ratio)
		}
	}
}

// runHarm adds blocks until the canary is found worse, and returns what was counted until then.
func runHarm(t *testing.T, traffic *traffic, requests int) (total Block, worse bool) {
	t.Helper()
	var harm Harm
	for traffic.request < requests && !worse {
		b := traffic.block()
		total = total.Add(b)
		if err := harm.Add(b); err != nil {
			t.Fatal(err)
		}
		worse = harm.Detected(DefaultAlpha)
	}
	return total, worse
}

// TestSimulationRamp runs whole releases: weights 1, 5, 25, 50 and 100 %, each step left on [NoWorse].
func TestSimulationRamp(t *testing.T) {
	t.Logf("%-16s %9s %9s %9s %9s %9s %9s", "rates", "history", "promoted", "rolled", "requests", "canary", "errors")
	for _, c := range []struct {
		p0, p1              float64
		history             float64
		atLeast, mayPromote float64 // shares promoted
	}{
		{0.001, 0.001, 0.001, 0.97, 1},
		{0.001, 0.001, 0, 0.97, 1},
		{0.01, 0.01, 0.01, 0.9, 1},
		{0.001, 0.01, 0.001, 0, 0.2},
		{0.001, 0.05, 0.001, 0, 0.05},
		{0.001, 0.5, 0.001, 0, 0.05},
	} {
		var promoted, rolledBack count
		var requests, canary, errors []float64
		for run := range *runs {
			verdict, used, total := runRamp(t, newTraffic(run, 0, c.p0, c.p1), c.history)
			promoted.add(verdict == NoWorse)
			rolledBack.add(verdict == Worse)
			requests = append(requests, float64(used))
			canary = append(canary, float64(total.CanaryRequests))
			errors = append(errors, float64(total.CanaryErrors))
		}
		t.Logf("%-16s %9v %9v %9v %9.0f %9.0f %9.0f", fmt.Sprintf("%g%% -> %g%%", 100*c.p0, 100*c.p1),
			c.history, promoted, rolledBack, median(requests), median(canary), median(errors))
		if share := float64(promoted.happened) / float64(promoted.n); share < c.atLeast || share > c.mayPromote {
			t.Errorf("%v -> %v: promoted %v, want %v to %v", c.p0, c.p1, promoted, c.atLeast, c.mayPromote)
		}
		if c.p0 == c.p1 {
			mustBeAtMost(t, "rolled back though no worse", rolledBack, DefaultAlpha)
		}
	}
}

func runRamp(t *testing.T, traffic *traffic, history float64) (v Verdict, requests int, total Block) {
	t.Helper()
	e, err := New(Config{History: history})
	if err != nil {
		t.Fatal(err)
	}
	for _, weight := range []float64{0.01, 0.05, 0.25, 0.5} {
		traffic.weight = weight
		criteria := Criteria{DefaultAlpha, DefaultPromoteAlpha, ToleratedHarm(weight)}
		for v = NotEnough; v == NotEnough; v = e.Judge(criteria) {
			if traffic.request > 1_000_000 {
				return v, traffic.request, e.Total()
			}
			if err := e.Add(weight, traffic.block()); err != nil {
				t.Fatal(err)
			}
		}
		if v == Worse {
			break
		}
	}
	return v, traffic.request, e.Total()
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func median(x []float64) float64 {
	sorted := slices.Sorted(slices.Values(x))
	return sorted[len(sorted)/2]
}
