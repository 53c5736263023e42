package serin

import (
	"encoding/json"
	"fmt"
	"time"
)

// Phase is where a release stands.
type Phase string

// Phases of a release. A release in any phase but [PhaseEnded] is active; an alias has at most one active
// release.
const (
	PhaseChecking    Phase = "checking"     // the canary is checked and gets nothing yet
	PhaseRunning     Phase = "running"      // steps are taken as the evidence allows
	PhaseHeld        Phase = "held"         // no step is taken; the canary is still judged
	PhasePromoting   Phase = "promoting"    // the alias is going to the canary
	PhaseWatching    Phase = "watching"     // the canary has been promoted and its baseline is kept at hand
	PhaseRollingBack Phase = "rolling back" // the alias is going back to the baseline
	PhaseEnded       Phase = "ended"
)

// Verdict is what the evidence says about the canary against its concurrent baseline.
type Verdict string

// Verdicts.
const (
	VerdictNone      Verdict = "none" // there was nothing to compare with
	VerdictWorse     Verdict = "worse"
	VerdictNoWorse   Verdict = "no worse"
	VerdictNotEnough Verdict = "not enough evidence"
)

// Ending is how a release ended, or "held" in the document of a release that waits for a person.
type Ending string

// Endings.
const (
	EndingPromoted   Ending = "promoted"
	EndingRolledBack Ending = "rolled back"
	EndingHeld       Ending = "held"
	EndingAborted    Ending = "aborted"
	EndingRefused    Ending = "refused"  // a check has not passed; the canary has not got any traffic
	EndingConflict   Ending = "conflict" // the alias was changed by somebody else; nothing more was touched
	EndingLeft       Ending = "left"     // a person ended it and left the alias as it was
)

// Command is what a person asks of an active release.
type Command string

// Commands.
const (
	CommandPromote Command = "promote"
	CommandHold    Command = "hold"
	CommandResume  Command = "resume"
	CommandAbort   Command = "abort"
	CommandApprove Command = "approve" // leave the step of a release that waits for a person
	CommandSkip    Command = "skip"    // leave the step now, whatever it waits for
	CommandLeave   Command = "leave"   // end the release and leave the alias as it is
)

// Instruction is a command to an active release.
type Instruction struct {
	Command Command `json:"-"`
	// Step is the index of the step that the command is about. A release that is at another one refuses, so that
	// nothing is approved twice. Approve needs it.
	Step *int `json:"step,omitempty"`
	// Reason is why, for the history.
	Reason string `json:"reason,omitempty"`
}

// Counts are requests and how many of them failed.
type Counts struct {
	Requests int `json:"requests"`
	Errors   int `json:"errors"`
}

// Rate returns errors per request, 0 without requests.
func (c Counts) Rate() float64 {
	if c.Requests == 0 {
		return 0
	}
	return float64(c.Errors) / float64(c.Requests)
}

