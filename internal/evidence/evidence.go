package evidence

import (
	"encoding/json"
	"fmt"
)

// Config is what a comparison fixes before its first request. The zero value is a strict test without
// a history.
type Config struct {
	// OddsRatio is the tolerated ratio of the odds of an error on the canary and on the baseline, from 1 to
	// 100; 0 means 1.
	OddsRatio float64
	// History is the error rate of the baseline before the release, from 0 to 1, as [ErrorRate] estimates
	// it; 0 and NaN mean unknown.
	History float64
}

// Evidence is everything that was counted about the errors of one canary and its baseline, and what follows
// from it. Its size does not grow with the traffic. It marshals to JSON and back exactly, so a release can
// be stopped and resumed without losing or changing a bit.
//
// The zero value is New(Config{}). An Evidence must not be copied after the first Add and is not safe for
// concurrent use.
type Evidence struct {
	harm   Harm
	safety Safety
}

// New returns evidence without data. It returns an error if the configuration is out of range.
func New(c Config) (*Evidence, error) {
	if c.OddsRatio == 0 {
		c.OddsRatio = 1
	}
	harm, err := NewHarm(c.OddsRatio)
	if err != nil {
		return nil, err
	}
	safety, err := NewSafety(c.History)
	if err != nil {
		return nil, err
	}
	return &Evidence{harm: harm, safety: safety}, nil
}

// Add counts a block of requests that were routed while the canary's weight was the given share,
// 0 <= weight <= 1. Requests at the weights 0 and 1 are ignored: there is nothing to compare them with. It
// returns an error and changes nothing if the weight or the block is invalid.
func (e *Evidence) Add(weight float64, b Block) error {
	if err := e.safety.Add(weight, b); err != nil {
		return err
	}
	if weight == 0 || weight == 1 {
		return nil
	}
	return e.harm.Add(b)
}

// Total returns what was counted at all weights between 0 and 1.
func (e *Evidence) Total() Block { return e.safety.Total() }

// EValue returns the present evidence that the canary is worse; see [Harm.EValue].
func (e *Evidence) EValue() float64 { return e.harm.EValue() }

// PeakLogE returns the logarithm of the evidence that decides; see [Harm.PeakLogE].
func (e *Evidence) PeakLogE() float64 { return e.harm.PeakLogE() }

// HarmExcluded returns the harm above which all is excluded at level alpha; see [Safety.HarmExcluded].
func (e *Evidence) HarmExcluded(alpha float64) float64 { return e.safety.HarmExcluded(alpha) }

// SampleRatioMismatch reports that the traffic does not follow the weights; see [Safety.SampleRatioMismatch].
func (e *Evidence) SampleRatioMismatch() bool { return e.safety.SampleRatioMismatch() }

// Difference returns the difference of the error rates for people to read; see [Safety.Difference].
func (e *Evidence) Difference() (Interval, bool) { return e.safety.Difference() }

// saved is the JSON form of an [Evidence]. The number of canary errors of the harm test is the total's.
type saved struct {
	OddsRatio float64   `json:"oddsRatio"`
	History   float64   `json:"history,omitzero"`
	LogWealth []float64 `json:"logWealth"`
	Peak      float64   `json:"peak"`
	Steps     []step    `json:"steps"`
}

// MarshalJSON returns the whole state. Numbers have as many digits as it takes to read them back exactly.
func (e Evidence) MarshalJSON() ([]byte, error) {
	return json.Marshal(saved{
		OddsRatio: e.harm.tolerated(),
		History:   e.safety.history,
		LogWealth: e.harm.logWealth[:],
		Peak:      e.harm.peak,
		Steps:     e.safety.steps,
	})
}

// UnmarshalJSON restores a state. It returns an error and changes nothing if no blocks could have led to it.
func (e *Evidence) UnmarshalJSON(data []byte) error {
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	harm, err := NewHarm(s.OddsRatio)
	if err != nil {
		return err
	}
	safety, err := NewSafety(s.History)
	if err != nil {
		return err
	}
	if err := safety.restore(s.Steps); err != nil {
		return err
	}
	if err := harm.restore(s.LogWealth, s.Peak, safety.total); err != nil {
		return err
	}
	*e = Evidence{harm: harm, safety: safety}
	return nil
}

func (s *Safety) restore(steps []step) error {
	if len(steps) > maxWeights {
		return fmt.Errorf("evidence: %d weights, more than %d", len(steps), maxWeights)
	}
	previous := 0.0
	for _, step := range steps {
		if !(step.Weight > previous && step.Weight < 1) {
			return fmt.Errorf("evidence: weight %v not ascending or outside (0, 1)", step.Weight)
		}
		previous = step.Weight
		if err := step.validate(maxTotalRequests); err != nil {
			return err
		}
		s.total = s.total.Add(step.Block)
		if err := s.total.validate(maxTotalRequests); err != nil {
			return err
		}
	}
	s.steps = steps
	return nil
}

// restore checks that the wealth can come from blocks with the total: every canary error multiplies the
// wealth of an alternative by its odds ratio at most, every error that may have missed the canary divides
// it by as much at most.
func (h *Harm) restore(logWealth []float64, peak float64, total Block) error {
	if len(logWealth) != effects {
		return fmt.Errorf("evidence: %d wealths, want %d", len(logWealth), effects)
	}
	gains := float64(total.CanaryErrors)
	losses := float64(min(total.CanaryErrors+total.BaselineErrors, total.CanaryRequests))
	rounding := 1e-6 * (1 + gains + losses)
	for k, log := range logWealth {
		unit := mixture[k].log
		if !(log >= -losses*unit-rounding && log <= gains*unit+rounding) {
			return fmt.Errorf("evidence: log wealth %v impossible after %+v", log, total)
		}
	}
	h.logWealth = [effects]float64(logWealth)
	h.canaryErrors = total.CanaryErrors
	least, most := 0.0, 0.0
	if h.canaryErrors >= minCanaryErrors {
		least, most = max(0, h.LogE()), gains*mixture[effects-1].log+rounding
	}
	if !(peak >= least && peak <= most) {
		return fmt.Errorf("evidence: peak %v impossible after %+v", peak, total)
	}
	h.peak = peak
	return nil
}
