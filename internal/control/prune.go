package control

import (
	"context"
	"errors"
	"slices"
	"time"

	"serin"
	"serin/internal/store"
)

// collectAfter is how old a code package must be before it is removed: far longer than any upload takes from storing
// its package to saving the function that names it.
const collectAfter = time.Hour

// errDryRun ends a transaction that was only to find out what it would do.
var errDryRun = errors.New("dry run")

// Prune removes the published versions of a function that nothing needs, in one transaction, and says why it keeps the
// others. With dryRun it removes nothing. The code packages stay until [Control.CollectCode].
//
// Errors: KindNotFound, and those of [serin.Function.Prune].
func (c *Control) Prune(ctx context.Context, function string, r serin.Retention, dryRun bool) (serin.Pruning, error) {
	var p serin.Pruning
	f, seq, err := c.Store.UpdateFunctionInUse(ctx, function, func(f *serin.Function, in serin.InUse) (err error) {
		p, err = f.Prune(c.now(), r, in)
		if err == nil && (dryRun || len(p.Removed) == 0) {
			return errDryRun
		}
		return err
	})
	switch {
	case errors.Is(err, errDryRun):
		return p, nil
	case err != nil:
		return p, c.missing(err, function, "")
	}
	c.Log.InfoContext(ctx, "pruned", "function", f.Name, "versions", len(p.Removed), "kept", len(p.Kept), "actor", serin.ActorFrom(ctx))
	return p, c.Table.Wait(ctx, seq)
}

// LayerPruning says which layer versions a prune removes and why it keeps the rest.
type LayerPruning struct {
	Removed []serin.PrunedLayer `json:"removed"`
	Kept    []serin.PrunedLayer `json:"kept"`
}

// PruneLayers removes the layer versions that nothing needs. A function that takes one up at the same moment keeps what
// it needs of it.
//
// Errors: those of [serin.PruneLayer].
func (c *Control) PruneLayers(ctx context.Context, r serin.Retention, dryRun bool) (LayerPruning, error) {
	p := LayerPruning{Removed: []serin.PrunedLayer{}, Kept: []serin.PrunedLayer{}}
	all, err := c.Store.LayerVersions(ctx, "")
	if err != nil {
		return p, err
	}
	used := c.usedLayers()
	arn := func(v *serin.LayerVersion) string { return c.Place.LayerVersionARN(v.Layer, v.Number) }
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(v *serin.LayerVersion) bool { return v.Layer != all[0].Layer })
		if n < 0 {
			n = len(all)
		}
		removed, kept, err := serin.PruneLayer(all[:n], arn, used, c.now(), r)
		if err != nil {
			return p, err
		}
		p.Removed, p.Kept, all = append(p.Removed, removed...), append(p.Kept, kept...), all[n:]
	}
	if dryRun {
		return p, nil
	}
	for _, v := range p.Removed {
		if err := c.Store.DeleteLayerVersion(ctx, v.Layer, v.Version); err != nil {
			return p, err
		}
	}
	c.recountLayers(ctx)
	return p, nil
}

// usedLayers returns the ARNs of the layer versions that functions name, and of each one user.
func (c *Control) usedLayers() map[string]string {
	used := map[string]string{}
	for f := range c.Table.Functions() {
		for _, v := range slices.Concat(f.Versions, []*serin.Version{f.Latest}) {
			for _, l := range v.Config.Layers {
				used[l.ARN] = f.Name + ":" + v.Number.String()
			}
		}
	}
	return used
}

// CollectCode removes the code packages that no version of a function or a layer names any more.
func (c *Control) CollectCode(ctx context.Context) (store.Collected, error) {
	done, err := c.Store.CollectBlobs(ctx, time.Now().Add(-collectAfter)) // the clock of the file system
	if done.Blobs > 0 {
		c.Log.InfoContext(ctx, "collected code packages", "packages", done.Blobs, "bytes", done.Bytes)
	}
	return done, err
}

// Storage returns the code storage that all versions of functions and layers use, and how much there may be, in bytes.
// Each version counts its whole package, as on AWS.
func (c *Control) Storage() (used, limit int64) {
	return c.codeSize.Load() + c.layerSize.Load(), maxCodeStorage
}
