package serin

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Retention says how many published versions stay that nothing needs.
type Retention struct {
	Keep   int      `json:"keep"`   // newest versions, at least 1
	Window Duration `json:"window"` // every version that an alias routed to within it stays, at least 0
}

// DefaultRetention keeps the ten newest versions, and what had traffic within a week.
func DefaultRetention() Retention { return Retention{Keep: 10, Window: Duration(7 * 24 * time.Hour)} }

// Check refuses a retention that is none.
//
// Errors: KindInvalid.
func (r Retention) Check() error {
	switch {
	case r.Keep < 1:
		return Errorf(KindInvalid, "keep: %d is not at least 1", r.Keep)
	case r.Window < 0:
		return Errorf(KindInvalid, "window: %s is negative", r.Window)
	}
	return nil
}

// MaxMoves is how many moves of a function's aliases a prune looks at. With more of them within the window it refuses.
const MaxMoves = 100_000

// InUse is what uses versions beside the function's own aliases.
type InUse struct {
	Moves    []Move     // the newest [MaxMoves] of all aliases, the oldest first
	Releases []*Release // active ones of the function
}

// Pruning says what a prune removes and why it keeps the rest, the newest first.
type Pruning struct {
	Removed []PrunedVersion `json:"removed"`
	Kept    []PrunedVersion `json:"kept"`
}

// PrunedVersion is a version that a prune removes or keeps.
type PrunedVersion struct {
	Version     VersionNumber `json:"version"`
	CodeBytes   int64         `json:"codeBytes"`
	PublishedAt time.Time     `json:"publishedAt"`
	Why         []string      `json:"why,omitempty"` // it is kept
}

// Prune removes the published versions that nothing needs: neither the retention, nor an alias, nor an active release,
// nor a rollback. What it keeps is the promise of G7.
//
// Errors: KindInvalid, also if the history does not reach back to the beginning of the window.
func (f *Function) Prune(now time.Time, r Retention, in InUse) (Pruning, error) {
	if err := r.Check(); err != nil {
		return Pruning{}, err
	}
	since := now.Add(-time.Duration(r.Window))
	if len(in.Moves) >= MaxMoves && in.Moves[0].At.After(since) {
		return Pruning{}, Errorf(KindInvalid, "The aliases of %s have moved more than %d times within %s: choose a shorter window.", f.Name, MaxMoves, r.Window)
	}
	why := f.needs(now, r, in)
	p := Pruning{Removed: []PrunedVersion{}, Kept: []PrunedVersion{}}
	for _, v := range slices.Backward(slices.Clone(f.Versions)) {
		pruned := PrunedVersion{Version: v.Number, CodeBytes: v.Code.Size, PublishedAt: v.PublishedAt, Why: why[v.Number]}
		if pruned.PublishedAt.IsZero() {
			pruned.PublishedAt = v.LastModified
		}
		if len(pruned.Why) > 0 {
			p.Kept = append(p.Kept, pruned)
			continue
		}
		if err := f.DeleteVersion(v.Number); err != nil {
			return Pruning{}, err
		}
		p.Removed = append(p.Removed, pruned)
	}
	return p, nil
}

// needs says why versions are needed.
func (f *Function) needs(now time.Time, r Retention, in InUse) map[VersionNumber][]string {
	why := map[VersionNumber][]string{}
	need := func(n VersionNumber, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); !slices.Contains(why[n], text) {
			why[n] = append(why[n], text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Aliases)) {
		routing := f.Aliases[name].Routing
		for n := range routing.Weights() {
			need(n, "alias %s routes %s %% to it", name, strconv.FormatFloat(100*routing.Share(n), 'f', -1, 64))
		}
	}
	for _, rel := range in.Releases {
		need(rel.Baseline, "release %s would go back to it", rel.ID)
		need(rel.Canary, "release %s ships it", rel.ID)
	}
	exists := func(n VersionNumber) bool { _, ok := f.Version(n); return ok }
	for _, name := range slices.Sorted(maps.Keys(f.Aliases)) {
		ofAlias := slices.DeleteFunc(slices.Clone(in.Moves), func(m Move) bool { return m.Alias != name })
		if n, ok := LastGood(ofAlias, exists); ok {
			need(n, "a rollback of alias %s goes to it", name)
		}
	}
	for _, m := range in.Moves {
		if m.From == nil || m.Cause == CauseSettings || m.At.Before(now.Add(-time.Duration(r.Window))) {
			continue
		}
		for n := range m.From.Weights() {
			need(n, "alias %s routed to it within %s", m.Alias, time.Duration(r.Window))
		}
	}
	for _, v := range f.Versions {
		if a := f.At(v.Number.String()); a.Provisioned != nil || a.Policy != nil {
			need(v.Number, "it has provisioned concurrency or permissions of its own")
		}
	}
	for _, v := range f.Versions[max(0, len(f.Versions)-r.Keep):] {
		need(v.Number, "one of the newest %d", r.Keep)
	}
	return why
}

// PruneLayer says which versions of one layer, the newest first, nothing needs: neither the retention nor a version of
// a function. used names the layer versions of all functions by their ARNs.
//
// Errors: those of [Retention.Check].
func PruneLayer(versions []*LayerVersion, arn func(*LayerVersion) string, used map[string]string, now time.Time, r Retention) (removed, kept []PrunedLayer, err error) {
	if err := r.Check(); err != nil {
		return nil, nil, err
	}
	for i, v := range versions {
		p := PrunedLayer{Layer: v.Layer, Version: v.Number, CodeBytes: v.Code.Size, CreatedAt: v.CreatedAt}
		if i < r.Keep {
			p.Why = append(p.Why, fmt.Sprintf("one of the newest %d", r.Keep))
		}
		if user, ok := used[arn(v)]; ok {
			p.Why = append(p.Why, user+" uses it")
		}
		if v.CreatedAt.After(now.Add(-time.Duration(r.Window))) {
			p.Why = append(p.Why, fmt.Sprintf("made within %s", time.Duration(r.Window)))
		}
		if v.Policy != nil {
			p.Why = append(p.Why, "others have permission to use it")
		}
		if len(p.Why) > 0 {
			kept = append(kept, p)
		} else {
			removed = append(removed, p)
		}
	}
	return removed, kept, nil
}

// PrunedLayer is a layer version that a prune removes or keeps.
type PrunedLayer struct {
	Layer     string    `json:"layer"`
	Version   int64     `json:"version"`
	CodeBytes int64     `json:"codeBytes"`
	CreatedAt time.Time `json:"createdAt"`
	Why       []string  `json:"why,omitempty"`
}
