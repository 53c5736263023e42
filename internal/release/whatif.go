package release

import (
	"time"

	"serin"
	"serin/internal/evidence"
)

// WhatIf says how a release would have ended under another policy, given what was counted.
type WhatIf struct {
	ReleaseID string       `json:"releaseId"`
	Ending    serin.Ending `json:"ending"` // promoted, rolled back or held
	// Blind says that the canary would have been promoted without enough evidence.
	Blind    bool           `json:"blind,omitempty"`
	After    serin.Duration `json:"after"` // from the start of the release
	Baseline serin.Counts   `json:"baseline"`
	Canary   serin.Counts   `json:"canary"`
}

// WhatIf judges the blocks of a certificate by another policy. The traffic stays what it was: the shares are those that
// the release had, so that a policy with other steps is compared by what it would have concluded from the same
// requests, not by how many it would have sent. Durations stay compared with the thresholds
// that they were compared with, and count if the policy judges them. Blocks that a release of that policy would not have
// waited for are left out. The boolean is false if nothing was recorded.
//
// Errors: blocks that cannot be.
func (c *Certificate) WhatIf(p serin.Policy) (WhatIf, bool, error) {
	r := c.Release
	out := WhatIf{ReleaseID: r.ID}
	if len(c.Pages) == 0 {
		return out, false, nil
	}
	r.Policy, r.Step = p, len(p.Steps)-1 // what the last step before everything asks for
	ev, err := newEvidence(&r)
	if err != nil {
		return out, false, err
	}
	enough, limit := r.StartedAt, time.Duration(p.MaxWait)
	if bakes := time.Duration(p.Bake) * time.Duration(len(p.Steps)-1); p.Pace == serin.PaceTime {
		limit, enough = bakes, r.StartedAt.Add(bakes)
	} else {
		enough = enough.Add(bakes)
	}
	for _, page := range c.Pages {
		for _, b := range page.Blocks {
			at := time.UnixMilli(b.At)
			if at.Sub(r.StartedAt) > limit {
				return out.end(&r, ev), true, nil
			}
			if err := b.addTo(ev); err != nil {
				return out, false, err
			}
			out.After = serin.Duration(max(0, at.Sub(r.StartedAt).Round(time.Millisecond)))
			switch v := verdict(&r, ev); {
			case v == serin.VerdictWorse:
				out.Ending = serin.EndingRolledBack
				return out.count(ev), true, nil
			case v == serin.VerdictNoWorse && p.Pace != serin.PaceTime && !at.Before(enough):
				out.Ending = serin.EndingPromoted
				return out.count(ev), true, nil
			}
		}
	}
	return out.end(&r, ev), true, nil
}

// end applies the policy to what was not decided by the evidence.
func (w WhatIf) end(r *serin.Release, ev *evidence.Evidence) WhatIf {
	p := r.Policy
	switch {
	case p.Pace == serin.PaceTime, p.OnBlind == serin.BlindPromote:
		w.Ending, w.Blind = serin.EndingPromoted, verdict(r, ev) != serin.VerdictNoWorse
	case p.OnBlind == serin.BlindRollback:
		w.Ending = serin.EndingRolledBack
	default:
		w.Ending = serin.EndingHeld
	}
	return w.count(ev)
}

func (w WhatIf) count(ev *evidence.Evidence) WhatIf {
	total := ev.Total()
	w.Baseline = serin.Counts{Requests: total.BaselineRequests, Errors: total.BaselineErrors}
	w.Canary = serin.Counts{Requests: total.CanaryRequests, Errors: total.CanaryErrors}
	return w
}
