package serin

import (
	"slices"
	"time"
)

// Blind says what to do with a canary that has not shown enough evidence in time.
type Blind string

// Policies for a canary without enough evidence.
const (
	BlindHold     Blind = "hold"
	BlindPromote  Blind = "promote"
	BlindRollback Blind = "rollback"
)

// Pace says what lets a release leave a step. Whatever the pace, a canary that is worse is rolled back at once.
type Pace string

// Paces.
const (
	PaceEvidence Pace = "evidence" // the harm that the step tolerates is excluded
	PaceTime     Pace = "time"     // the step has lasted for the policy's bake
	PaceHand     Pace = "hand"     // a person approves
)

// Judged is a kind of signals by which a release judges its canary.
type Judged string

// What releases can judge.
const (
	JudgeErrors     Judged = "errors"      // failures of all kinds together, and each kind
	JudgeLatency    Judged = "latency"     // of warm requests
	JudgeColdStarts Judged = "cold-starts" // how long initialisations take; how many there are counts for nothing
)

// Policy is how a release is paced and judged.
type Policy struct {
	// Preset is the name of the [Preset] that the policy was made from, if any.
	Preset string `json:"preset,omitempty"`
	// Steps are the canary's shares of the traffic in percent, ascending, ending with 100.
	Steps []float64 `json:"steps"`
	// Pace is empty in releases of before there was a choice: evidence.
	Pace Pace `json:"pace,omitempty"`
	// Bake is the least time that each step lasts.
	Bake Duration `json:"bake,omitzero"`
	// MaxWait is the longest time to wait for evidence, counted from the start or the last resume.
	MaxWait Duration `json:"maxWait"`
	OnBlind Blind    `json:"onBlind"`
	// Alpha bounds the probability of rolling back a canary that is no worse, over the whole release.
	Alpha float64 `json:"alpha"`
	// MaxHarm is the increase of the error rate that must be excluded before the canary gets everything,
	// as a fraction; earlier steps tolerate more.
	MaxHarm float64 `json:"maxHarm"`
	// Signals are what a canary is rolled back for; a promotion rests on errors alone. None stands for errors, in
	// releases of before there was a choice; new ones get the default.
	Signals []Judged `json:"signals,omitempty"`
	// MaxSlowdown is what a request may take on the canary, as a multiple of what it takes on the baseline. Five
	// milliseconds more are tolerated in any case.
	MaxSlowdown float64 `json:"maxSlowdown,omitzero"`
	// Watch is for how long the baseline is kept at hand after the promotion, so that an abort, or evidence
	// against the canary, puts it back.
	Watch Duration `json:"watch,omitzero"`
	// Holdback is the baseline's share of the traffic during the watch, in percent. Without one there is nothing
	// to compare the canary with, and only a person ends the watch early.
	Holdback float64 `json:"holdback,omitzero"`
	// Before is checked before the canary gets any traffic: if it does not hold, the canary gets none. After is checked
	// when the canary has been promoted: if it does not hold, the baseline comes back.
	Before []Check `json:"before,omitempty"`
	After  []Check `json:"after,omitempty"`
	// Alarms are the names of CloudWatch alarms, or their ARNs, that veto: the canary gets no traffic while one of them
	// is in ALARM, and is rolled back if it comes to that. Force passes over them.
	Alarms []string `json:"alarms,omitempty"`
	// Force is why the canary gets everything at once, without evidence: a fix that cannot wait.
	Force string `json:"force,omitempty"`
}

// The largest values of a [Policy].
const (
	maxSteps    = 100
	maxWait     = Duration(7 * 24 * time.Hour)
	maxHoldback = 50
	maxForce    = 500
	maxSlowdown = 10
)

// DefaultPolicy returns the policy that ship uses unless told otherwise.
func DefaultPolicy() Policy {
	return Policy{
		Steps: []float64{5, 25, 50, 100}, Pace: PaceEvidence, MaxWait: Duration(30 * time.Minute),
		OnBlind: BlindHold, Alpha: 0.01, MaxHarm: 0.01,
		Signals: []Judged{JudgeErrors, JudgeLatency}, MaxSlowdown: 1.25,
	}
}

// Complete returns the policy with the defaults for what a request need not say.
func (p Policy) Complete() Policy {
	defaults := DefaultPolicy()
	if len(p.Signals) == 0 {
		p.Signals = defaults.Signals
	}
	if p.MaxSlowdown == 0 {
		p.MaxSlowdown = defaults.MaxSlowdown
	}
	return p
}

