package release

import (
	"fmt"
	"slices"
	"time"

	"serin"
	"serin/internal/evidence"
)

// A watch begins when a promotion is in force. Its routing names the baseline even if that gets no traffic, so that
// nobody can delete what a rollback needs (G7).

func watchIsDue(r *serin.Release) bool {
	return (r.Policy.Watch > 0 || len(r.Policy.After) > 0) && r.WatchUntil.IsZero()
}

func watchRouting(r *serin.Release) serin.Routing {
	return serin.Routing{Version: r.Baseline, Additional: r.Canary, Weight: r.Policy.WatchWeight()}
}

func beginWatch(r serin.Release, now time.Time) serin.Release {
	r.Phase, r.WatchUntil = serin.PhaseWatching, now.Add(time.Duration(r.Policy.Watch))
	r.Steps = append(slices.Clip(r.Steps), serin.Step{Weight: 100 - r.Policy.Holdback, StartedAt: now})
	return r
}

// watch judges a promoted canary, by the checks after the traffic first. Without a holdback there is nothing else that is
// new to judge it by.
func watch(r serin.Release, ev *evidence.Evidence, now time.Time) serin.Release {
	r, checks := nextCheck(r, serin.AfterTraffic, now)
	if checks == checksFailed {
		return rollBack(r, serin.EndingRolledBack, failedCheck(r.CheckRuns(serin.AfterTraffic)), now)
	}
	switch v := verdict(&r, ev); {
	case v == serin.VerdictWorse:
		r.Verdict = v
		return rollBack(r, serin.EndingRolledBack, worseReason(&r, ev), now)
	case r.Policy.Holdback > 0:
		r.Verdict = v
	}
	if now.Before(r.WatchUntil) || checks == checksPending {
		return r
	}
	reason := r.Reason
	if r.Policy.Watch > 0 {
		reason += fmt.Sprintf("; watched for %s", r.Policy.Watch)
	}
	return endWatch(r, reason, now)
}

// endWatch lets go of the baseline.
func endWatch(r serin.Release, reason string, now time.Time) serin.Release {
	r = leaveStep(r, reason, now)
	r.Want = serin.Routing{Version: r.Canary}
	r.Phase, r.Reason = serin.PhasePromoting, reason
	return r
}
