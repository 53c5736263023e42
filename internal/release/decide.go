package release

import (
	"cmp"
	"fmt"
	"slices"
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
	if vetoed, ok := veto(r, now); ok {
		return vetoed
	}
	switch r.Phase {
	case serin.PhaseChecking:
		return beforeTraffic(r, now)
	case serin.PhasePromoting:
		if watchIsDue(&r) {
			return beginWatch(r, now)
		}
		return end(r, now)
	case serin.PhaseRollingBack:
		return end(r, now)
	case serin.PhaseWatching:
		return watch(r, ev, now)
	case serin.PhaseEnded:
		return r
	case serin.PhaseRunning, serin.PhaseHeld:
	}
	return judge(r, ev, now)
}

func end(r serin.Release, now time.Time) serin.Release {
	r.Phase, r.EndedAt = serin.PhaseEnded, now
	return leaveStep(r, r.Reason, now)
}

// judge looks at the evidence at a step that is in force.
func judge(r serin.Release, ev *evidence.Evidence, now time.Time) serin.Release {
	r.Verdict = verdict(&r, ev)
	if r.Verdict == serin.VerdictWorse {
		return rollBack(r, serin.EndingRolledBack, worseReason(&r, ev), now)
	}
	if r.Phase == serin.PhaseHeld {
		return r
	}
	baked := !now.Before(bakedAt(&r))
	switch {
	case r.Policy.Pace == serin.PaceHand:
		return r
	case r.Policy.Pace == serin.PaceTime && !baked:
		return r
	case r.Policy.Pace == serin.PaceTime:
		return advance(r, fmt.Sprintf("%s have passed", r.Policy.Bake), now)
	case r.Verdict == serin.VerdictNoWorse && baked:
		return advance(r, fmt.Sprintf("harm above %s is excluded", points(Tolerance(&r))), now)
	case !now.Before(r.WaitingSince.Add(time.Duration(r.Policy.MaxWait))):
		return giveUp(r, now)
	default:
		return r
	}
}

func verdict(r *serin.Release, ev *evidence.Evidence) serin.Verdict {
	switch ev.Judge(evidence.Criteria{PromoteAlpha: evidence.DefaultPromoteAlpha, Tolerated: Tolerance(r)}) {
	case evidence.Worse:
		return serin.VerdictWorse
	case evidence.NoWorse:
		return serin.VerdictNoWorse
	default:
		return serin.VerdictNotEnough
	}
}

// bakedAt is when the present step has lasted as long as it must at least. A hold does not count if the step goes by
// time.
func bakedAt(r *serin.Release) time.Time {
	since := r.Steps[len(r.Steps)-1].StartedAt
	if r.Policy.Pace == serin.PaceTime && r.WaitingSince.After(since) {
		since = r.WaitingSince
	}
	return since.Add(time.Duration(r.Policy.Bake))
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

// begin gives the canary its first traffic.
func begin(r serin.Release, now time.Time) serin.Release {
	if reason := atOnce(&r); reason != "" { // nothing will be compared
		r.Verdict, r.Blind = serin.VerdictNone, true
		return promote(r, reason, now)
	}
	r.Phase, r.Want = serin.PhaseRunning, routing(&r, 0)
	return r
}

// atOnce says why a release takes no steps, or "".
func atOnce(r *serin.Release) string {
	switch {
	case r.Policy.Force != "":
		return fmt.Sprintf("forced by %s: %s", cmp.Or(r.Actor, "somebody"), r.Policy.Force)
	case len(r.Policy.Steps) == 1:
		return "all at once"
	default:
		return ""
	}
}

// advance takes the next step; the last one is the promotion.
func advance(r serin.Release, reason string, now time.Time) serin.Release {
	if r.Step+1 >= len(r.Policy.Steps)-1 {
		r.Blind = r.Verdict != serin.VerdictNoWorse
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
	if watchIsDue(&r) {
		r.Want = watchRouting(&r)
	}
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