// Judges reports whether the policy rolls back for the signals.
func (p *Policy) Judges(j Judged) bool {
	return slices.Contains(p.Signals, j) || len(p.Signals) == 0 && j == JudgeErrors
}

// Check returns a KindInvalid error that names the first setting out of range.
func (p Policy) Check() error {
	if err := p.checkSteps(); err != nil {
		return err
	}
	if err := p.checkSignals(); err != nil {
		return err
	}
	if err := p.checkAlarms(); err != nil {
		return err
	}
	for _, checks := range [][]Check{p.Before, p.After} {
		if err := validateChecks(checks); err != nil {
			return err
		}
	}
	switch {
	case p.MaxWait < Duration(time.Second) || p.MaxWait > maxWait:
		return Errorf(KindInvalid, "max-wait: %s is not between 1s and 168h", p.MaxWait)
	case !slices.Contains([]Pace{"", PaceEvidence, PaceTime, PaceHand}, p.Pace):
		return Errorf(KindInvalid, "pace: %q is not evidence, time or hand", p.Pace)
	case p.Pace == PaceTime && len(p.Steps) > 1 && p.Bake == 0:
		return Errorf(KindInvalid, "bake: steps by time need a time; for example 5m")
	case p.Pace == PaceTime && (p.Bake < 0 || p.Bake > maxWait):
		return Errorf(KindInvalid, "bake: %s is not between 0s and 168h", p.Bake)
	case p.Pace != PaceTime && (p.Bake < 0 || p.Bake > p.MaxWait):
		return Errorf(KindInvalid, "bake: %s is not between 0s and max-wait (%s)", p.Bake, p.MaxWait)
	case !slices.Contains([]Blind{BlindHold, BlindPromote, BlindRollback}, p.OnBlind):
		return Errorf(KindInvalid, "on-blind: %q is not hold, promote or rollback", p.OnBlind)
	case !(p.Alpha >= 1e-6 && p.Alpha <= 0.2):
		return Errorf(KindInvalid, "alpha: %v is not between 0.000001 and 0.2", p.Alpha)
	case !(p.MaxHarm >= 0.0001 && p.MaxHarm <= 0.5):
		return Errorf(KindInvalid, "max-harm: %v is not between 0.0001 and 0.5", p.MaxHarm)
	case p.Watch < 0 || p.Watch > maxWait:
		return Errorf(KindInvalid, "watch: %s is not between 0s and 168h", p.Watch)
	case !(p.Holdback >= 0 && p.Holdback <= maxHoldback):
		return Errorf(KindInvalid, "holdback: %v is not between 0 and %d percent", p.Holdback, maxHoldback)
	case p.Holdback > 0 && p.Watch == 0:
		return Errorf(KindInvalid, "holdback: there is none without a watch; for example --watch 30m")
	case len(p.Force) > maxForce:
		return Errorf(KindInvalid, "force: the reason has %d bytes; at most %d", len(p.Force), maxForce)
	}
	return nil
}

func (p Policy) checkSignals() error {
	for i, s := range p.Signals {
		if !slices.Contains([]Judged{JudgeErrors, JudgeLatency, JudgeColdStarts}, s) {
			return Errorf(KindInvalid, "signals: %.100q is not errors, latency or cold-starts", string(s))
		}
		if slices.Contains(p.Signals[:i], s) {
			return Errorf(KindInvalid, "signals: %s is there twice", s)
		}
	}
	if p.MaxSlowdown != 0 && !(p.MaxSlowdown >= 1 && p.MaxSlowdown <= maxSlowdown) {
		return Errorf(KindInvalid, "max-slowdown: %v is not between 1 and %d", p.MaxSlowdown, maxSlowdown)
	}
	return nil
}

func (p Policy) checkSteps() error {
	if len(p.Steps) == 0 || p.Steps[len(p.Steps)-1] != 100 {
		return Errorf(KindInvalid, "steps: the last step must be 100, not %v; for example 5,25,50,100", p.Steps)
	}
	if len(p.Steps) > maxSteps {
		return Errorf(KindInvalid, "steps: %d are too many; at most %d", len(p.Steps), maxSteps)
	}
	last := 0.0
	for _, s := range p.Steps {
		if !(s > last && s <= 100) {
			return Errorf(KindInvalid, "steps: %v must ascend from above 0 to 100 percent", p.Steps)
		}
		last = s
	}
	return nil
}

// Weight returns the canary's share at a step, 0 to 1.
func (p Policy) Weight(step int) float64 { return p.Steps[step] / 100 }

// WatchWeight returns the canary's share during the watch, 0 to 1.
func (p Policy) WatchWeight() float64 { return (100 - p.Holdback) / 100 }
