package release

import (
	"context"

	"serin"
)

// Warmer gets execution environments ready for what a release is about to do.
type Warmer interface {
	// Prewarm initialises environments of a version for a share, 0 to 1, of what another one serves now. It returns when
	// they are ready or cannot be.
	Prewarm(ctx context.Context, function string, version, like serin.VersionNumber, share float64) error
	// KeepWarm keeps the environments of a version that will get no more traffic, as long as somebody may want it back.
	KeepWarm(function string, version serin.VersionNumber)
}

// warming is what a run does before it gives its canary more traffic.
type warming struct {
	to   serin.Routing // for which the canary is getting ready, or is
	busy chan struct{} // closed when it is ready; nil when nobody waits for that any more
}

// warmed reports whether the canary is ready for what the release wants, and sees to it that it will be. Traffic
// goes back to the baseline without waiting for anything.
func (r *run) warmed(ctx context.Context) bool {
	rel := r.release
	share := rel.Want.Share(rel.Canary)
	if r.c.Warmer == nil || share == 0 {
		return true
	}
	if r.warming.to == rel.Want {
		return r.warming.busy == nil
	}
	busy := make(chan struct{})
	r.warming = warming{to: rel.Want, busy: busy}
	r.c.wg.Go(func() {
		defer close(busy)
		if err := r.c.Warmer.Prewarm(ctx, rel.Function, rel.Canary, rel.Baseline, share); err != nil && ctx.Err() == nil {
			r.c.Log.WarnContext(ctx, "cannot warm the canary", "release", rel.ID, "error", err)
		}
	})
	if rel.Phase == serin.PhasePromoting {
		r.c.Warmer.KeepWarm(rel.Function, rel.Baseline)
	}
	return false
}
