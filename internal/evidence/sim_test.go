package evidence

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// The normal test run simulates few releases. make bench-evidence simulates enough to print figures.
var runs = flag.Int("runs", 30, "simulated releases per cell of TestSimulation*")

// stage is a stretch of traffic with constant rates.
type stage struct {
	requests         int
	weight           float64
	baseline, canary float64 // error rates
}

// simulator draws the traffic of stages, a run of fine requests and the failure after it at a time. It knows
// the distributions exactly; nothing is approximated.
type simulator struct {
	stage
	canaryFine  [2]*urn // of 64 and of 8 fine requests
	failure     float64 // rate of both versions together
	canaryShare float64 // of failures
	fineShare   float64 // of fine requests
}

func newSimulator(s stage) *simulator {
	failure := s.weight*s.canary + (1-s.weight)*s.baseline
	fine := s.weight * (1 - s.canary) / (1 - failure)
	return &simulator{
		stage: s, failure: failure, canaryShare: s.weight * s.canary / failure, fineShare: fine,
		canaryFine: [2]*urn{newUrn(64, fine), newUrn(8, fine)},
	}
}

// run returns the fine requests before the next failure, and the failure, but at most left requests.
func (s *simulator) run(random *rand.Rand, left int) (fine, failure Block) {
	gap := left
	if g := math.Log(1-random.Float64()) / math.Log1p(-s.failure); g < float64(left) {
		gap = int(g)
	}
	canary, n := 0, gap
	for ; n >= 64; n -= 64 {
		canary += s.canaryFine[0].draw(random)
	}
	for ; n >= 8; n -= 8 {
		canary += s.canaryFine[1].draw(random)
	}
	for ; n > 0; n-- {
		if random.Float64() < s.fineShare {
			canary++
		}
	}
	fine = Block{CanaryRequests: canary, BaselineRequests: gap - canary}
	switch {
	case gap == left:
	case random.Float64() < s.canaryShare:
		failure = Block{CanaryRequests: 1, CanaryErrors: 1}
	default:
		failure = Block{BaselineRequests: 1, BaselineErrors: 1}
	}
	return fine, failure
}

// urn draws binomial numbers by inversion.
type urn struct{ cdf []float64 }

func newUrn(n int, p float64) *urn {
	u := &urn{}
	sum := 0.0
	for k := range n + 1 {
		sum += binomial(n, k, p)
		u.cdf = append(u.cdf, sum)
	}
	u.cdf[n] = 1
	return u
}

func (u *urn) draw(random *rand.Rand) int { return sort.SearchFloat64s(u.cdf, random.Float64()) }

func binomial(n, k int, p float64) float64 {
	return math.Exp(logChoose(float64(n), float64(k))) * math.Pow(p, float64(k)) * math.Pow(1-p, float64(n-k))
}

func newSimulators(stages ...stage) []*simulator {
	var all []*simulator
	for _, s := range stages {
		all = append(all, newSimulator(s))
	}
	return all
}

// watch runs a release through the stages until its canary is found worse.
func watch(t *testing.T, e *Evidence, random *rand.Rand, stages []*simulator) Verdict {
	t.Helper()
	for _, s := range stages {
		for left := s.requests; left > 0; {
			fine, failure := s.run(random, left)
			left -= fine.CanaryRequests + fine.BaselineRequests + failure.CanaryRequests + failure.BaselineRequests
			if err := e.Add(s.weight, fine.Add(failure)); err != nil {
				t.Fatal(err)
			}
			if e.worse {
				return Worse
			}
		}
	}
	return NotEnough
}

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

// frequency says in how many of n runs something happened.
type frequency struct{ happened, n int }

func (f *frequency) add(happened bool) {
	f.n++
	if happened {
		f.happened++
	}
}

func (f frequency) share() float64 { return float64(f.happened) / float64(f.n) }

func (f frequency) String() string { return fmt.Sprintf("%.2f%%", 100*f.share()) }

// lower returns the lower Clopper-Pearson limit of the probability at the given one-sided level: the
// probability at which so many or more would happen with that probability.
func (f frequency) lower(level float64) float64 {
	return bisect(0, f.share(), func(p float64) bool { return f.tail(f.happened, f.n, p) < level })
}

// upper returns the upper limit: the probability at which so few or fewer would happen with that probability.
func (f frequency) upper(level float64) float64 {
	return bisect(f.share(), 1, func(p float64) bool { return f.tail(0, f.happened, p) > level })
}

