package release

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"serin"
)

// Alarms veto: while one that the policy names is in alarm, the canary gets no traffic. What they say is part of the
// release, seen before each decision, so that deciding stays pure.

// seen returns the release with what its alarms say now. A release that was forced does not ask them: they are often why.
func (c *Controller) seen(r serin.Release) serin.Release {
	if len(r.Policy.Alarms) == 0 || r.Policy.Force != "" || c.Alarms == nil {
		return r
	}
	if now := c.Alarms(r.Policy.Alarms); !slices.Equal(now, r.Alarms) {
		r.Alarms = now
	}
	return r
}

// checkAlarms refuses to begin while an alarm is on, and if there is none of the name.
func (c *Controller) checkAlarms(r *serin.Release) error {
	if len(r.Policy.Alarms) == 0 || r.Policy.Force != "" {
		return nil
	}
	if c.Alarms == nil {
		return serin.Errorf(serin.KindInvalid, "alarms: this target has none")
	}
	r.Alarms = c.Alarms(r.Policy.Alarms)
	for _, a := range r.Alarms {
		switch a.State {
		case serin.AlarmOn:
			return &serin.Error{Kind: serin.KindConflict, Reason: ReasonPreflight, Message: alarmText(a) + "; no traffic was moved"}
		case serin.AlarmGone:
			return &serin.Error{Kind: serin.KindNotFound, Reason: ReasonPreflight, Message: fmt.Sprintf("There is no alarm %q; no traffic was moved.", a.Name)}
		case serin.AlarmOK, serin.AlarmUnknown:
		}
	}
	return nil
}

// veto ends a release whose alarm is on, and holds one that an alarm was deleted from. ok reports whether it did.
func veto(r serin.Release, now time.Time) (next serin.Release, ok bool) {
	on := slices.IndexFunc(r.Alarms, func(a serin.AlarmState) bool { return a.State == serin.AlarmOn })
	gone := slices.IndexFunc(r.Alarms, func(a serin.AlarmState) bool { return a.State == serin.AlarmGone })
	switch r.Phase {
	case serin.PhaseChecking:
		if on >= 0 {
			r.Phase, r.Ending, r.EndedAt = serin.PhaseEnded, serin.EndingRefused, now
			r.Reason = alarmText(r.Alarms[on]) + "; no traffic was moved"
			return r, true
		}
	case serin.PhaseRunning, serin.PhaseHeld, serin.PhaseWatching:
		if on >= 0 {
			return rollBack(r, serin.EndingRolledBack, alarmText(r.Alarms[on]), now), true
		}
	default:
		return r, false
	}
	if gone >= 0 && r.Phase == serin.PhaseRunning {
		r.Phase, r.Ending = serin.PhaseHeld, serin.EndingHeld
		r.Reason = fmt.Sprintf("alarm %q was deleted, so it cannot veto any more; promote or abort, or create it again and resume", r.Alarms[gone].Name)
		return r, true
	}
	return r, false
}

func alarmText(a serin.AlarmState) string {
	return strings.TrimRight(fmt.Sprintf("alarm %q is in ALARM: %s", a.Name, a.Reason), ": ")
}
