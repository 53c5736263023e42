package evidence

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestCoinFactorIsEVariable averages the factor of one request over all outcomes, for all alternatives, at
// random weights and margins, at random points of the null hypothesis: it may not gain anywhere.
func TestCoinFactorIsEVariable(t *testing.T) {
	random := rand.New(rand.NewPCG(14, 4))
	largest := 0.0
	for range 300 {
		margin := []float64{0, 0.001, 0.05, random.Float64() * 0.5}[random.IntN(4)]
		weight := random.Float64()
		b := newBets(random.Float64()*0.1, margin)
		for k, f := range b.at(weight) {
			for range 40 {
				pb := (1 - margin) * math.Pow(random.Float64(), 4)
				pc := (pb + margin) * math.Sqrt(random.Float64())
				if random.IntN(2) == 0 {
					pc = pb + margin
				}
				e := weight*(pc*math.Exp(f.canaryBad)+(1-pc)*math.Exp(f.canaryFine)) +
					(1-weight)*(pb*math.Exp(f.baselineBad)+(1-pb)*math.Exp(f.baselineFine))
				largest = max(largest, e)
				if e > 1+1e-9 {
					t.Fatalf("%+v weight=%v margin=%v: E = %v at canary %v, baseline %v", b.alternatives[k], weight, margin, e, pc, pb)
				}
			}
		}
	}
	if largest < 1-1e-9 {
		t.Errorf("the factor is at most %v on the null hypothesis: the test is not sharp", largest)
	}
}

// TestCoinBetsAreFair drives coins into random states and averages the wealth that a failure leads to over the
// router's coin: exactly 1, wherever the bet aims, and never above the target.
func TestCoinBetsAreFair(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 4))
	aimed := 0
	for range 2000 {
		weight := math.Exp(-5 * random.Float64())
		history := 0.2 * random.Float64() * float64(random.IntN(2))
		target := -math.Log(0.01)
		c := newCoin(newBets(history, 0), target)
		for range random.IntN(8) {
			fine := random.IntN(200)
			canary := int(weight * float64(fine))
			c.add(weight, Block{CanaryRequests: canary, BaselineRequests: fine - canary})
			if random.Float64() < weight*5 {
				c.add(weight, Block{CanaryRequests: 1, CanaryErrors: 1})
			} else {
				c.add(weight, Block{BaselineRequests: 1, BaselineErrors: 1})
			}
		}
		if c.wealth >= target {
			aimed++
			continue
		}
		after := func(b Block) float64 {
			next := *c
			next.logs = append([]float64(nil), c.logs...)
			next.add(weight, b)
			return next.wealth - c.wealth
		}
		up := after(Block{CanaryRequests: 1, CanaryErrors: 1})
		mean := weight*math.Exp(up) + (1-weight)*math.Exp(after(Block{BaselineRequests: 1, BaselineErrors: 1}))
		if math.Abs(mean-1) > 1e-9 || up < 0 || c.wealth+up > target+1e-9 {
			t.Fatalf("weight %v, wealth %v: a failure multiplies it by %v on average, by %v on the canary", weight, c.wealth, mean, math.Exp(up))
		}
		fine := weight*math.Exp(after(Block{CanaryRequests: 1})) + (1-weight)*math.Exp(after(Block{BaselineRequests: 1}))
		if math.Abs(fine-1) > 1e-9 {
			t.Fatalf("weight %v, wealth %v: a fine request multiplies it by %v on average", weight, c.wealth, fine)
		}
	}
	if aimed == 0 {
		t.Error("no coin reached the target: the test shows little")
	}
}
