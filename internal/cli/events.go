package cli

import (
	"time"

	"serin"
	"serin/internal/api"
	"serin/internal/bundle"
)

// Types of events, in the order in which they come.
const (
	eventPublished  = "published"  // the version to ship is there
	eventSmoke      = "smoke"      // the smoke test has ended
	eventCheck      = "check"      // a check of the server has ended
	eventStarted    = "started"    // the release has begun
	eventStep       = "step"       // a step has begun or, if it has an endedAt, has ended
	eventSample     = "sample"     // requests were counted
	eventVerdict    = "verdict"    // the verdict has changed
	eventHeld       = "held"       // no step is taken any more
	eventResumed    = "resumed"    // steps are taken again
	eventRolledBack = "rolledBack" // all traffic is back
	eventPromoted   = "promoted"   // all traffic is on the new version
	eventDone       = "done"       // the command ends
)

// event is one thing that happened while ship ran, as ship --events prints it. Members that a type does not
// have are absent.
type event struct {
	Type      string    `json:"type"`
	Time      time.Time `json:"time"`
	ReleaseID string    `json:"releaseId,omitempty"`

	Version *api.VersionRef `json:"version,omitempty"` // published, promoted, rolledBack: where the traffic is
	Changed []string        `json:"changed,omitempty"` // published
	// Fields and Files say the same with values, and what has changed within the package.
	Fields []fieldChange       `json:"fields,omitempty"`
	Files  []bundle.FileChange `json:"files,omitempty"`
	Smoke  *smokeResult        `json:"smoke,omitempty"`
	Check  *serin.CheckRun     `json:"check,omitempty"`

	Step     *stepEvent     `json:"step,omitempty"`
	Baseline *serin.Counts  `json:"baseline,omitempty"` // sample: over the whole release
	Canary   *serin.Counts  `json:"canary,omitempty"`
	Evidence *api.Evidence  `json:"evidence,omitempty"`
	Verdict  *serin.Verdict `json:"verdict,omitempty"`
	Reason   *api.Reason    `json:"reason,omitempty"`

	Release  *api.ReleaseDocument `json:"release,omitempty"` // done
	Error    *errorDocument       `json:"error,omitempty"`   // done, if there is no release
	ExitCode *int                 `json:"exitCode,omitempty"`

	// document is the release as it was when the event was noticed.
	document *api.ReleaseDocument
	// existed says that the published version was there before.
	existed bool
}

// stepEvent is a step and its place among the steps of the policy.
type stepEvent struct {
	Index int `json:"index"` // from 1
	Of    int `json:"of"`
	serin.Step
}

// smokeResult is how the smoke test went.
type smokeResult struct {
	Command         string  `json:"command"`
	ExitStatus      int     `json:"exitStatus"`
	DurationSeconds float64 `json:"durationSeconds"`
}

// eventsBetween returns what happened between two documents of a release; before is nil for the first one.
// Steps, verdicts and ends are complete whatever lies between the two; of samples there is one.
func eventsBetween(before, after *api.ReleaseDocument, at time.Time) []event {
	var events []event
	add := func(e event) {
		e.Time, e.ReleaseID, e.document = at, after.ReleaseID, after
		events = append(events, e)
	}
	first := before == nil
	if first {
		before = &api.ReleaseDocument{Verdict: serin.VerdictNotEnough, Phase: serin.PhaseRunning}
		if after.Verdict == serin.VerdictNone {
			before.Verdict = serin.VerdictNone
		}
		add(event{Type: eventStarted})
	}
	for i := range after.Checks {
		known := i < len(before.Checks) && !before.Checks[i].EndedAt.IsZero()
		if !known && !after.Checks[i].EndedAt.IsZero() {
			add(event{Type: eventCheck, Check: &after.Checks[i]})
		}
	}
	samples(before, after, add)
	if before.Verdict != after.Verdict {
		add(event{Type: eventVerdict, Verdict: &after.Verdict, Reason: &after.Reason, Evidence: &after.Evidence})
	}
	steps(before, after, add)
	wasHeld, held := before.Phase == serin.PhaseHeld, after.Phase == serin.PhaseHeld
	switch {
	case held && !wasHeld:
		add(event{Type: eventHeld, Reason: &after.Reason})
	case wasHeld && after.Phase == serin.PhaseRunning:
		add(event{Type: eventResumed})
	}
	if after.Phase == serin.PhaseWatching && before.Phase != serin.PhaseWatching {
		add(event{Type: eventPromoted, Version: &after.To, Reason: &after.Reason})
	}
	if after.Phase == serin.PhaseEnded && before.Phase != serin.PhaseEnded {
		switch after.Outcome {
		case serin.EndingPromoted:
			if before.Phase == serin.PhaseWatching || !before.WatchUntil.IsZero() {
				break // told when the watch began
			}
			add(event{Type: eventPromoted, Version: &after.To, Reason: &after.Reason})
		case serin.EndingRolledBack, serin.EndingAborted:
			if !after.Conflict {
				add(event{Type: eventRolledBack, Version: &after.From, Reason: &after.Reason})
			}
		case serin.EndingHeld, serin.EndingConflict, serin.EndingRefused, serin.EndingLeft: // told by the check, or not how a document ends
		}
	}
	return events
}

func samples(before, after *api.ReleaseDocument, add func(event)) {
	b0, c0 := totals(before)
	b, c := totals(after)
	if b != b0 || c != c0 {
		add(event{Type: eventSample, Baseline: &b, Canary: &c, Evidence: &after.Evidence})
	}
}

// steps adds the ends and the beginnings that are new.
func steps(before, after *api.ReleaseDocument, add func(event)) {
	of := len(after.Policy.Steps)
	for i := range after.Steps {
		begun := i < len(before.Steps)
		ended := begun && !before.Steps[i].EndedAt.IsZero()
		step := stepEvent{Index: i + 1, Of: of, Step: after.Steps[i]}
		if !begun {
			start := step
			start.EndedAt, start.Reason = time.Time{}, ""
			start.Baseline, start.Canary = serin.Counts{}, serin.Counts{}
			add(event{Type: eventStep, Step: &start})
		}
		if !ended && !step.EndedAt.IsZero() {
			add(event{Type: eventStep, Step: &step})
		}
	}
}

// totals sums the counts of all steps of a document.
func totals(d *api.ReleaseDocument) (baseline, canary serin.Counts) {
	return (&serin.Release{Steps: d.Steps}).Totals()
}

// heldByPerson tells a release that a person holds from one that waits because its evidence did not come in
// time.
func heldByPerson(d *api.ReleaseDocument) bool {
	return d.Phase == serin.PhaseHeld && d.HeldBy != ""
}
