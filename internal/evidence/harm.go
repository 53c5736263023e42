package evidence

import (
	"fmt"
	"math"
)

const (
	// effects is the number of odds ratios that the mixture of [Harm] bets on.
	effects = 9
	// minCanaryErrors is the guard of [Harm]: fewer errors of the canary are never a reason to roll back.
	minCanaryErrors = 2
	// maxOddsRatio bounds the tolerated odds ratio.
	maxOddsRatio = 100
)

// effect is one alternative of the mixture, relative to the tolerated odds ratio.
type effect struct{ ratio, log float64 }

// mixture is the grid of B.2.1: from a regression by the factor 1.6 to one by the factor 2441.
var mixture = func() (grid [effects]effect) {
	ratio := 1.6
	for k := range grid {
		grid[k] = effect{ratio: ratio, log: math.Log(ratio)}
		ratio *= 2.5
	}
	return grid
}()

// Harm is the e-process against "the canary is no worse than its baseline": the mixture of the exact
// conditional likelihood ratios of its blocks. In every block, given how many requests each version served
// and how many of all failed, the number of failures on the canary has Fisher's noncentral hypergeometric
// distribution; each component bets that its odds ratio is rho_k rather than the tolerated r0.
//
// H0 says odds(canary error) <= r0 * odds(baseline error) in every block. Under H0 the probability that the
// E-value ever reaches 1/alpha is at most alpha (Ville's inequality). Neither the weight nor the error rate
// nor its stability matters. For a canary that changes nothing it is enough that the router drew the version
// of each request at random; for one that differs within the tolerance, r0 > 1, the requests of a block
// must also be independent of each other.
//
// The zero value tolerates the odds ratio 1. A Harm is a plain value: copy it to save it.
type Harm struct {
	oddsRatio    float64
	logWealth    [effects]float64
	canaryErrors int
	peak         float64
}

// NewHarm returns the test that tolerates the odds ratio, 1 <= oddsRatio <= 100.
func NewHarm(oddsRatio float64) (Harm, error) {
	if !(oddsRatio >= 1 && oddsRatio <= maxOddsRatio) {
		return Harm{}, fmt.Errorf("evidence: tolerated odds ratio %v outside [1, %d]", oddsRatio, maxOddsRatio)
	}
	return Harm{oddsRatio: oddsRatio}, nil
}

// Add multiplies the wealth by the factors of one block. It returns an error and changes nothing if the
// block is invalid.
func (h *Harm) Add(b Block) error {
	if err := b.Validate(); err != nil {
		return err
	}
	if b.CanaryErrors+b.BaselineErrors == 0 {
		return nil
	}
	h.canaryErrors = min(h.canaryErrors+b.CanaryErrors, maxTotalRequests)
	if f := newFisher(b); f.low < f.high { // otherwise the margins leave nothing to chance
		for k, factor := range f.logRatios(float64(b.CanaryErrors), h.tolerated()) {
			h.logWealth[k] += factor
		}
	}
	if h.canaryErrors >= minCanaryErrors {
		h.peak = max(h.peak, h.LogE())
	}
	return nil
}

func (h *Harm) tolerated() float64 { return max(1, h.oddsRatio) }

// LogE returns the natural logarithm of the E-value.
func (h *Harm) LogE() float64 {
	return logSumExp(h.logWealth[:]) - math.Log(effects)
}

// EValue returns the present E-value, at most [math.MaxFloat64]: 1 without data, small when the canary
// looks fine.
func (h *Harm) EValue() float64 { return min(math.Exp(h.LogE()), math.MaxFloat64) }

// PeakLogE returns the logarithm of the largest E-value, at least 1, that was reached while the canary had
// at least two errors. It decides, because a verdict must not depend on when somebody looked.
func (h *Harm) PeakLogE() float64 { return h.peak }

// Detected reports whether the E-value has reached 1/alpha while the canary had at least two errors.
// It is false unless 0 < alpha < 1.
func (h *Harm) Detected(alpha float64) bool {
	return alpha < 1 && h.peak >= -math.Log(alpha)
}

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
