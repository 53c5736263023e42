package evidence

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSafetyFactorIsEVariable averages the factor of one request over all outcomes, for random alternatives
// and random points of the null hypothesis: it may not gain anywhere.
func TestSafetyFactorIsEVariable(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	largest := 0.0
	for range 5000 {
		rate := math.Exp(-random.Float64() * 12)
		delta := math.Exp(-random.Float64() * 9)
		weight := random.Float64()
		if rate >= 1 || delta >= 1 || weight == 0 {
			continue
		}
		f := safetyFactor(rate, weight, delta)
		factor := func(b Block) float64 { return math.Exp(f.of(b)) }
		canaryError, canaryOK := factor(Block{CanaryRequests: 1, CanaryErrors: 1}), factor(Block{CanaryRequests: 1})
		baselineError, baselineOK := factor(Block{BaselineRequests: 1, BaselineErrors: 1}), factor(Block{BaselineRequests: 1})
		for point := range 40 {
			pb := (1 - delta) * math.Pow(random.Float64(), 4)
			pc := pb + delta
			if point%2 == 0 {
				pc += (1 - pc) * random.Float64()
			}
			e := weight*(pc*canaryError+(1-pc)*canaryOK) + (1-weight)*(pb*baselineError+(1-pb)*baselineOK)
			largest = max(largest, e)
			if e > 1+1e-9 {
				t.Fatalf("rate=%v delta=%v weight=%v: E = %v at canary %v, baseline %v", rate, delta, weight, e, pc, pb)
			}
		}
	}
	if largest < 1-1e-6 {
		t.Errorf("the factor is at most %v on the null hypothesis: the test is not sharp", largest)
	}
}

func TestNearestNullIsTheMinimum(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for run := range 10_000 {
		b, delta, w := math.Exp(-random.Float64()*14), math.Exp(-random.Float64()*12), random.Float64()
		b, delta = min(b, 0.97), min(delta, 0.999)
		c := b // promotion: both rates are equal
		if run%2 == 0 && b+delta < 0.98 {
			c = b + delta + random.Float64()*(0.99-b-delta) // rollback: the canary is worse by more than delta
		}
		b0 := nearestNull(c, b, w, delta)
		if !(b0 > 0 && b0+delta < 1) {
			t.Fatalf("nearestNull(%v, %v, %v, %v) = %v", c, b, w, delta, b0)
		}
		at := func(x float64) float64 { return w*KL(c, x+delta) + (1-w)*KL(b, x) }
		for _, x := range []float64{b0 * 0.999, b0 * 1.001, b0 * 0.5, b, c - delta} {
			if x > 0 && x+delta < 1 && at(x) < at(b0)*(1-1e-9)-1e-13 {
				t.Fatalf("nearestNull(%v, %v, %v, %v) = %v, but %v is nearer", c, b, w, delta, b0, x)
			}
		}
	}
}

func TestPriorsAreAMixture(t *testing.T) {
	for _, history := range []float64{0, 1e-9, 0.001, 0.5, 0.999} {
		s := Safety{history: history}
		sum, n := 0.0, 0
		for p := range s.priors() {
			if !(p.rate > 0 && p.rate < 1) {
				t.Errorf("history %v: rate %v", history, p.rate)
			}
			sum += p.weight
			n++
		}
		if math.Abs(sum-1) > 1e-12 || n > maxPriors {
			t.Errorf("history %v: %d weights sum to %v", history, n, sum)
		}
	}
}

