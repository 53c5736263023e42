package release

import (
	"cmp"
	"fmt"
	"time"

	"serin"
)

// maxReason bounds why a person gave an instruction, in bytes.
const maxReason = 500

// obey returns the release after a person's instruction.
//
// Errors: KindConflict if the instruction does not fit the phase or is about another step, KindInvalid.
func obey(r serin.Release, in serin.Instruction, actor string, now time.Time) (serin.Release, error) {
	if len(in.Reason) > maxReason {
		return r, serin.Errorf(serin.KindInvalid, "reason: %d bytes; at most %d", len(in.Reason), maxReason)
	}
	why := "by " + actor
	if in.Reason != "" {
		why += ": " + in.Reason
	}
	switch r.Phase {
	case serin.PhaseRunning, serin.PhaseHeld:
		if err := atStep(&r, in); err != nil {
			return r, err
		}
		return steer(r, in.Command, actor, why, now)
	case serin.PhaseChecking:
		if in.Command == serin.CommandLeave {
			return left(r, actor, why, now), nil
		}
		if in.Command != serin.CommandAbort {
			return r, serin.Errorf(serin.KindConflict, "Release %s is checked before it gets any traffic; it can only be aborted.", r.ID)
		}
		r.EndedBy = actor
		return rollBack(r, serin.EndingAborted, "aborted "+why, now), nil
	case serin.PhaseWatching:
		return steerWatch(r, in.Command, actor, why, now)
	default:
		return r, serin.Errorf(serin.KindConflict, "Release %s is %s; it takes no commands any more.", r.ID, r.Phase)
	}
}

// atStep refuses an instruction about another step than the present one.
func atStep(r *serin.Release, in serin.Instruction) error {
	if in.Step == nil {
		if in.Command == serin.CommandApprove {
			return serin.Errorf(serin.KindInvalid, "approve: say which step, so that nothing is approved twice")
		}
		return nil
	}
	if *in.Step == r.Step {
		return nil
	}
	if i := *in.Step; i >= 0 && i < r.Step && i < len(r.Steps) {
		return serin.Errorf(serin.KindConflict, "Step %d of release %s ended at %s (%s); the release is at step %d.",
			i+1, r.ID, r.Steps[i].EndedAt.Format(time.RFC3339), r.Steps[i].Reason, r.Step+1)
	}
	return serin.Errorf(serin.KindConflict, "Release %s is at step %d, not at step %d.", r.ID, r.Step+1, *in.Step+1)
}

// steer obeys at a step.
func steer(r serin.Release, c serin.Command, actor, why string, now time.Time) (serin.Release, error) {
	switch c {
	case serin.CommandPromote:
		r.Blind = r.Verdict != serin.VerdictNoWorse
		r.EndedBy = actor
		return promote(r, "promoted "+why, now), nil
	case serin.CommandAbort:
		r.EndedBy = actor
		return rollBack(r, serin.EndingAborted, "aborted "+why, now), nil
	case serin.CommandHold:
		r.Phase, r.Ending, r.Reason, r.HeldBy = serin.PhaseHeld, serin.EndingHeld, "held "+why, actor
		return r, nil
	case serin.CommandResume:
		return resume(r, now), nil
	case serin.CommandApprove:
		if r.Policy.Pace != serin.PaceHand {
			return r, serin.Errorf(serin.KindConflict, "Release %s goes by %s and waits for nobody; serin skip leaves its step now.",
				r.ID, cmp.Or(r.Policy.Pace, serin.PaceEvidence))
		}
		return leave(r, "approved "+why, actor, now)
	case serin.CommandSkip:
		return leave(r, "skipped "+why, actor, now)
	case serin.CommandLeave:
		return left(r, actor, why, now), nil
	default:
		return r, unknown(c)
	}
}

// leave takes the next step because a person wants it.
func leave(r serin.Release, reason, actor string, now time.Time) (serin.Release, error) {
	if r.Applied != r.Want || len(r.Steps) == 0 {
		return r, serin.Errorf(serin.KindConflict, "Step %d of release %s is not in force yet; try again in a moment.", r.Step+1, r.ID)
	}
	r = advance(resume(r, now), reason, now)
	if r.Phase == serin.PhasePromoting {
		r.EndedBy = actor
	}
	return r, nil
}

func resume(r serin.Release, now time.Time) serin.Release {
	r.Phase, r.Ending, r.Reason, r.HeldBy, r.WaitingSince = serin.PhaseRunning, "", "", "", now
	return r
}

// steerWatch obeys during the watch over a promoted canary.
func steerWatch(r serin.Release, c serin.Command, actor, why string, now time.Time) (serin.Release, error) {
	switch c {
	case serin.CommandPromote, serin.CommandSkip:
		r.EndedBy = actor
		return endWatch(r, fmt.Sprintf("%s; watch ended %s", r.Reason, why), now), nil
	case serin.CommandAbort:
		r.EndedBy = actor
		return rollBack(r, serin.EndingAborted, "aborted "+why, now), nil
	case serin.CommandLeave:
		return left(r, actor, why, now), nil
	case serin.CommandHold, serin.CommandResume, serin.CommandApprove:
		return r, serin.Errorf(serin.KindConflict, "Release %s has promoted version %s and watches it until %s; it can be skipped or aborted.",
			r.ID, r.Canary, r.WatchUntil.Format(time.RFC3339))
	default:
		return r, unknown(c)
	}
}

// left ends a release whose alias stays as it is, split or not. The routing that was still to come does not come.
func left(r serin.Release, actor, why string, now time.Time) serin.Release {
	r.EndedBy = actor
	r = leaveStep(r, "stopped "+why, now)
	r.Phase, r.Ending, r.EndedAt = serin.PhaseEnded, serin.EndingLeft, now
	r.Reason = fmt.Sprintf("stopped %s; alias %s is left at %s", why, r.Alias, describe(r.Applied))
	return r
}

func unknown(c serin.Command) error {
	return serin.Errorf(serin.KindInvalid, "%.100q is not promote, hold, resume, approve, skip, leave or abort", string(c))
}
