package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/api"
)

func typesOf(events []event) []string {
	var names []string
	for _, e := range events {
		name := e.Type
		if e.Step != nil && !e.Step.EndedAt.IsZero() {
			name += " ended"
		}
		names = append(names, name)
	}
	return names
}

func TestEventsBetween(t *testing.T) {
	few := counts(serin.Counts{Requests: 90}, serin.Counts{Requests: 10, Errors: 1})
	noWorse := func(d *api.ReleaseDocument) { d.Verdict = serin.VerdictNoWorse }
	for name, c := range map[string]struct {
		before, after *api.ReleaseDocument
		want          []string
	}{
		"the first document":            {nil, running(), []string{"started", "step"}},
		"a first document that is late": {nil, running(few, secondStep), []string{"started", "sample", "step", "step ended", "step"}},
		"nothing new":                   {running(), running(), nil},
		"requests":                      {running(), running(few), []string{"sample"}},
		"the next step":                 {running(few), running(few, noWorse, secondStep), []string{"verdict", "step ended", "step"}},
		"held":                          {running(), running(phase(serin.PhaseHeld, "held by ana")), []string{"held"}},
		"resumed":                       {running(phase(serin.PhaseHeld, "held by ana")), running(), []string{"resumed"}},
		"rolling back is not there yet": {running(), running(phase(serin.PhaseRollingBack, "worse")), nil},
		"rolled back": {
			running(), running(few, endedAs(serin.EndingRolledBack, serin.VerdictWorse, "worse")),
			[]string{"sample", "verdict", "step ended", "rolledBack"},
		},
		"a whole release that nobody saw": {
			nil, running(few, secondStep, endedAs(serin.EndingPromoted, serin.VerdictNoWorse, "fine")),
			[]string{"started", "sample", "verdict", "step", "step ended", "step", "step ended", "promoted"},
		},
		"aborted": {
			running(), running(endedAs(serin.EndingAborted, serin.VerdictNotEnough, "aborted by ana")),
			[]string{"step ended", "rolledBack"},
		},
		"somebody else moved the alias": {
			running(), running(endedAs(serin.EndingAborted, serin.VerdictNotEnough, "changed"), func(d *api.ReleaseDocument) { d.Conflict = true }),
			[]string{"step ended"},
		},
		"nothing to compare with": {
			nil, running(func(d *api.ReleaseDocument) {
				d.Phase, d.Outcome, d.Verdict, d.Steps = serin.PhaseEnded, serin.EndingPromoted, serin.VerdictNone, []serin.Step{}
			}),
			[]string{"started", "promoted"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			events := eventsBetween(c.before, c.after, began.Add(time.Minute))
			if diff := cmp.Diff(c.want, typesOf(events)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, e := range events {
				if e.ReleaseID != c.after.ReleaseID || !e.Time.Equal(began.Add(time.Minute)) {
					t.Errorf("event without its release or its time: %+v", e)
				}
			}
		})
	}
}

// A step's beginning must not show what was counted later.
func TestStepBeginsEmpty(t *testing.T) {
	d := running(counts(serin.Counts{Requests: 90}, serin.Counts{Requests: 10}), endedAs(serin.EndingRolledBack, serin.VerdictWorse, "worse"))
	for _, e := range eventsBetween(nil, d, began) {
		if e.Type == eventStep && e.Step.EndedAt.IsZero() && (e.Step.Reason != "" || e.Step.Baseline.Requests != 0) {
			t.Errorf("beginning of a step: %+v", e.Step)
		}
	}
	if d.Steps[0].Reason == "" {
		t.Error("the document was changed")
	}
}
