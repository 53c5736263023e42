package evidence

import "math"

// conditional is the e-process against "odds(canary bad) <= r0 * odds(baseline bad)" that needs no coin: the
// mixture over odds ratios rho_k of the exact conditional likelihood ratios of its blocks. Given how many
// requests of a block each version served and how many of all were bad, the number x of bad ones on the canary
// has Fisher's noncentral hypergeometric distribution, and the factor of the block is
//
//	(rho/r0)^x Z(r0)/Z(rho),  Z(r) = sum over u of C(n_c,u) C(n_b,X-u) r^u
//
// H0 may hold in every block with other rates: neither the weight nor the rates nor their stability matter.
// The distribution has a monotone likelihood ratio in its odds ratio, so the worst case is the boundary r0.
// For r0 = 1 it is enough that within a block the versions are exchangeable; for r0 > 1 the requests of a block
// must be independent. A block in which a version is missing, or nothing or everything is bad, has factor 1.
// (Turner, Ly and Grünwald, JSPI 2024; Fisher 1935.)
//
// A block with one failure bets like [coin], with the null hypothesis' r0 n_c/(r0 n_c + n_b) in place of the weight.
type conditional struct {
	purse
	tolerated float64 // r0
	effects   []effect
}

// effect is one alternative of the mixture: an odds ratio relative to the tolerated one, and its prior.
type effect struct{ ratio, log, prior float64 }

// failureEffects are for failures, from a regression by the factor 1.5 to one by the factor 2000, and lean
// towards the large ones. measurementEffects are for levels, of which half or a quarter of the requests are
// above the lower ones.
var (
	failureEffects = effects(sized{1.5, 0.05}, sized{2.5, 0.07}, sized{5, 0.10}, sized{10, 0.14}, sized{30, 0.14},
		sized{100, 0.20}, sized{500, 0.20}, sized{2000, 0.10})
	measurementEffects = effects(sized{1.4, 0.2}, sized{2, 0.2}, sized{3, 0.2}, sized{6, 0.2}, sized{20, 0.2})
)

// double is the index of the measurement effect that doubles the odds.
const double = 1

func effects(sizes ...sized) []effect {
	grid := make([]effect, len(sizes))
	for k, s := range sizes {
		grid[k] = effect{ratio: s.ratio, log: math.Log(s.ratio), prior: s.prior}
	}
	return grid
}

func newConditional(tolerated float64, effects []effect, target float64) *conditional {
	c := &conditional{purse: purse{logs: make([]float64, len(effects)), target: target}, tolerated: tolerated, effects: effects}
	for k, e := range effects {
		c.logs[k] = math.Log(e.prior)
	}
	return c
}

// add multiplies the wealth by the factors of one block.
func (c *conditional) add(b Block) {
	f := newFisher(b)
	if f.low >= f.high { // the margins leave nothing to chance
		return
	}
	before := logSumExp(c.logs)
	if f.errors == 1 {
		odds := c.tolerated * f.canary / f.baseline
		c.wealth += c.bet(b.CanaryErrors == 1, odds/(1+odds), func(k int) float64 {
			return c.effects[k].ratio * (1 + odds) / (1 + c.effects[k].ratio*odds)
		})
		f.logRatios(float64(b.CanaryErrors), c.tolerated, c.effects, c.logs)
		return
	}
	f.logRatios(float64(b.CanaryErrors), c.tolerated, c.effects, c.logs)
	c.wealth += logSumExp(c.logs) - before
}

// lead returns ln of how much better the alternative k explains the blocks than the null hypothesis.
func (c *conditional) lead(k int) float64 { return c.logs[k] - math.Log(c.effects[k].prior) }

// logSumExp returns ln(sum(exp(x))) without overflow.
func logSumExp(x []float64) float64 {
	largest := math.Inf(-1)
	for _, v := range x {
		largest = max(largest, v)
	}
	if math.IsInf(largest, 0) {
		return largest
	}
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - largest)
	}
	return largest + math.Log(sum)
}