// Step is one step that a release has taken.
type Step struct {
	Weight    float64   `json:"weight"` // percent
	StartedAt time.Time `json:"startedAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	Reason    string    `json:"reason,omitempty"` // why it ended
	Baseline  Counts    `json:"baseline"`
	Canary    Counts    `json:"canary"`
}

// ReleaseEventType says what has happened to a release.
type ReleaseEventType string

// Types of release events.
const (
	ReleaseStarted    ReleaseEventType = "started"
	ReleaseStep       ReleaseEventType = "step" // a step is in force
	ReleaseHeld       ReleaseEventType = "held"
	ReleaseResumed    ReleaseEventType = "resumed"
	ReleasePromoted   ReleaseEventType = "promoted"
	ReleaseRolledBack ReleaseEventType = "rolledBack"
	ReleaseRefused    ReleaseEventType = "refused"
	ReleaseConflict   ReleaseEventType = "conflict"
	ReleaseLeft       ReleaseEventType = "left"
)

// ReleaseEvent is a line of a release's log.
type ReleaseEvent struct {
	Type   ReleaseEventType `json:"type"`
	At     time.Time        `json:"at"`
	By     string           `json:"by,omitempty"`
	Canary float64          `json:"canary"` // percent of the traffic that the canary has now
	Reason string           `json:"reason,omitempty"`
}

// Judgement is a verdict that changed something, and what it rests on.
type Judgement struct {
	At      time.Time `json:"at"`
	Saved   int64     `json:"saved"` // the save of the release that took it in
	Step    int       `json:"step"`  // index into Policy.Steps
	Verdict Verdict   `json:"verdict"`
	EValue  float64   `json:"eValue"`
	// HarmExcluded is the increase of the error rate above which all is excluded; Tolerated is what had to be.
	HarmExcluded float64 `json:"harmExcluded"`
	Tolerated    float64 `json:"tolerated"`
	Baseline     Counts  `json:"baseline"`
	Canary       Counts  `json:"canary"`
	// Blind names the signals that could not have shown a difference by then.
	Blind []string `json:"blind,omitempty"`
	// Synthetic is how many requests of both versions together no user had made by then: see [SyntheticHeader].
	Synthetic int `json:"synthetic,omitempty"`
}

// Release is the whole move of an alias from its baseline to a canary.
//
// Want is the routing that the release intends, saved before it is applied; Applied is the routing that it
// knows to be in force. When the alias shows neither, somebody else changed it.
type Release struct {
	ID       string        `json:"releaseId"`
	Function string        `json:"function"`
	Alias    string        `json:"alias"`
	Baseline VersionNumber `json:"baseline"`
	Canary   VersionNumber `json:"canary"`
	Policy   Policy        `json:"policy"`
	Actor    string        `json:"actor,omitempty"`
	Message  string        `json:"message,omitempty"`
	// BaselineRate is the baseline's error rate before the release, if it is known. It is a prior only.
	BaselineRate *float64 `json:"baselineRate,omitempty"`

	Phase     Phase     `json:"phase"`
	Want      Routing   `json:"want"`
	Applied   Routing   `json:"applied"`
	Step      int       `json:"step"` // index into Policy.Steps of the step that Want or Applied carries out
	Steps     []Step    `json:"steps"`
	StartedAt time.Time `json:"startedAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	// WaitingSince is from when MaxWait counts.
	WaitingSince time.Time `json:"waitingSince"`

	Verdict Verdict `json:"verdict"`
	Ending  Ending  `json:"ending,omitempty"`
	Reason  string  `json:"reason,omitempty"` // why it is in this phase, for people
	EndedBy string  `json:"endedBy,omitempty"`
	HeldBy  string  `json:"heldBy,omitempty"` // the person who holds it; empty if its evidence did not come in time
	// Blind says that the canary got traffic without enough evidence, because the policy or a person said so.
	Blind bool `json:"blind,omitempty"`
	// WatchUntil is when the watch over the promoted canary ends; zero before it has begun.
	WatchUntil time.Time `json:"watchUntil,omitzero"`
	// Log is what has happened, the oldest first.
	Log []ReleaseEvent `json:"log,omitempty"`
	// Checks are the runs of the policy's checks, the oldest first.
	Checks []CheckRun `json:"checks,omitempty"`
	// Signals is what was observed while the release had the alias, also in requests that are no evidence.
	Signals Signals `json:"signals,omitzero"`
	// Thresholds are what durations are compared with.
	Thresholds Thresholds `json:"thresholds,omitzero"`
	// Alarms is what the policy's alarms said when they were looked at last.
	Alarms []AlarmState `json:"alarms,omitempty"`
	// Judgements are the verdicts that changed something, the oldest first.
	Judgements []Judgement `json:"judgements,omitempty"`
	// Evidence is the saved state of the evidence package.
	Evidence json.RawMessage `json:"evidence,omitempty"`

	// Version counts the saves of the release; the store refuses a save of an old one.
	Version int64 `json:"-"`
}

// Thresholds are the baseline's p50, p75, p90, p95 and p99 in milliseconds, from before the requests that are compared
// with them; empty while they are unknown.
type Thresholds struct {
	Latency   []float64 `json:"latency,omitempty"`
	ColdStart []float64 `json:"coldStart,omitempty"`
}

// SignalStates returns every signal and whether it could have shown a difference.
func (r *Release) SignalStates() []SignalState {
	states := r.Signals.States()
	both := r.Signals.Baseline.Requests > 0 && r.Signals.Canary.Requests > 0
	for i := range states {
		switch s := &states[i]; {
		case s.Signal != signalLatency:
		case !r.Policy.Judges(JudgeLatency):
			s.Live, s.Why = false, "the policy does not judge it"
		case both && len(r.Thresholds.Latency) == 0:
			s.Live, s.Why = false, "the baseline has had too few requests to compare with"
		}
	}
	for _, a := range r.Alarms {
		states = append(states, a.signal())
	}
	return states
}

// Active reports whether the release can still move its alias.
func (r *Release) Active() bool { return r.Phase != PhaseEnded }

// Totals sums the counts of all steps.
func (r *Release) Totals() (baseline, canary Counts) {
	for _, s := range r.Steps {
		baseline.Requests += s.Baseline.Requests
		baseline.Errors += s.Baseline.Errors
		canary.Requests += s.Canary.Requests
		canary.Errors += s.Canary.Errors
	}
	return baseline, canary
}

// Duration is a time.Duration that documents write like "30m0s".
type Duration time.Duration

// String formats like time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration like 30m", text)
	}
	*d = Duration(v)
	return nil
}
