package evidence

import "math"

// coin is the e-process against "the canary fails no more often than its baseline" that knows the router's
// coin: each request went to the canary with probability w, whatever then happened to it. Its alternatives k
// say that the canary fails at the rate c_k and the baseline at b_k. A request multiplies the wealth of k by
//
//	canary failed c_k/c0,  canary fine (1-c_k)/(1-c0),  baseline failed b_k/b0,  baseline fine (1-b_k)/(1-b0)
//
// where (c0, b0) minimises w KL(c_k||c0) + (1-w) KL(b_k||b0) over c0 <= b0 + margin. For a margin of 0 that is
// c0 = b0 = w c_k + (1-w) b_k, and given the outcome of a request the factor bets on its version: the factors
// of a failure average to 1 under the coin, and so do those of a success, whatever the rates are and however
// they change. H0 asks only that given the past and its outcome a failed request was the canary's with
// probability w at most, and a fine one with probability w at least. For a margin above 0 requests must be
// independent given the past, and first-order optimality of the projection makes the factor an e-variable
// (Turner, Ly and Grünwald, JSPI 2024; Grünwald, de Heide and Koolen, Safe Testing, JRSS B 2024).
type coin struct {
	purse
	bets *bets
}

func newCoin(b *bets, target float64) *coin {
	c := &coin{purse: purse{logs: make([]float64, len(b.alternatives)), target: target}, bets: b}
	for k, a := range b.alternatives {
		c.logs[k] = math.Log(a.prior)
	}
	return c
}

// add counts the fine requests of a chunk and then its failures. The order is the same whichever versions
// served them, so it is label-blind.
func (c *coin) add(weight float64, b Block) {
	factors := c.bets.at(weight)
	if failures := b.CanaryErrors + b.BaselineErrors; failures != 1 || c.bets.margin > 0 {
		c.wealth += c.move(factors, b)
		return
	}
	fine := Block{CanaryRequests: b.CanaryRequests - b.CanaryErrors, BaselineRequests: b.BaselineRequests - b.BaselineErrors}
	c.wealth += c.move(factors, fine)
	c.wealth += c.bet(b.CanaryErrors == 1, weight, func(k int) float64 { return factors[k].canaryBadRatio })
	c.move(factors, Block{b.CanaryErrors, b.CanaryErrors, b.BaselineErrors, b.BaselineErrors})
}

// move takes requests into the shares of the alternatives and returns ln of the mixture's factor.
func (c *coin) move(factors []factor, b Block) float64 {
	before := logSumExp(c.logs)
	for k := range c.logs {
		c.logs[k] += factors[k].of(b)
	}
	return logSumExp(c.logs) - before
}

// bets are the alternatives of a coin, shared by all coins with the same ones, and their factors at the
// weight in force.
type bets struct {
	alternatives []alternative
	margin       float64
	weight       float64
	factors      []factor
}

// alternative says that the canary fails at one rate and the baseline at another.
type alternative struct{ canary, baseline, prior float64 }

// factor is what one request multiplies the wealth of an alternative by, as logarithms.
type factor struct {
	canaryBad, canaryFine, baselineBad, baselineFine float64

	canaryBadRatio float64 // exp(canaryBad)
}

func (f *factor) of(b Block) float64 {
	return float64(float64(b.CanaryErrors)*f.canaryBad) +
		float64(float64(b.CanaryRequests-b.CanaryErrors)*f.canaryFine) +
		float64(float64(b.BaselineErrors)*f.baselineBad) +
		float64(float64(b.BaselineRequests-b.BaselineErrors)*f.baselineFine)
}

// newBets returns the alternatives for a baseline with the given history, 0 if unknown: half of the prior is
// on the historic rate and seven sizes of a regression, half on a grid of canary rates and ratios that needs no
// history. A wrong history so costs ln 2 of evidence at most.
func newBets(history, margin float64) *bets {
	b := &bets{margin: margin}
	grid := 1.0
	if history > 0 {
		grid = 0.5
		rate := min(max(history, minRate), 0.5)
		for _, r := range historyRatios {
			odds := rate / (1 - rate) * r.ratio
			b.append(odds/(1+odds), rate, (1-grid)*r.prior)
		}
	}
	for _, canary := range gridRates {
		for _, r := range gridRatios {
			b.append(canary, canary/r.ratio, grid*r.prior/float64(len(gridRates)))
		}
	}
	b.factors = make([]factor, len(b.alternatives))
	return b
}

var (
	historyRatios = [...]sized{{1.5, 0.05}, {2.5, 0.07}, {5, 0.10}, {10, 0.14}, {30, 0.14}, {100, 0.20}, {500, 0.30}}
	gridRates     = [...]float64{0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 0.95}
	gridRatios    = [...]sized{{1.5, 0.05}, {3, 0.15}, {8, 0.20}, {25, 0.22}, {100, 0.38}}
)

// sized is the size of a regression, as a ratio of rates or odds, and its share of the prior. The smallest is
// for those that are worth little and take thousands of requests to find.
type sized struct{ ratio, prior float64 }

func (b *bets) append(canary, baseline, prior float64) {
	b.alternatives = append(b.alternatives, alternative{canary, baseline, prior})
}

// at returns the factors at a weight. An alternative inside the null hypothesis bets nothing.
func (b *bets) at(weight float64) []factor {
	if b.weight == weight {
		return b.factors
	}
	b.weight = weight
	for k, a := range b.alternatives {
		if a.canary <= a.baseline+b.margin {
			b.factors[k] = factor{canaryBadRatio: 1}
			continue
		}
		b0 := float64(weight*a.canary) + float64((1-weight)*a.baseline)
		if b.margin > 0 {
			b0 = nearestNull(a.canary, a.baseline, weight, b.margin)
		}
		b.factors[k] = factor{
			canaryBad:      math.Log(a.canary / (b0 + b.margin)),
			canaryFine:     math.Log1p(-a.canary) - math.Log((1-b.margin)-b0),
			baselineBad:    math.Log(a.baseline / b0),
			baselineFine:   math.Log1p(-a.baseline) - math.Log1p(-b0),
			canaryBadRatio: a.canary / (b0 + b.margin),
		}
	}
	return b.factors
}
