package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// minute is what the canary and the function did in one window.
type minute struct{ canary, canaryErrors, all, allErrors float64 }

// world is the traffic that a rule sees: it asks for windows of so many seconds at a weight.
type world struct {
	random            *rand.Rand
	perSecond, p0, p1 float64
	seconds           float64
	canary, failed    float64
}

func (w *world) pass(seconds, weight float64) minute {
	requests := int(math.Round(seconds * w.perSecond))
	canary := drawBinomial(w.random, requests, weight)
	m := minute{canary: float64(canary), all: float64(requests)}
	m.canaryErrors = float64(drawBinomial(w.random, canary, w.p1))
	m.allErrors = m.canaryErrors + float64(drawBinomial(w.random, requests-canary, w.p0))
	w.seconds += seconds
	w.canary += m.canary
	w.failed += m.canaryErrors
	return m
}

// drawBinomial skips from success to success, which is slow for many successes, so those are drawn as the ranks
// of order statistics: the k-th smallest of n uniform numbers has a beta distribution (Devroye 1986, X.4.4).
func drawBinomial(random *rand.Rand, n int, p float64) int {
	successes := 0
	for n > 100 && p > 0 && p < 1 {
		k := (n + 1) / 2
		middle := drawBeta(random, k, n+1-k)
		if middle <= p {
			successes, n, p = successes+k, n-k, (p-middle)/(1-middle)
		} else {
			n, p = k-1, p/middle
		}
	}
	for range n {
		if random.Float64() < p {
			successes++
		}
	}
	return successes
}

// drawBeta draws from Beta(a, b), as the share of the first of two gamma variables.
func drawBeta(random *rand.Rand, a, b int) float64 {
	x, y := drawGamma(random, float64(a)), drawGamma(random, float64(b))
	return x / (x + y)
}

