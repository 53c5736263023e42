package evidence

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// geometricEffects are odds ratios that rational numbers can say: 8/5 (5/2)^k.
var geometricEffects = effects(sized{1.6, 0.2}, sized{4, 0.1}, sized{10, 0.1}, sized{25, 0.1}, sized{62.5, 0.1},
	sized{156.25, 0.1}, sized{390.625, 0.1}, sized{976.5625, 0.1}, sized{2441.40625, 0.1})

// exactRatio returns the likelihood ratio of the k-th alternative from its definition in rational numbers;
// the odds ratios are those of geometricEffects.
func exactRatio(b Block, r0 int64, k int) float64 {
	null, alternative := big.NewRat(r0, 1), big.NewRat(8*r0, 5)
	for range k {
		alternative.Mul(alternative, big.NewRat(5, 2))
	}
	ratio := new(big.Rat).Quo(alternative, null)
	factor := new(big.Rat).Quo(exactPartition(b, null), exactPartition(b, alternative))
	for range b.CanaryErrors {
		factor.Mul(factor, ratio)
	}
	value, _ := factor.Float64()
	return value
}

func exactPartition(b Block, r *big.Rat) *big.Rat {
	errors := b.CanaryErrors + b.BaselineErrors
	sum, power := new(big.Rat), big.NewRat(1, 1)
	for u := 0; u <= min(errors, b.CanaryRequests); u++ {
		if errors-u <= b.BaselineRequests {
			ways := new(big.Int).Binomial(int64(b.CanaryRequests), int64(u))
			ways.Mul(ways, new(big.Int).Binomial(int64(b.BaselineRequests), int64(errors-u)))
			sum.Add(sum, new(big.Rat).Mul(new(big.Rat).SetInt(ways), power))
		}
		power.Mul(power, r)
	}
	return sum
}

func ratios(b Block, r0 float64) []float64 {
	sums := make([]float64, len(geometricEffects))
	if f := newFisher(b); f.low < f.high {
		f.logRatios(float64(b.CanaryErrors), r0, geometricEffects, sums)
	}
	return sums
}

func TestLogRatiosAgainstRationals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	check := func(b Block, r0 int64, tolerance float64) {
		t.Helper()
		for k, got := range ratios(b, float64(r0)) {
			if want := math.Log(exactRatio(b, r0, k)); math.Abs(got-want) > tolerance {
				t.Fatalf("%+v r0=%d k=%d: %v, want %v", b, r0, k, got, want)
			}
		}
	}
	for range 300 {
		check(randomBlock(random, 20), 1+random.Int64N(5), 1e-12)
	}
	for range 20 {
		check(randomBlock(random, 60), 1+random.Int64N(100), 1e-11)
	}
	check(Block{CanaryRequests: 100, CanaryErrors: 1, BaselineRequests: 900, BaselineErrors: 30}, 1, 1e-11)
	check(Block{CanaryRequests: 100, CanaryErrors: 40, BaselineRequests: 200, BaselineErrors: 10}, 3, 1e-11)
}

// TestLongSums compares the two ways to compute Z on blocks that both can compute, and the logarithmic one
// with a sum over all terms on large ones.
func TestLongSums(t *testing.T) {
	for _, b := range []Block{
		{CanaryRequests: 10, CanaryErrors: 3, BaselineRequests: 90, BaselineErrors: 4},
		{CanaryRequests: 30, CanaryErrors: 30, BaselineRequests: 1_000_000, BaselineErrors: 500_000},
		{CanaryRequests: 5_000_000, CanaryErrors: 10, BaselineRequests: 9_000_000, BaselineErrors: 20},
	} {
		f := newFisher(b)
		p, ok := f.polynomial()
		if !ok {
			t.Fatalf("%+v is not short", b)
		}
		base := logChoose(f.canary, f.low) + logChoose(f.baseline, f.errors-f.low)
		for _, r := range []float64{1, 1.6, 50, 2441} {
			got, want := f.logPartition(r)-base, math.Log(p.at(r))
			if math.Abs(got-want) > 1e-15*f.baseline*40+1e-12 {
				t.Errorf("%+v r=%v: %v, want %v", b, r, got, want)
			}
		}
	}
	for _, b := range []Block{
		{CanaryRequests: 1000, CanaryErrors: 60, BaselineRequests: 9000, BaselineErrors: 300},
		{CanaryRequests: 100_000, CanaryErrors: 50_000, BaselineRequests: 900_000, BaselineErrors: 9_000},
		{CanaryRequests: 200_000, CanaryErrors: 1_000, BaselineRequests: 20_000, BaselineErrors: 19_999},
	} {
		f := newFisher(b)
		for _, r := range []float64{1, 1.6, 50, 2441} {
			largest, sum, log := 0.0, 0.0, 0.0 // relative to the term of low
			for pass := range 2 {
				log = 0
				for u := f.low; u <= f.high; u++ {
					if pass == 0 {
						largest = max(largest, log)
					} else {
						sum += math.Exp(log - largest)
					}
					log += math.Log(r * f.step(u))
				}
			}
			base := logChoose(f.canary, f.low) + logChoose(f.baseline, f.errors-f.low)
			got, want := f.logPartition(r)-base, largest+math.Log(sum)
			if math.Abs(got-want) > 1e-6 {
				t.Errorf("%+v r=%v: %v, want %v", b, r, got, want)
			}
		}
	}
}

