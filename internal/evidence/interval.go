package evidence

import "math"

// Interval is an estimate of the difference between the error rates of canary and baseline, from -1 to 1,
// with its limits.
type Interval struct {
	Low      float64 `json:"low"`
	Estimate float64 `json:"estimate"`
	High     float64 `json:"high"`
}

// Difference returns the canary's error rate minus the baseline's with 95 % limits: Newcombe's hybrid score
// interval (Statistics in Medicine 17, 1998, method 10), stratified over the weights with Mantel-Haenszel
// weights so that a change of the traffic between two steps is not taken for a difference between the
// versions. It describes the counts to people and decides nothing: looked at again and again, it misses
// the truth more often than once in twenty. It is false if at no weight both versions have served requests.
func (s *Safety) Difference() (Interval, bool) {
	sum := 0.0
	for _, step := range s.steps {
		sum += step.mantelHaenszel()
	}
	if sum == 0 {
		return Interval{}, false
	}
	var canary, baseline proportion
	for _, step := range s.steps {
		if share := step.mantelHaenszel() / sum; share > 0 {
			canary.add(share, step.CanaryRequests, step.CanaryErrors)
			baseline.add(share, step.BaselineRequests, step.BaselineErrors)
		}
	}
	canaryLow, canaryHigh := canary.wilson()
	baselineLow, baselineHigh := baseline.wilson()
	difference := canary.rate - baseline.rate
	return Interval{
		Low:      difference - math.Hypot(canary.rate-canaryLow, baselineHigh-baseline.rate),
		Estimate: difference,
		High:     difference + math.Hypot(canaryHigh-canary.rate, baseline.rate-baselineLow),
	}, true
}

func (s step) mantelHaenszel() float64 {
	if s.CanaryRequests == 0 || s.BaselineRequests == 0 {
		return 0
	}
	return 1 / (1/float64(s.CanaryRequests) + 1/float64(s.BaselineRequests))
}

// proportion is a weighted mean of error rates; its variance is that of 1/spread requests.
type proportion struct{ rate, spread float64 }

func (p *proportion) add(share float64, requests, errors int) {
	p.rate += share * float64(errors) / float64(requests)
	p.spread += share * share / float64(requests)
}

// wilson returns the limits of Wilson's 95 % score interval.
func (p *proportion) wilson() (low, high float64) {
	const z = 1.959963984540054
	correction := z * z * p.spread
	centre := (p.rate + correction/2) / (1 + correction)
	half := z / (1 + correction) * math.Sqrt(p.spread*(p.rate*(1-p.rate)+correction/4))
	return max(0, centre-half), min(1, centre+half)
}

// Wilson returns the limits of Wilson's 95 % score interval of an error rate, [0, 1] without requests. Like
// [Safety.Difference] it is for people to read and decides nothing.
func Wilson(requests, errors int) (low, high float64) {
	if requests <= 0 {
		return 0, 1
	}
	var p proportion
	p.add(1, requests, errors)
	return p.wilson()
}
