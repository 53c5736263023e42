package release

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"serin"
	"serin/internal/evidence"
)

// decide returns the release as it has to go on from what is seen now. It is pure: the caller saves the
// result and then, if the alias does not show Want yet, moves it. Whatever stops the caller in between,
// deciding again from the saved release and the alias leads to the same end.
//
// alias is nil if the alias does not exist.
func decide(r serin.Release, alias *serin.Alias, ev *evidence.Evidence, now time.Time) serin.Release {
	if !r.Active() {
		return r
	}
	switch {
	case alias == nil:
		return conflict(r, "the alias was deleted", now)
	case alias.Routing == r.Want:
		r = arrive(r, now)
	case alias.Routing == r.Applied:
		return r // the move to Want is still due
	default:
		return conflict(r, fmt.Sprintf("the alias was changed by somebody else to %s", describe(alias.Routing)), now)
	}
	switch r.Phase {
	case serin.PhasePromoting, serin.PhaseRollingBack:
		r.Phase, r.EndedAt = serin.PhaseEnded, now
		return r
	case serin.PhaseEnded:
		return r
	case serin.PhaseRunning, serin.PhaseHeld:
	}
	return judge(r, ev, now)
}

// judge looks at the evidence at a step that is in force.
func judge(r serin.Release, ev *evidence.Evidence, now time.Time) serin.Release {
	tolerated := Tolerance(&r)
	verdict := ev.Judge(evidence.Criteria{Alpha: r.Policy.Alpha, PromoteAlpha: evidence.DefaultPromoteAlpha, Tolerated: tolerated})
	switch verdict {
	case evidence.Worse:
		r.Verdict = serin.VerdictWorse
		return rollBack(r, serin.EndingRolledBack, worseReason(&r), now)
	case evidence.NoWorse:
		r.Verdict = serin.VerdictNoWorse
	case evidence.NotEnough:
		r.Verdict = serin.VerdictNotEnough
	}
	if r.Phase == serin.PhaseHeld {
		return r
	}
	baked := !now.Before(r.Steps[len(r.Steps)-1].StartedAt.Add(time.Duration(r.Policy.Bake)))
	switch {
	case verdict == evidence.NoWorse && baked:
		return advance(r, fmt.Sprintf("harm above %s is excluded", points(tolerated)), now)
	case !now.Before(r.WaitingSince.Add(time.Duration(r.Policy.MaxWait))):
		return giveUp(r, now)
	default:
		return r
	}
}

// Tolerance is the increase of the error rate, as a fraction, that must be excluded before the present step
// is left: the last step before 100 % asks for the policy's, earlier ones tolerate more because they expose
// less.
func Tolerance(r *serin.Release) float64 {
	if r.Step >= len(r.Policy.Steps)-2 {
		return r.Policy.MaxHarm
	}
	return max(r.Policy.MaxHarm, evidence.ToleratedHarm(r.Policy.Weight(r.Step)))
}

// routing is the routing of a step.
func routing(r *serin.Release, step int) serin.Routing {
	if w := r.Policy.Weight(step); w < 1 {
		return serin.Routing{Version: r.Baseline, Additional: r.Canary, Weight: w}
	}
	return serin.Routing{Version: r.Canary}
}

// arrive notes that Want is in force.
func arrive(r serin.Release, now time.Time) serin.Release {
	if r.Applied == r.Want {
		return r
	}
	r.Applied = r.Want
	if r.Phase == serin.PhaseRunning || r.Phase == serin.PhaseHeld {
		r.Steps = append(slices.Clip(r.Steps), serin.Step{Weight: r.Policy.Steps[r.Step], StartedAt: now})
	}
	return r
}

// advance takes the next step; the last one is the promotion.
func advance(r serin.Release, reason string, now time.Time) serin.Release {
	if r.Step+1 >= len(r.Policy.Steps)-1 {
		return promote(r, reason, now)
	}
	r = leaveStep(r, reason, now)
	r.Step++
	r.Want = routing(&r, r.Step)
	return r
}

