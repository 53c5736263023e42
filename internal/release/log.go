package release

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"serin"
	"serin/internal/store"
)

// maxLog bounds the log of one release.
const maxLog = 1000

// logged returns what has happened between two states of a release; before is empty for a new one.
func logged(before, after serin.Release, now time.Time) []serin.ReleaseEvent {
	var events []serin.ReleaseEvent
	add := func(t serin.ReleaseEventType, by, reason string) {
		if len(after.Log)+len(events) < maxLog {
			events = append(events, serin.ReleaseEvent{Type: t, At: now, By: by, Canary: 100 * after.Applied.Share(after.Canary), Reason: reason})
		}
	}
	if before.ID == "" {
		add(serin.ReleaseStarted, after.Actor, after.Message)
	}
	watching := after.Phase == serin.PhaseWatching && before.Phase != serin.PhaseWatching
	if len(after.Steps) > len(before.Steps) && !watching {
		add(serin.ReleaseStep, "", "")
	}
	switch {
	case after.Phase == serin.PhaseHeld && before.Phase != serin.PhaseHeld:
		add(serin.ReleaseHeld, after.HeldBy, after.Reason)
	case before.Phase == serin.PhaseHeld && after.Phase == serin.PhaseRunning:
		add(serin.ReleaseResumed, "", "")
	case watching:
		add(serin.ReleasePromoted, after.EndedBy, after.Reason)
	case after.Active() || !before.Active() && before.ID != "":
	case after.Ending == serin.EndingConflict:
		add(serin.ReleaseConflict, "", after.Reason)
	case after.Ending == serin.EndingLeft:
		add(serin.ReleaseLeft, after.EndedBy, after.Reason)
	case after.Ending == serin.EndingRefused:
		add(serin.ReleaseRefused, "", after.Reason)
	case after.Ending == serin.EndingPromoted:
		if after.WatchUntil.IsZero() { // otherwise it was told when the watch began
			add(serin.ReleasePromoted, after.EndedBy, after.Reason)
		}
	default:
		add(serin.ReleaseRolledBack, after.EndedBy, after.Reason)
	}
	return events
}

// Notice is what a target is told about a release.
type Notice struct {
	ID        string              `json:"id"` // the same however often it is told
	ReleaseID string              `json:"releaseId"`
	Function  string              `json:"function"`
	Alias     string              `json:"alias"`
	From      serin.VersionNumber `json:"from"`
	To        serin.VersionNumber `json:"to"`
	Message   string              `json:"message,omitempty"`
	Actor     string              `json:"actor,omitempty"`
	Phase     serin.Phase         `json:"phase"`
	Verdict   serin.Verdict       `json:"verdict"`
	Blind     bool                `json:"blind,omitempty"`
	Event     serin.ReleaseEvent  `json:"event"`
	// Log is everything up to the event.
	Log      []serin.ReleaseEvent `json:"log"`
	Baseline serin.Counts         `json:"baseline"`
	Canary   serin.Counts         `json:"canary"`
	New      []serin.Failure      `json:"newErrors"`
}

// shownFailures is how many kinds of errors a notice names.
const shownFailures = 3

// notices returns what everybody is to be told of the events of the log from one on.
func (c *Controller) notices(r *serin.Release, from int) []store.Notice {
	var all []store.Notice
	baseline, canary := r.Totals()
	fresh := r.Signals.New()
	for i := from; i < len(r.Log) && len(c.Notify) > 0; i++ {
		n := Notice{
			ID: fmt.Sprintf("%s-%d", r.ID, i+1), ReleaseID: r.ID, Function: r.Function, Alias: r.Alias, From: r.Baseline, To: r.Canary, Message: r.Message,
			Actor: cmp.Or(r.Log[i].By, r.Actor), Phase: r.Phase, Verdict: r.Verdict, Blind: r.Blind, Event: r.Log[i], Log: r.Log[:i+1],
			Baseline: baseline, Canary: canary, New: fresh[:min(len(fresh), shownFailures)],
		}
		document, err := json.Marshal(n)
		if err != nil { // rates are finite, and all else is text
			c.Log.Error("a notice cannot be written", "release", r.ID, "error", err)
			continue
		}
		for _, target := range c.Notify {
			all = append(all, store.Notice{Release: r.ID, Target: target, Document: string(document)})
		}
	}
	return all
}

func (c *Controller) saved() {
	if c.Saved != nil {
		c.Saved()
	}
}