func randomBlock(random *rand.Rand, largest int) Block {
	b := Block{CanaryRequests: random.IntN(largest + 1), BaselineRequests: random.IntN(largest + 1)}
	b.CanaryErrors = random.IntN(b.CanaryRequests + 1)
	b.BaselineErrors = random.IntN(b.BaselineRequests + 1)
	return b
}

// TestConditionalFactorIsEVariable enumerates all outcomes of a block whose requests are independent: no component
// may gain on average wherever the odds ratio is at most the tolerated one, and exactly 1 on its boundary.
func TestConditionalFactorIsEVariable(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for range 300 {
		nc, nb := random.IntN(8), random.IntN(15)
		r0 := []float64{1, 1.5, 4}[random.IntN(3)]
		onBoundary := random.IntN(2) == 0
		pb := random.Float64()
		odds := r0 * pb / (1 - pb)
		if !onBoundary {
			odds *= random.Float64()
		}
		pc := odds / (1 + odds)
		expected := make([]float64, len(geometricEffects))
		for xc := range nc + 1 {
			for xb := range nb + 1 {
				probability := binomial(nc, xc, pc) * binomial(nb, xb, pb)
				for k, log := range ratios(Block{nc, xc, nb, xb}, r0) {
					expected[k] += probability * math.Exp(log)
				}
			}
		}
		for k, e := range expected {
			if e > 1+1e-9 || (onBoundary && e < 1-1e-9) {
				t.Fatalf("nc=%d nb=%d pc=%v pb=%v r0=%v k=%d: E = %v", nc, nb, pc, pb, r0, k, e)
			}
		}
	}
}

// TestConditionalNeedsOnlyTheCoin fixes which requests of a block fail, in any pattern, and enumerates the labels
// that the router's coin can give them: the mean factor is exactly 1 at every weight.
func TestConditionalNeedsOnlyTheCoin(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	for range 100 {
		const n = 9
		failed, weight := random.UintN(1<<n), random.Float64()
		expected := 0.0
		for labels := range uint(1 << n) {
			var b Block
			probability := 1.0
			for i := range n {
				x := int(failed >> i & 1)
				if labels>>i&1 == 1 {
					probability *= weight
					b = b.Add(Block{CanaryRequests: 1, CanaryErrors: x})
				} else {
					probability *= 1 - weight
					b = b.Add(Block{BaselineRequests: 1, BaselineErrors: x})
				}
			}
			log := ratios(b, 1)
			expected += probability * math.Exp(logSumExp(log)) / float64(len(geometricEffects))
		}
		if math.Abs(expected-1) > 1e-9 {
			t.Fatalf("failed=%b weight=%v: E = %v, want 1", failed, weight, expected)
		}
	}
}

// TestConditionalBetsAreFair averages the wealth after a block with one failure over the versions that it can have
// hit, in random states: exactly 1, and never above the target.
func TestConditionalBetsAreFair(t *testing.T) {
	random := rand.New(rand.NewPCG(16, 4))
	for range 2000 {
		tolerated := []float64{1, 1, 2}[random.IntN(3)]
		c := newConditional(tolerated, failureEffects, -math.Log(0.01))
		for range random.IntN(6) {
			b := Block{CanaryRequests: 1 + random.IntN(9), BaselineRequests: 1 + random.IntN(99), BaselineErrors: 1}
			if random.IntN(3) > 0 {
				b.CanaryErrors, b.BaselineErrors = 1, 0
			}
			c.add(b)
		}
		if c.wealth >= c.target {
			continue
		}
		b := Block{CanaryRequests: 1 + random.IntN(9), BaselineRequests: 1 + random.IntN(99)}
		after := func(canary, baseline int) float64 {
			next := *c
			next.logs = append([]float64(nil), c.logs...)
			b.CanaryErrors, b.BaselineErrors = canary, baseline
			next.add(b)
			return next.wealth - c.wealth
		}
		odds := tolerated * float64(b.CanaryRequests) / float64(b.BaselineRequests)
		up, down := after(1, 0), after(0, 1)
		mean := (odds*math.Exp(up) + math.Exp(down)) / (1 + odds)
		if math.Abs(mean-1) > 1e-9 || up < 0 || c.wealth+up > c.target+1e-9 {
			t.Fatalf("%+v, wealth %v: a failure multiplies it by %v on average, by %v on the canary", b, c.wealth, mean, math.Exp(up))
		}
	}
}

func TestConditionalIgnoresBlocksWithoutComparison(t *testing.T) {
	c := newConditional(1, failureEffects, -math.Log(0.01))
	c.add(Block{CanaryRequests: 3, CanaryErrors: 2, BaselineRequests: 17, BaselineErrors: 1})
	before := c.wealth
	if before == 0 {
		t.Fatal("a block with a difference has no value")
	}
	for _, b := range []Block{
		{},
		{CanaryRequests: 5, BaselineRequests: 15},
		{CanaryRequests: 20, CanaryErrors: 20},
		{BaselineRequests: 20, BaselineErrors: 7},
		{CanaryRequests: 1, CanaryErrors: 1},
		{CanaryRequests: 5, CanaryErrors: 5, BaselineRequests: 15, BaselineErrors: 15},
	} {
		c.add(b)
		if c.wealth != before {
			t.Errorf("%+v changed ln E from %v to %v", b, before, c.wealth)
		}
	}
}
