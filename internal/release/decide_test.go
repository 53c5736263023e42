package release

import (
	"errors"
	"strings"
	"testing"
	"time"

	"serin"
	"serin/internal/evidence"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// at returns a release of version 2 over version 1 that is at a step since start, and the alias that it
// expects.
func at(t *testing.T, step int, change func(*serin.Release)) (serin.Release, *serin.Alias) {
	t.Helper()
	r := serin.Release{
		ID: "rel", Function: "shop", Alias: "live", Baseline: 1, Canary: 2, Policy: serin.DefaultPolicy(), Actor: "ana",
		Phase: serin.PhaseRunning, StartedAt: start, WaitingSince: start, Step: step,
	}
	for i := range step + 1 {
		r.Steps = append(r.Steps, serin.Step{Weight: r.Policy.Steps[i], StartedAt: start})
	}
	r.Want = routing(&r, step)
	r.Applied = r.Want
	if change != nil {
		change(&r)
	}
	return r, &serin.Alias{Name: "live", Routing: r.Applied, RevisionID: "a1"}
}

// seen is evidence of n blocks of 20 requests, half of them the canary's, with so many errors per block.
func seen(t *testing.T, n, canaryErrors, baselineErrors int) *evidence.Evidence {
	t.Helper()
	ev, err := evidence.New(evidence.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		b := evidence.Block{CanaryRequests: 10, CanaryErrors: canaryErrors, BaselineRequests: 10, BaselineErrors: baselineErrors}
		if err := ev.Add(0.5, b); err != nil {
			t.Fatal(err)
		}
	}
	return ev
}

func TestDecide(t *testing.T) {
	baseline, canary := serin.Routing{Version: 1}, serin.Routing{Version: 2}
	held := func(r *serin.Release) { r.Phase = serin.PhaseHeld }
	onBlind := func(b serin.Blind) func(*serin.Release) { return func(r *serin.Release) { r.Policy.OnBlind = b } }
	soon, late := start.Add(time.Second), start.Add(31*time.Minute)
	none, good, bad := seen(t, 0, 0, 0), seen(t, 200, 0, 0), seen(t, 20, 4, 0)
	for name, tt := range map[string]struct {
		step   int
		change func(*serin.Release)
		ev     *evidence.Evidence
		now    time.Time
		// what must come out
		phase   serin.Phase
		ending  serin.Ending
		verdict serin.Verdict
		want    serin.Routing
		reason  string
	}{
		"no data, no verdict": {
			0, nil, none, soon,
			serin.PhaseRunning, "", serin.VerdictNotEnough,
			serin.Routing{Version: 1, Additional: 2, Weight: 0.05},
			"",
		},
		"no worse takes the next step": {
			0, nil, good, soon,
			serin.PhaseRunning, "", serin.VerdictNoWorse,
			serin.Routing{Version: 1, Additional: 2, Weight: 0.25},
			"",
		},
		"but not before the step has baked": {
			0, func(r *serin.Release) { r.Policy.Bake = serin.Duration(time.Minute) }, good, soon,
			serin.PhaseRunning, "", serin.VerdictNoWorse,
			serin.Routing{Version: 1, Additional: 2, Weight: 0.05},
			"",
		},
		"no worse at the last step promotes": {
			2, nil, good, soon,
			serin.PhasePromoting, serin.EndingPromoted, serin.VerdictNoWorse, canary, "harm above +1 pp is excluded",
		},
		"worse rolls back": {
			1, nil, bad, soon,
			serin.PhaseRollingBack, serin.EndingRolledBack, serin.VerdictWorse, baseline, "version 2 fails more than version 1",
		},
		"worse rolls back from a hold too": {
			1, held, bad, soon,
			serin.PhaseRollingBack, serin.EndingRolledBack, serin.VerdictWorse, baseline, "fails more",
		},
		"a hold takes no step": {
			1, held, good, late,
			serin.PhaseHeld, "", serin.VerdictNoWorse,
			serin.Routing{Version: 1, Additional: 2, Weight: 0.25},
			"",
		},
		"blind: hold": {
			1, onBlind(serin.BlindHold), none, late,
			serin.PhaseHeld, serin.EndingHeld, serin.VerdictNotEnough,
			serin.Routing{Version: 1, Additional: 2, Weight: 0.25},
			"not enough evidence after 30m0s: 0 requests of the canary",
		},
		"blind: promote": {
			1, onBlind(serin.BlindPromote), none, late,
			serin.PhasePromoting, serin.EndingPromoted, serin.VerdictNotEnough, canary, "because the policy says so",
		},
		"blind: rollback": {
			1, onBlind(serin.BlindRollback), none, late,
			serin.PhaseRollingBack, serin.EndingRolledBack, serin.VerdictNotEnough, baseline, "because the policy says so",
		},
		"worse counts even when the time is over": {
			1, onBlind(serin.BlindPromote), bad, late,
			serin.PhaseRollingBack, serin.EndingRolledBack, serin.VerdictWorse, baseline, "fails more",
		},
	} {
		r, alias := at(t, tt.step, tt.change)
		got := decide(r, alias, tt.ev, tt.now)
		if got.Phase != tt.phase || got.Ending != tt.ending || got.Verdict != tt.verdict || got.Want != tt.want || !strings.Contains(got.Reason, tt.reason) {
			t.Errorf("%s:\n%s, ending %q, %s, want %+v, reason %q", name, got.Phase, got.Ending, got.Verdict, got.Want, got.Reason)
		}
		if blind := tt.ending == serin.EndingPromoted && tt.verdict == serin.VerdictNotEnough; got.Blind != blind {
			t.Errorf("%s: blind = %v", name, got.Blind)
		}
		if left := got.Want != r.Applied; left == got.Steps[tt.step].EndedAt.IsZero() {
			t.Errorf("%s: the step's end is %v", name, got.Steps[tt.step].EndedAt)
		}
	}
}

// Whatever was saved last, looking at the alias again converges: the effect of a saved intent is carried out,
// an effect that was carried out but not noted is noted, and anything else is somebody else's change.
func TestDecideConverges(t *testing.T) {
	ev := seen(t, 200, 0, 0)
	r, alias := at(t, 0, nil)
	next := decide(r, alias, ev, start)
	if again := decide(next, alias, ev, start); again.Want != next.Want || len(again.Steps) != len(next.Steps) || again.Step != next.Step {
		t.Errorf("deciding before the effect moved on: %+v", again)
	}
	alias.Routing = next.Want // applied; then the server was killed before it noted that
	noted := decide(next, alias, seen(t, 0, 0, 0), start.Add(time.Hour-time.Second))
	if noted.Applied != next.Want || len(noted.Steps) != 2 || noted.Steps[1].Weight != 25 {
		t.Errorf("arriving after a restart: %+v", noted)
	}

	for name, foreign := range map[string]*serin.Alias{
		"another version":   {Name: "live", Routing: serin.Routing{Version: 3}},
		"another weight":    {Name: "live", Routing: serin.Routing{Version: 1, Additional: 2, Weight: 0.5}},
		"the alias is gone": nil,
	} {
		got := decide(next, foreign, ev, start)
		if got.Phase != serin.PhaseEnded || got.Ending != serin.EndingConflict || got.Active() {
			t.Errorf("%s: %+v", name, got)
		}
	}

	promoting, alias := at(t, 2, func(r *serin.Release) { *r = promote(*r, "", start) })
	alias.Routing = promoting.Want
	if got := decide(promoting, alias, ev, start); got.Phase != serin.PhaseEnded || got.Ending != serin.EndingPromoted || got.EndedAt.IsZero() {
		t.Errorf("a promotion that was applied has not ended: %+v", got)
	}
	if ended := decide(promoting, alias, ev, start); ended.Active() {
		t.Error("an ended release decides on")
	}
}

func TestCommands(t *testing.T) {
	for name, tt := range map[string]struct {
		from    serin.Phase
		command serin.Command
		phase   serin.Phase
		want    serin.Routing
		kind    serin.Kind
	}{
		"promote":                {serin.PhaseRunning, serin.CommandPromote, serin.PhasePromoting, serin.Routing{Version: 2}, 0},
		"promote a held one":     {serin.PhaseHeld, serin.CommandPromote, serin.PhasePromoting, serin.Routing{Version: 2}, 0},
		"abort":                  {serin.PhaseRunning, serin.CommandAbort, serin.PhaseRollingBack, serin.Routing{Version: 1}, 0},
		"hold":                   {serin.PhaseRunning, serin.CommandHold, serin.PhaseHeld, serin.Routing{Version: 1, Additional: 2, Weight: 0.25}, 0},
		"resume":                 {serin.PhaseHeld, serin.CommandResume, serin.PhaseRunning, serin.Routing{Version: 1, Additional: 2, Weight: 0.25}, 0},
		"too late":               {serin.PhaseRollingBack, serin.CommandPromote, serin.PhaseRollingBack, serin.Routing{}, serin.KindConflict},
		"after the end":          {serin.PhaseEnded, serin.CommandAbort, serin.PhaseEnded, serin.Routing{}, serin.KindConflict},
		"there is no such thing": {serin.PhaseRunning, "explode", serin.PhaseRunning, serin.Routing{}, serin.KindInvalid},
	} {
		r, _ := at(t, 1, func(r *serin.Release) { r.Phase = tt.from })
		got, err := obey(r, serin.Instruction{Command: tt.command}, "leo", start.Add(time.Minute))
		if e, ok := errors.AsType[*serin.Error](err); ok || tt.kind != 0 {
			if !ok || e.Kind != tt.kind || got.Phase != tt.from {
				t.Errorf("%s: %v, phase %s", name, err, got.Phase)
			}
			continue
		}
		if got.Phase != tt.phase || got.Want != tt.want {
			t.Errorf("%s: %s, %+v", name, got.Phase, got.Want)
		}
	}
	r, _ := at(t, 1, func(r *serin.Release) { r.Phase = serin.PhaseHeld })
	if got, _ := obey(r, serin.Instruction{Command: serin.CommandResume}, "leo", start.Add(time.Hour)); !got.WaitingSince.Equal(start.Add(time.Hour)) {
		t.Error("resuming must give the release a new time to wait")
	}
}

// Each step asks for at least as much as the one before, and the last one for what the policy says.
func TestTolerance(t *testing.T) {
	r, _ := at(t, 0, func(r *serin.Release) { r.Policy.Steps = []float64{1, 5, 25, 50, 100} })
	last := 1.0
	for r.Step = range 4 {
		got := Tolerance(&r)
		if got > last {
			t.Errorf("step %d tolerates %v, more than the one before", r.Step, got)
		}
		last = got
	}
	if last != r.Policy.MaxHarm {
		t.Errorf("the last step tolerates %v, want %v", last, r.Policy.MaxHarm)
	}
	r.Policy.Steps, r.Step = []float64{10, 100}, 0
	if got := Tolerance(&r); got != r.Policy.MaxHarm {
		t.Errorf("a single canary step tolerates %v, want %v", got, r.Policy.MaxHarm)
	}
}

func TestDecimal(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.123: "0.12", 0.1: "0.1", 9.37: "9.4", 100: "100", 33.3333: "33.3"} {
		if got := decimal(v); got != want {
			t.Errorf("decimal(%v) = %q, want %q", v, got, want)
		}
	}
}
