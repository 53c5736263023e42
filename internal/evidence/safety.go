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
// The zero value knows no history.
type Safety struct {
	history float64
	steps   []step // by ascending weight
	total   Block
	fits    []*fit
}

// step is what was counted while the canary had one weight.
type step struct {
	Weight float64 `json:"w"`
	Block
}

// ErrorRate returns the estimate (errors + 1/2) / (requests + 1) of an error rate, which is never 0 when
// there were requests and no errors, or 0 without requests.
func ErrorRate(requests, errors int) float64 {
	if requests <= 0 {
		return 0
	}
	return (float64(errors) + 0.5) / (float64(requests) + 1)
}

// Add counts requests that were routed while the canary's weight was the given share, 0 < weight < 1. It returns
// an error and changes nothing if the weight or the block is invalid.
func (s *Safety) Add(weight float64, b Block) error {
	if err := s.check(weight, b); err != nil {
		return err
	}
	s.add(weight, b)
	return nil
}

// check returns an error if the weight or the block is invalid or too much.
func (s *Safety) check(weight float64, b Block) error {
	if !(weight >= 0 && weight <= 1) {
		return fmt.Errorf("evidence: weight %v outside [0, 1]", weight)
	}
	if err := b.Validate(); err != nil {
		return err
	}
	total := s.total.Add(b)
	if err := total.validate(maxTotalRequests); err != nil {
		return err
	}
	if _, found := s.find(weight); !found && len(s.steps) >= maxWeights {
		return fmt.Errorf("evidence: more than %d different weights", maxWeights)
	}
	return nil
}

// add counts what check has accepted.
func (s *Safety) add(weight float64, b Block) {
	i, found := s.find(weight)
	if !found {
		s.steps = slices.Insert(s.steps, i, step{Weight: weight})
		s.fits = nil
	}
	s.steps[i].Block = s.steps[i].Add(b)
	s.total = s.total.Add(b)
}

func (s *Safety) find(weight float64) (int, bool) {
	return slices.BinarySearchFunc(s.steps, weight, func(s step, w float64) int { return cmp.Compare(s.Weight, w) })
}

// Total returns what was counted at all weights.
func (s *Safety) Total() Block { return s.total }

// LogE returns the natural logarithm of the E-value against H0(delta); 0 unless 0 < delta < 1.
func (s *Safety) LogE(delta float64) float64 {
	if !(delta > 0 && delta < 1) {
		return 0
	}
	var logs [maxPriors]float64
	f := s.fit(delta)
	for p := range f.priors {
		logs[p] = f.logPrior[p]
		for i := range s.steps {
			logs[p] += f.factors[i][p].of(s.steps[i].Block)
		}
	}
	return logSumExp(logs[:f.priors])
}

// fit is what the test of one delta multiplies by, which depends on the weights but not on the counts.
type fit struct {
	delta    float64
	priors   int
	logPrior [maxPriors]float64
	factors  [][maxPriors]factor // by step
}

// fit returns the fit of a delta, from the few that are asked for at each look.
func (s *Safety) fit(delta float64) *fit {
	for _, f := range s.fits {
		if f.delta == delta {
			return f
		}
	}
	f := &fit{delta: delta, factors: make([][maxPriors]factor, len(s.steps))}
	for p := range s.priors() {
		f.logPrior[f.priors] = math.Log(p.weight)
		for i, step := range s.steps {
			f.factors[i][f.priors] = safetyFactor(p.rate, step.Weight, delta)
		}
		f.priors++
	}
	if len(s.fits) < maxFits {
		s.fits = append(s.fits, f)
	}
	return f
}

// safetyFactor returns the likelihood ratio of "both fail at the rate" against the nearest point of H0(delta).
func safetyFactor(rate, weight, delta float64) factor {
	null := nearestNull(rate, rate, weight, delta)
	return factor{
		canaryBad:    math.Log(rate / (null + delta)),
		canaryFine:   math.Log1p(-rate) - math.Log((1-delta)-null),
		baselineBad:  math.Log(rate / null),
		baselineFine: math.Log1p(-rate) - math.Log1p(-null),
	}
}

// nearestNull returns the baseline rate b0 that minimises w KL(c||b0+delta) + (1-w) KL(b||b0), the point with a
// difference of delta that is hardest to tell from canary rate c and baseline rate b (reverse information
// projection). The minimum is unique and lies between b and c-delta; the derivative times b0 (1-b0) c0 (1-c0) is
// a cubic, and Newton's method finds its root inside a bracket.
func nearestNull(c, b, w, delta float64) float64 {
	const precision, maxSteps = 1e-15, 100
	low, high := max(0, min(b, c-delta)), min(1-delta, max(b, c-delta))
	b0 := (low + high) / 2
	for range maxSteps {
		c0, ok := b0+delta, (1-delta)-b0
		value := w*(c0-c)*b0*(1-b0) + (1-w)*(b0-b)*c0*ok
		slope := w*(b0*(1-b0)+(c0-c)*(1-2*b0)) + (1-w)*(c0*ok+(b0-b)*(ok-c0))
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
	if !s.rejects(delta, alpha) || s.SampleRatioMismatch() {
		return false
	}
	for rung := largestHarm; rung > delta; rung /= harmRatio {
		if !s.rejects(rung, alpha) {
			return false
		}
	}
	return true
}

// The E-value need not grow with delta when the baseline behaved differently at different weights, so a search
// walks down from the greatest harm, rung by rung, and stops at the first one that is not excluded.
const (
	largestHarm = 0.999
	harmRatio   = 1.25
	maxFits     = 80 // all rungs, and the harms that steps tolerate
)

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
func (s *Safety) HarmExcluded(alpha float64) float64 {
	const smallest, resolution = 1e-7, 1e-4
	if s.SampleRatioMismatch() {
		return 1
	}
	excluded, kept := 1.0, largestHarm
	for kept > smallest && s.rejects(kept, alpha) {
		excluded = kept
		kept /= harmRatio
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