func promote(r serin.Release, reason string, now time.Time) serin.Release {
	r = leaveStep(r, reason, now)
	r.Step = len(r.Policy.Steps) - 1
	r.Want = routing(&r, r.Step)
	r.Phase, r.Ending, r.Reason = serin.PhasePromoting, serin.EndingPromoted, reason
	return r
}

func rollBack(r serin.Release, ending serin.Ending, reason string, now time.Time) serin.Release {
	r = leaveStep(r, reason, now)
	r.Want = serin.Routing{Version: r.Baseline}
	r.Phase, r.Ending, r.Reason = serin.PhaseRollingBack, ending, reason
	return r
}

// giveUp applies the policy for a canary without enough evidence.
func giveUp(r serin.Release, now time.Time) serin.Release {
	_, canary := r.Totals()
	reason := fmt.Sprintf("not enough evidence after %s: %s of the canary", r.Policy.MaxWait, plural(canary.Requests, "request"))
	switch r.Policy.OnBlind {
	case serin.BlindPromote:
		r.Blind = true
		return promote(r, reason+"; promoted because the policy says so", now)
	case serin.BlindRollback:
		return rollBack(r, serin.EndingRolledBack, reason+"; rolled back because the policy says so", now)
	case serin.BlindHold:
	}
	r.Phase, r.Ending, r.Reason = serin.PhaseHeld, serin.EndingHeld, reason
	return r
}

func conflict(r serin.Release, reason string, now time.Time) serin.Release {
	r = leaveStep(r, reason, now)
	r.Phase, r.Ending, r.Reason, r.EndedAt = serin.PhaseEnded, serin.EndingConflict, reason, now
	return r
}

// leaveStep closes the record of the step that is in force.
func leaveStep(r serin.Release, reason string, now time.Time) serin.Release {
	if last := len(r.Steps) - 1; last >= 0 && r.Steps[last].EndedAt.IsZero() {
		r.Steps = slices.Clone(r.Steps)
		r.Steps[last].EndedAt, r.Steps[last].Reason = now, reason
	}
	return r
}

// command returns the release after a person's command.
//
// Errors: KindConflict if the command does not fit the phase.
func command(r serin.Release, c serin.Command, actor string, now time.Time) (serin.Release, error) {
	if r.Phase != serin.PhaseRunning && r.Phase != serin.PhaseHeld {
		return r, serin.Errorf(serin.KindConflict, "Release %s is %s; it takes no commands any more.", r.ID, r.Phase)
	}
	by := "by " + actor
	switch c {
	case serin.CommandPromote:
		r.Blind = r.Verdict != serin.VerdictNoWorse
		r.EndedBy = actor
		return promote(r, "promoted "+by, now), nil
	case serin.CommandAbort:
		r.EndedBy = actor
		return rollBack(r, serin.EndingAborted, "aborted "+by, now), nil
	case serin.CommandHold:
		r.Phase, r.Ending, r.Reason, r.HeldBy = serin.PhaseHeld, serin.EndingHeld, "held "+by, actor
		return r, nil
	case serin.CommandResume:
		r.Phase, r.Ending, r.Reason, r.HeldBy, r.WaitingSince = serin.PhaseRunning, "", "", "", now
		return r, nil
	default:
		return r, serin.Errorf(serin.KindInvalid, "%q is not promote, hold, resume or abort", string(c))
	}
}

func worseReason(r *serin.Release) string {
	b, c := r.Totals()
	return fmt.Sprintf("version %s fails more than version %s: %s of %s against %s of %s",
		r.Canary, r.Baseline, percent(c.Rate()), plural(c.Requests, "request"), percent(b.Rate()), strconv.Itoa(b.Requests))
}

func describe(r serin.Routing) string {
	if !r.Weighted() {
		return fmt.Sprintf("version %s", r.Version)
	}
	return fmt.Sprintf("version %s with %s for version %s", r.Version, percent(r.Weight), r.Additional)
}

func percent(share float64) string { return decimal(share*100) + " %" }

func points(difference float64) string { return "+" + decimal(difference*100) + " pp" }

// decimal prints a percentage with the digits that matter.
func decimal(v float64) string {
	switch {
	case v != 0 && math.Abs(v) < 1:
		return strconv.FormatFloat(v, 'g', 2, 64)
	default:
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