func safetyOf(t *testing.T, steps ...step) *Safety {
	t.Helper()
	s := &Safety{}
	for _, step := range steps {
		if err := s.Add(step.Weight, step.Block); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestHarmExcluded(t *testing.T) {
	const alpha = 0.05
	for _, c := range []struct {
		name      string
		step      step
		low, high float64 // limits of U
	}{
		{"nothing", step{0.1, Block{}}, 1, 1},
		{"few", step{0.1, Block{CanaryRequests: 2, BaselineRequests: 18}}, 0.7, 1},
		{"a hundred flawless", step{0.1, Block{CanaryRequests: 100, BaselineRequests: 900}}, 0.0295, 0.05},
		{"ten thousand flawless", step{0.1, Block{CanaryRequests: 10_000, BaselineRequests: 90_000}}, 0.0003, 0.0008},
		{"worse by 9pp", step{0.1, Block{1000, 100, 9000, 90}}, 0.11, 0.16},
		{"better by 9pp", step{0.1, Block{1000, 10, 9000, 900}}, 0.0029, 0.01},
		{"all fail on both", step{0.5, Block{5000, 5000, 5000, 5000}}, 0.0005, 1},
		{"no baseline", step{0.5, Block{CanaryRequests: 9}}, 0.283, 0.4}, // 1 - 0.05^(1/9)
	} {
		t.Run(c.name, func(t *testing.T) {
			s := safetyOf(t, c.step)
			u := s.HarmExcluded(alpha)
			if !(u >= c.low && u <= c.high) {
				t.Errorf("U = %v, want %v to %v", u, c.low, c.high)
			}
			if u == 1 {
				return
			}
			if !s.Excludes(u, alpha) || !s.Excludes(min(0.999, u*1.5), alpha) || s.Excludes(u*0.99, alpha) {
				t.Errorf("Excludes does not change at U = %v", u)
			}
		})
	}
}

// TestEveryGreaterHarmIsExcluded looks at evidence whose E-value does not grow with delta.
func TestEveryGreaterHarmIsExcluded(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	holes := 0
	for range 400 {
		var s Safety
		for _, weight := range []float64{0.05, 0.5, 0.9} {
			n := 50 + random.IntN(3000)
			c := int(float64(n) * weight)
			b := Block{CanaryRequests: c, BaselineRequests: n - c}
			b.CanaryErrors = int(float64(c) * math.Exp(-7*random.Float64()))
			b.BaselineErrors = int(float64(n-c) * math.Exp(-7*random.Float64()))
			if err := s.Add(weight, b); err != nil {
				t.Fatal(err)
			}
		}
		u := s.HarmExcluded(0.05)
		for delta := 0.001; delta < 0.99; delta *= 1.25 {
			rejected := s.rejects(delta, 0.05)
			if delta < u && rejected {
				holes++
				if s.Excludes(delta, 0.05) {
					t.Fatalf("Excludes(%v), but U = %v", delta, u)
				}
			}
			if delta > u*1.25 && !rejected {
				t.Fatalf("U = %v, but %v is not excluded: %+v", u, delta, s.steps)
			}
		}
	}
	if holes == 0 {
		t.Error("no E-value fell with delta: the test shows nothing")
	}
}

// TestNoDataNoPromotion makes the bet win on baseline requests alone.
func TestNoDataNoPromotion(t *testing.T) {
	s := safetyOf(t, step{0.01, Block{CanaryRequests: 5, BaselineRequests: 900, BaselineErrors: 800}})
	if s.LogE(0.2) < -math.Log(0.05) {
		t.Fatalf("ln E = %v: the test shows nothing", s.LogE(0.2))
	}
	if s.Excludes(0.2, 0.05) {
		t.Error("promoted after 5 requests of the canary")
	}
}

func TestSampleRatioMismatch(t *testing.T) {
	for _, c := range []struct {
		name     string
		steps    []step
		mismatch bool
	}{
		{"nothing", nil, false},
		{"exact", []step{{0.1, Block{CanaryRequests: 1000, BaselineRequests: 9000}}}, false},
		{"two sigma", []step{{0.1, Block{CanaryRequests: 1060, BaselineRequests: 8940}}}, false},
		{"twice the share", []step{{0.1, Block{CanaryRequests: 200, BaselineRequests: 800}}}, true},
		{"no canary at all", []step{{0.1, Block{BaselineRequests: 300}}}, true},
		{"small but certain", []step{{0.1, Block{CanaryRequests: 103_000, BaselineRequests: 897_000}}}, true},
		{"one of two", []step{
			{0.01, Block{CanaryRequests: 10, BaselineRequests: 990}},
			{0.5, Block{CanaryRequests: 400, BaselineRequests: 600}},
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := safetyOf(t, c.steps...)
			if got := s.SampleRatioMismatch(); got != c.mismatch {
				t.Errorf("SampleRatioMismatch() = %v, want %v", got, c.mismatch)
			}
			if c.mismatch && (s.Excludes(0.2, 0.05) || s.HarmExcluded(0.05) != 1) {
				t.Error("harm is excluded by traffic that does not follow the weights")
			}
		})
	}
}

// TestSampleRatioIsEVariable sums the e-value over all splits of n requests.
func TestSampleRatioIsEVariable(t *testing.T) {
	for _, w := range []float64{0.01, 0.1, 0.5, 0.95} {
		const n = 40
		expected, alarms := 0.0, 0.0
		for c := range n + 1 {
			s := safetyOf(t, step{w, Block{CanaryRequests: c, BaselineRequests: n - c}})
			expected += binomial(n, c, w) * math.Exp(s.sampleRatioLogE())
			if s.SampleRatioMismatch() {
				alarms += binomial(n, c, w)
			}
		}
		if math.Abs(expected-1) > 1e-9 || alarms > 0.001 {
			t.Errorf("w=%v: E = %v, alarms %v", w, expected, alarms)
		}
	}
}

func TestSafetyAdd(t *testing.T) {
	b := Block{CanaryRequests: 2, BaselineRequests: 18}
	s := safetyOf(t, step{0.5, b}, step{0.1, b}, step{0.5, b})
	want := []step{{0.1, b}, {0.5, b.Add(b)}}
	if !slices.Equal(s.steps, want) || s.Total() != b.Add(b).Add(b) {
		t.Errorf("steps = %+v, total %+v", s.steps, s.Total())
	}
	for _, weight := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1)} {
		if err := s.Add(weight, b); err == nil {
			t.Errorf("weight %v accepted", weight)
		}
	}
	for i := range 2 * maxWeights {
		if err := s.Add(float64(i+1)/(2*maxWeights+2), b); err != nil {
			return
		}
	}
	t.Errorf("%d weights accepted", len(s.steps))
}

func TestErrorRate(t *testing.T) {
	for _, c := range []struct {
		requests, errors int
		want             float64
	}{{0, 0, 0}, {-1, 0, 0}, {99, 0, 0.005}, {999, 1, 0.0015}} {
		if got := ErrorRate(c.requests, c.errors); got != c.want {
			t.Errorf("ErrorRate(%d, %d) = %v, want %v", c.requests, c.errors, got, c.want)
		}
	}
}
