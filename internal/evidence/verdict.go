package evidence

import "fmt"

// Verdict is what the evidence says about a canary. The zero value is [NotEnough]: no data, no verdict.
type Verdict int

// The three verdicts.
const (
	// NotEnough means that neither of the other two has been shown.
	NotEnough Verdict = iota
	// Worse means that the canary fails more often than its baseline: roll back.
	Worse
	// NoWorse means that the canary is not worse by as much as is tolerated: go on.
	NoWorse
)

var verdictNames = [...]string{NotEnough: "not enough evidence", Worse: "worse", NoWorse: "no worse"}

// String returns the words that people and documents use.
func (v Verdict) String() string {
	if v < 0 || int(v) >= len(verdictNames) {
		return fmt.Sprintf("Verdict(%d)", int(v))
	}
	return verdictNames[v]
}

// MarshalText returns the words of the verdict.
func (v Verdict) MarshalText() ([]byte, error) {
	if v < 0 || int(v) >= len(verdictNames) {
		return nil, fmt.Errorf("evidence: unknown verdict %d", int(v))
	}
	return []byte(verdictNames[v]), nil
}

// UnmarshalText accepts the words of a verdict.
func (v *Verdict) UnmarshalText(text []byte) error {
	for verdict, name := range verdictNames {
		if name == string(text) {
			*v = Verdict(verdict)
			return nil
		}
	}
	return fmt.Errorf("evidence: unknown verdict %.40q", text)
}

// The error probabilities that a release has unless it says otherwise.
const (
	DefaultAlpha        = 0.01
	DefaultPromoteAlpha = 0.05
)

// Criteria are what a step of a release asks of the evidence before it is left.
type Criteria struct {
	// PromoteAlpha bounds the probability that a canary that is worse by Tolerated is ever found no worse.
	PromoteAlpha float64 `json:"promoteAlpha"`
	// Tolerated is the harm, as a difference of error rates, that must be excluded. See [ToleratedHarm].
	Tolerated float64 `json:"tolerated"`
	// NoSlower asks that it be excluded, too, that a warm request of the canary has twice the odds of exceeding
	// the thresholds of [Latency] up to the p95. It asks nothing as long as the signal is blind.
	NoSlower bool `json:"noSlower,omitzero"`
}

// Judge returns the verdict under the criteria. [Worse] comes before [NoWorse]: a small harm that is certain
// can be both. Criteria outside (0, 1) are never met.
func (e *Evidence) Judge(c Criteria) Verdict {
	switch {
	case e.worse:
		return Worse
	case e.safety.Excludes(c.Tolerated, c.PromoteAlpha) && e.noSlower(c):
		return NoWorse
	default:
		return NotEnough
	}
}

func (e *Evidence) noSlower(c Criteria) bool {
	latency := &e.series[Latency]
	return !c.NoSlower || !latency.live() || latency.noSlower(c.PromoteAlpha)
}

// ToleratedHarm returns the harm that must be excluded before a canary leaves a step of the given weight, as
// a difference of error rates: 20, 5 and 2 percentage points up to the weights 1, 5 and 25 %, 1 point above.
// A small step exposes few requests and asks for little; every step asks for more than the one before, so
// the time of a release goes where there is traffic to learn from.
func ToleratedHarm(weight float64) float64 {
	switch {
	case weight <= 0.01:
		return 0.20
	case weight <= 0.05:
		return 0.05
	case weight <= 0.25:
		return 0.02
	default:
		return 0.01
	}
}
