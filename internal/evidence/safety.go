package evidence

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// maxWeights bounds the number of different canary weights of one release.
const maxWeights = 1000

// Safety is the e-process against "the canary is worse than its baseline by at least delta", for every
// delta at once: what a promotion rests on. It bets, request by request, that both versions fail equally
// often, and compares that with the point of the null hypothesis that is hardest to tell from it.
//
// H0(delta) says P(canary error) >= P(baseline error) + delta at every request, both free to change over
// time. Here the weight matters: requests count under the weight that was in force when they were routed.
// The factors depend on nothing else, so the totals per weight are the whole state.
//
// The zero value knows no history. A Safety must not be copied after the first Add.
type Safety struct {
	history float64
	steps   []step // by ascending weight
	total   Block
}

// step is what was counted while the canary had one weight.
type step struct {
	Weight float64 `json:"w"`
	Block
}

// NewSafety returns the test for a baseline whose error rate before the release was history,
// 0 <= history < 1. History is a prior and never evidence: a wrong one costs requests, never validity.
// 0 and NaN mean unknown; [ErrorRate] makes a history from counts.
func NewSafety(history float64) (Safety, error) {
	if math.IsNaN(history) {
		history = 0
	}
	if history < 0 || history >= 1 {
		return Safety{}, fmt.Errorf("evidence: baseline error rate %v outside [0, 1)", history)
	}
	return Safety{history: history}, nil
}

// ErrorRate returns the estimate (errors + 1/2) / (requests + 1) of an error rate, which is never 0 when
// there were requests and no errors, or 0 without requests.
func ErrorRate(requests, errors int) float64 {
	if requests <= 0 {
		return 0
	}
	return (float64(errors) + 0.5) / (float64(requests) + 1)
}

// Add counts requests that were routed while the canary's weight was the given share, 0 <= weight <= 1.
// Nothing can be compared at 0 and 1: such requests are ignored. It returns an error and changes nothing
// if the weight or the block is invalid.
func (s *Safety) Add(weight float64, b Block) error {
	if !(weight >= 0 && weight <= 1) {
		return fmt.Errorf("evidence: weight %v outside [0, 1]", weight)
	}
	if err := b.Validate(); err != nil {
		return err
	}
	if weight == 0 || weight == 1 {
		return nil
	}
	total := s.total.Add(b)
	if err := total.validate(maxTotalRequests); err != nil {
		return err
	}
	i, found := slices.BinarySearchFunc(s.steps, weight, func(s step, w float64) int { return cmp.Compare(s.Weight, w) })
	if !found {
		if len(s.steps) >= maxWeights {
			return fmt.Errorf("evidence: more than %d different weights", maxWeights)
		}
		s.steps = slices.Insert(s.steps, i, step{Weight: weight})
	}
	s.steps[i].Block = s.steps[i].Add(b)
	s.total = total
	return nil
}

// Total returns what was counted at all weights.
func (s *Safety) Total() Block { return s.total }

// LogE returns the natural logarithm of the E-value against H0(delta); 0 unless 0 < delta < 1.
func (s *Safety) LogE(delta float64) float64 {
	if !(delta > 0 && delta < 1) {
		return 0
	}
	var logs [maxPriors]float64
	n := 0
	for p := range s.priors() {
		logs[n] = math.Log(p.weight)
		for _, step := range s.steps {
			logs[n] += step.logRatio(p.rate, delta)
		}
		n++
	}
	return logSumExp(logs[:n])
}

// logRatio returns the log-likelihood ratio of "both fail at the rate" against the nearest point of H0(delta).
func (s step) logRatio(rate, delta float64) float64 {
	null := nearestNull(rate, s.Weight, delta)
	canaryError := math.Log(rate / (null + delta))
	canaryOK := math.Log1p(-rate) - math.Log((1-delta)-null)
	baselineError := math.Log(rate / null)
	baselineOK := math.Log1p(-rate) - math.Log1p(-null)
	return float64(float64(s.CanaryErrors)*canaryError) +
		float64(float64(s.CanaryRequests-s.CanaryErrors)*canaryOK) +
		float64(float64(s.BaselineErrors)*baselineError) +
		float64(float64(s.BaselineRequests-s.BaselineErrors)*baselineOK)
}

// nearestNull returns the baseline rate b0 that minimises w KL(b||b0+delta) + (1-w) KL(b||b0), the point of
// H0(delta) that the test of "both fail at rate b" has to beat (reverse information projection): first-order
// optimality there makes the likelihood ratio an e-variable on all of H0(delta). The minimum is unique, and
// the derivative times b0 (1-b0) c0 (1-c0) is a cubic; Newton's method finds its root inside a bracket.
func nearestNull(b, w, delta float64) float64 {
	const precision, maxSteps = 1e-15, 100
	low, high := max(0, b-delta), min(b, 1-delta)
	b0 := (low + high) / 2
	for range maxSteps {
		c0, ok := b0+delta, (1-delta)-b0
		value := w*(c0-b)*b0*(1-b0) + (1-w)*(b0-b)*c0*ok
		slope := w*(b0*(1-b0)+(c0-b)*(1-2*b0)) + (1-w)*(c0*ok+(b0-b)*(ok-c0))
		if value > 0 {
			high = b0
		} else {
			low = b0
		}
		next := b0 - value/slope
		if !(next > low && next < high) {
			next = (low + high) / 2
		}
		if math.Abs(next-b0) <= precision*b0 {
			break
		}
		b0 = next
	}
	return b0
}