// drawGamma draws from Gamma(a, 1), a >= 1 (Marsaglia and Tsang 2000).
func drawGamma(random *rand.Rand, a float64) float64 {
	d := a - 1./3
	c := 1 / math.Sqrt(9*d)
	for {
		x := random.NormFloat64()
		v := (1 + c*x) * (1 + c*x) * (1 + c*x)
		if v > 0 && math.Log(1-random.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

// rule runs a release and reports whether it was rolled back.
type rule func(w *world) bool

// codeDeploy is Canary10Percent5Minutes with an alarm on minutes of the clock, without any delay of the
// metrics: ALARM after the given number of breaching minutes in a row. It does not watch after the shift.
func codeDeploy(minutes int, breaching func(minute) bool) rule {
	return func(w *world) bool {
		inRow := 0
		for window := 60 * w.random.Float64(); w.seconds < 300; window = 60 {
			if breaching(w.pass(min(window, 300-w.seconds), 0.1)) {
				inRow++
			} else {
				inRow = 0
			}
			if inRow >= minutes {
				return true
			}
		}
		return false
	}
}

// flagger moves by 10 % to 50 % each minute; failed checks add up, and a rollback is noticed a tick later.
func flagger(threshold int) rule {
	return func(w *world) bool {
		failed, weight := 0, 0.1
		for {
			m := w.pass(60, weight)
			switch {
			case failed >= threshold:
				return true
			case m.canary == 0 || m.canaryErrors > 0.01*m.canary:
				failed++
			case weight >= 0.5:
				return false
			default:
				weight += 0.1
			}
		}
	}
}

// argo measures every minute for ten minutes at 10 %, at least 99 %, no failure allowed.
func argo(w *world) bool {
	for range 10 {
		if m := w.pass(60, 0.1); m.canary == 0 || m.canaryErrors > 0.01*m.canary {
			return true
		}
	}
	return false
}

// argoDocs is the example of the documentation: 20, 40, 60 and 80 % for ten minutes each, measured from the
// second step on every five minutes, at least 95 %, three failures allowed.
func argoDocs(w *world) bool {
	failed := 0
	w.pass(300, 0.2)
	last := w.pass(300, 0.2)
	for _, weight := range []float64{0.4, 0.4, 0.6, 0.6, 0.8, 0.8} {
		if last.canary == 0 || last.canaryErrors > 0.05*last.canary {
			failed++
		}
		if failed > 3 {
			return true
		}
		last = w.pass(300, weight)
	}
	return false
}

// serinRule is the evidence of this package at 10 %, looked at after every request, for half an hour.
func serinRule(w *world) bool {
	e, err := New(Config{History: w.p0})
	if err != nil {
		return false
	}
	s := newSimulator(stage{int(1800 * w.perSecond), 0.1, w.p0, w.p1})
	for left := s.requests; left > 0; {
		fine, failure := s.run(w.random, left)
		b := fine.Add(failure)
		left -= b.CanaryRequests + b.BaselineRequests
		if e.Add(s.weight, b) != nil {
			return false
		}
		if e.worse {
			total := e.Total()
			w.canary, w.failed = float64(total.CanaryRequests), float64(total.CanaryErrors)
			w.seconds = float64(total.CanaryRequests+total.BaselineRequests) / w.perSecond
			return true
		}
	}
	return false
}

// TestSimulationRules puts the rules of other systems on the same traffic: what a bad version costs until it
// is rolled back, and how many good ones are.
func TestSimulationRules(t *testing.T) {
	t.Parallel()
	above := func(share float64) func(minute) bool {
		return func(m minute) bool { return m.canary > 0 && m.canaryErrors > share*m.canary }
	}
	rules := []struct {
		name string
		rule rule
	}{
		{"CodeDeploy, errors > 0, 1 of 1", codeDeploy(1, above(0))},
		{"CodeDeploy, errors > 0, 2 of 2 (SAM)", codeDeploy(2, above(0))},
		{"CodeDeploy, rate > 1 %", codeDeploy(1, above(0.01))},
		{"CodeDeploy, alias rate > 1 %", codeDeploy(1, func(m minute) bool { return m.all > 0 && m.allErrors > 0.01*m.all })},
		{"Flagger, threshold 1 (default)", flagger(1)},
		{"Flagger, threshold 5 (tutorials)", flagger(5)},
		{"Argo Rollouts, 1m >= 99 %", argo},
		{"Argo Rollouts, example of the docs", argoDocs},
		{"Serin, all signals watched", serinRule},
	}
	n := min(*runs, 1000)
	rates := []float64{10, 100, 1000}
	if n < 1000 {
		n, rates = n/4, rates[:2] // they take long
	}
	for _, perSecond := range rates {
		t.Logf("at %g requests per second: rolled back, median seconds and median failed requests of the canary (%d releases per cell)", perSecond, n)
		header := fmt.Sprintf("%-37s", "rule")
		cells := []struct{ p0, p1 float64 }{{0.001, 0.01}, {0.001, 0.05}, {0.001, 0.5}, {0.01, 0.05}, {0.01, 0.5}, {0.001, 0.001}, {0.01, 0.01}}
		for _, c := range cells {
			header += fmt.Sprintf("%22s", fmt.Sprintf("%g%% -> %g%%", 100*c.p0, 100*c.p1))
		}
		t.Log(header)
		for _, r := range rules {
			line := fmt.Sprintf("%-37s", r.name)
			for _, c := range cells {
				var rolledBack frequency
				var seconds, failed []float64
				for run := range n {
					w := &world{random: rand.New(rand.NewPCG(uint64(run), 81)), perSecond: perSecond, p0: c.p0, p1: c.p1}
					worse := r.rule(w)
					rolledBack.add(worse)
					if worse {
						seconds, failed = append(seconds, w.seconds), append(failed, w.failed)
					}
				}
				cell := "never"
				if c.p0 == c.p1 {
					cell = rolledBack.String() + " false"
				} else if rolledBack.happened > 0 {
					cell = fmt.Sprintf("%.0f%% %.1fs/%.0f", 100*rolledBack.share(), median(seconds), median(failed))
				}
				line += fmt.Sprintf("%22s", cell)
				if r.name == "Serin, all signals watched" {
					mustBeRight(t, perSecond, c.p0, c.p1, rolledBack, failed)
				}
			}
			t.Log(line)
		}
	}
}

// mustBeRight checks what Serin promises in a cell of the table.
func mustBeRight(t *testing.T, perSecond, p0, p1 float64, rolledBack frequency, failed []float64) {
	t.Helper()
	if p0 == p1 {
		if rolledBack.lower(1e-4) > DefaultAlpha {
			t.Errorf("%v/s, base %v: %v false rollbacks", perSecond, p0, rolledBack)
		}
		return
	}
	if rolledBack.share() < 0.9 || p1 >= 0.5 && median(failed) > 5 {
		t.Errorf("%v/s, %v -> %v: %v rolled back, %v failed requests", perSecond, p0, p1, rolledBack, median(failed))
	}
}