// bisect returns where a predicate that holds at low and not at high changes.
func bisect(low, high float64, holds func(float64) bool) float64 {
	for range 60 {
		if middle := (low + high) / 2; holds(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// tail returns P(from <= X <= to) for X binomial(n, p).
func (f frequency) tail(from, to int, p float64) float64 {
	sum := 0.0
	for k := from; k <= to; k++ {
		n, x := float64(f.n), float64(k)
		sum += math.Exp(logChoose(n, x) + x*math.Log(p) + (n-x)*math.Log1p(-p))
	}
	return sum
}

// mustBeAtMost fails the test if the simulated probability is above the bound beyond doubt: wrongly
// once in 10 000 tests of a probability that is exactly the bound.
func mustBeAtMost(t *testing.T, what string, f frequency, bound float64) {
	t.Helper()
	t.Logf("%-48s %5d of %5d = %6v, 95 %% limits %.2f%% to %.2f%%, bound %v%%",
		what, f.happened, f.n, f, 100*f.lower(0.025), 100*f.upper(0.025), 100*bound)
	if lower := f.lower(1e-4); lower > bound {
		t.Errorf("%s: probability is above %v, bound %v", what, lower, bound)
	}
}

func TestClopperPearson(t *testing.T) {
	f := frequency{happened: 8, n: 1000}
	limit := f.lower(0.001)
	if got := f.tail(8, 1000, limit); math.Abs(got-0.001) > 1e-9 || limit > 0.008 || limit < 0.001 {
		t.Errorf("limit %v has tail %v", limit, got)
	}
	if got := (frequency{happened: 20, n: 20}).lower(0.05); math.Abs(got-math.Pow(0.05, 1./20)) > 1e-9 {
		t.Errorf("limit of 20 of 20 = %v", got)
	}
	if got := (frequency{happened: 0, n: 20}).upper(0.05); math.Abs(got-(1-math.Pow(0.05, 1./20))) > 1e-9 {
		t.Errorf("limit of 0 of 20 = %v", got)
	}
}

// TestSimulatorDraws compares the simulator with its rates.
func TestSimulatorDraws(t *testing.T) {
	s := newSimulator(stage{requests: 3_000_000, weight: 0.3, baseline: 0.01, canary: 0.04})
	random := rand.New(rand.NewPCG(1, 2))
	var total Block
	for left := s.requests; left > 0; {
		fine, failure := s.run(random, left)
		total = total.Add(fine).Add(failure)
		left = s.requests - total.CanaryRequests - total.BaselineRequests
	}
	for _, c := range []struct {
		name      string
		got, n, p float64
	}{
		{"canary share", float64(total.CanaryRequests), float64(s.requests), 0.3},
		{"canary errors", float64(total.CanaryErrors), float64(total.CanaryRequests), 0.04},
		{"baseline errors", float64(total.BaselineErrors), float64(total.BaselineRequests), 0.01},
	} {
		if sigma := math.Sqrt(c.n * c.p * (1 - c.p)); math.Abs(c.got-c.n*c.p) > 4.5*sigma {
			t.Errorf("%s: %v of %v, want %v of them", c.name, c.got, c.n, c.p)
		}
	}
}

// TestDrawBinomial compares mean and variance with the distribution's.
func TestDrawBinomial(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 3))
	for _, c := range []struct {
		n int
		p float64
	}{{0, 0.5}, {50, 0.1}, {1000, 0.001}, {60_000, 0.1}, {6000, 0.5}, {6000, 0.999}, {300, 0}, {300, 1}} {
		const draws = 4000
		n, sum, squares := float64(c.n), 0.0, 0.0
		for range draws {
			x := float64(drawBinomial(random, c.n, c.p)) - n*c.p
			sum += x
			squares += x * x
		}
		variance := n * c.p * (1 - c.p)
		if math.Abs(sum) > 4.5*math.Sqrt(draws*variance) || math.Abs(squares/draws-variance) > 0.2*variance {
			t.Errorf("%+v: mean off by %v, variance %v, want %v", c, sum/draws, squares/draws, variance)
		}
	}
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return slices.Sorted(slices.Values(x))[len(x)/2]
}

func newEvidence(tb testing.TB, c Config) *Evidence {
	tb.Helper()
	e, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