// Excludes reports whether H0(delta) is rejected at level alpha: a canary that is worse by delta is accepted
// with probability alpha at most, however often this is asked. Conditions that can only delay acceptance
// must hold too: every greater harm is excluded as well, the canary has served as many requests as a flawless
// one needs beside a flawless baseline, ln(alpha)/ln(1-delta), and the traffic fits the weights. It is false
// unless 0 < delta < 1 and 0 < alpha < 1.
func (s *Safety) Excludes(delta, alpha float64) bool {
	return s.rejects(delta, alpha) && s.HarmExcluded(alpha) <= delta
}

func (s *Safety) rejects(delta, alpha float64) bool {
	if !(alpha > 0 && alpha < 1 && delta > 0 && delta < 1) {
		return false
	}
	threshold := -math.Log(alpha)
	flawless := -math.Log1p(-delta) * float64(s.total.CanaryRequests)
	return flawless >= threshold && s.LogE(delta) >= threshold
}

// HarmExcluded returns U, the smallest harm such that it and every greater one is excluded at level alpha:
// "the canary is worse by less than U", 0 < U <= 1. It is 1 if nothing is excluded. If the canary is worse
// by some delta at every request, U ever falls to delta with probability alpha at most.
//
// The E-value need not grow with delta when the baseline behaved differently at different weights, so the
// search walks down from the greatest harm and stops at the first one that is not excluded.
func (s *Safety) HarmExcluded(alpha float64) float64 {
	const largest, smallest, ratio, resolution = 0.999, 1e-7, 1.25, 1e-4
	if s.SampleRatioMismatch() {
		return 1
	}
	excluded, kept := 1.0, largest
	for kept > smallest && s.rejects(kept, alpha) {
		excluded = kept
		kept /= ratio
	}
	if excluded == 1 {
		return 1
	}
	for kept > smallest && excluded-kept > resolution*excluded {
		if middle := (kept + excluded) / 2; s.rejects(middle, alpha) {
			excluded = middle
		} else {
			kept = middle
		}
	}
	return excluded
}

// SampleRatioMismatch reports that the canary's share of the requests cannot be explained by the weights
// that were recorded: something else than the router's coin chose the version, and LogE means nothing. The
// probability that it is ever true of a correct router is at most 1 in 1000.
func (s *Safety) SampleRatioMismatch() bool {
	const alpha = 0.001
	return s.sampleRatioLogE() >= -math.Log(alpha)
}

// sampleRatioLogE is an e-process against "every request went to the canary with probability w": at each
// weight it mixes the true share over Beta(1/(1-w), 1/w), a distribution with mean w.
func (s *Safety) sampleRatioLogE() float64 {
	logE := 0.0
	for _, step := range s.steps {
		w, c, b := step.Weight, float64(step.CanaryRequests), float64(step.BaselineRequests)
		logE += logBeta(1/(1-w)+c, 1/w+b) - logBeta(1/(1-w), 1/w) - c*math.Log(w) - b*math.Log1p(-w)
	}
	return logE
}

func logBeta(a, b float64) float64 {
	first, _ := math.Lgamma(a)
	second, _ := math.Lgamma(b)
	both, _ := math.Lgamma(a + b)
	return first + second - both
}

// prior is an alternative of the mixture of [Safety]: both versions fail at the rate.
type prior struct{ rate, weight float64 }

// The alternatives are the historic rate, a third and three times of it, and a grid over all rates. The
// grid has a fifth of the weight: with a right history it costs a few per cent more requests, with one
// that is wrong by a factor of ten it makes a promotion possible at all.
var (
	historyPriors = [...]prior{{1. / 3, 0.15}, {1, 0.70}, {3, 0.15}}
	gridPriors    = [...]prior{{0.0005, 0.30}, {0.002, 0.25}, {0.008, 0.20}, {0.032, 0.12}, {0.128, 0.08}, {0.512, 0.05}}
)

const (
	maxPriors  = len(historyPriors) + len(gridPriors)
	gridWeight = 0.2
	// Rates outside would make one error, or one success, rule out an alternative for good.
	minRate, maxRate = 1e-6, 0.95
)

func (s *Safety) priors() iter.Seq[prior] {
	return func(yield func(prior) bool) {
		grid := 1.0
		if s.history > 0 {
			grid = gridWeight
			for _, p := range historyPriors {
				rate := min(max(s.history*p.rate, minRate), maxRate)
				if !yield(prior{rate: rate, weight: p.weight * (1 - grid)}) {
					return
				}
			}
		}
		for _, p := range gridPriors {
			if !yield(prior{rate: p.rate, weight: p.weight * grid}) {
				return
			}
		}
	}
}
