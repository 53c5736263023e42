package serin

import (
	"slices"
	"time"
)

// Cause says what kind of change moved an alias.
type Cause string

// Causes of alias moves.
const (
	CauseManual   Cause = "manual"   // a direct CreateAlias, UpdateAlias or DeleteAlias
	CauseStep     Cause = "step"     // a release took a step
	CausePromote  Cause = "promote"  // a release ended with its canary at 100 %
	CauseRollback Cause = "rollback" // a release or a person put an older version back
	CauseAbort    Cause = "abort"    // a person ended a release early
	CauseSettings Cause = "settings" // nothing moved, but how versions are picked: see Move.Settings
)

// Move is one row of the alias history. From is nil for a creation, To for a deletion.
type Move struct {
	Seq      int64     `json:"seq"` // assigned by the store, ascending
	Function string    `json:"function"`
	Alias    string    `json:"alias"`
	At       time.Time `json:"at"`
	Actor    string    `json:"actor,omitempty"`
	Cause    Cause     `json:"cause"`
	Reason   string    `json:"reason,omitempty"`
	Release  string    `json:"releaseId,omitempty"`
	From     *Routing  `json:"from,omitempty"`
	To       *Routing  `json:"to,omitempty"`
	// Settings are the route settings from now on, if it is those that have changed.
	Settings *RouteSettings `json:"settings,omitempty"`
}

// LastGood returns the version to roll back to: of the versions that held all of an alias's traffic, the
// most recent one that is not the current one and whose last tenure did not end in a rollback or an
// abort. It is derived from the alias's history, oldest first, never from version arithmetic. exists says
// whether a version can still be routed to.
func LastGood(history []Move, exists func(VersionNumber) bool) (VersionNumber, bool) {
	type tenure struct {
		version VersionNumber
		bad     bool
	}
	var tenures []tenure
	var now *Routing
	for _, m := range history {
		if m.Cause == CauseSettings {
			continue
		}
		if now != nil && m.retreats() && (m.To == nil || m.To.Version != now.Version) {
			if last := len(tenures) - 1; last >= 0 && tenures[last].version == now.Version {
				tenures[last].bad = true
			}
		}
		now = m.To
		if holds(now) {
			tenures = append(tenures, tenure{version: now.Version})
		}
	}
	seen := map[VersionNumber]bool{}
	if holds(now) {
		seen[now.Version] = true
	}
	for _, t := range slices.Backward(tenures) {
		if seen[t.version] {
			continue
		}
		seen[t.version] = true
		if !t.bad && exists(t.version) {
			return t.version, true
		}
	}
	return 0, false
}

// holds reports whether one published version gets everything.
func holds(r *Routing) bool { return r != nil && r.Version != Latest && r.Weight == 0 }

func (m Move) retreats() bool { return m.Cause == CauseRollback || m.Cause == CauseAbort }
