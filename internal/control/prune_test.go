package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"serin"
	"serin/internal/store"
)

// everything is a retention under which all goes that nothing needs.
func everything() serin.Retention { return serin.Retention{Keep: 1} }

func (c *Control) route(ctx context.Context, function, alias string, to serin.VersionNumber, cause serin.Cause) error {
	revision := ""
	if _, a, err := c.Alias(function, alias); err == nil {
		revision = a.RevisionID
	}
	return c.MoveAlias(ctx, serin.AliasMove{Function: function, Alias: alias, To: serin.Routing{Version: to}, RevisionID: revision, Cause: cause})
}

// G7: prunes race with moves of aliases, rollbacks and releases. What was acknowledged holds: an alias that could be moved
// to a version has it, a release that could begin has both of its versions, and where the last good version was known
// just before a rollback, the rollback finds it.
func TestPruneRaces(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 3)
	must(t, c.route(t.Context(), "shop", "live", 2, serin.CausePromote))
	must(t, c.route(t.Context(), "shop", "live", 3, serin.CausePromote))
	name := "shop"
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var pruned, moved, rolledBack, refusedMoves atomic.Int64
	var racers sync.WaitGroup
	racer := func(do func() error) {
		racers.Go(func() {
			for ctx.Err() == nil {
				if err := do(); err != nil && ctx.Err() == nil {
					t.Error(err)
					stop()
				}
			}
		})
	}
	for range 2 {
		racer(func() error {
			p, err := c.Prune(t.Context(), name, everything(), false)
			pruned.Add(int64(len(p.Removed)))
			return err
		})
	}
	racer(func() error {
		if _, err := c.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &name}); err != nil {
			return err
		}
		_, err := c.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: &name})
		return err
	})
	for _, alias := range []string{"live", "beta"} {
		racer(func() error {
			f, _ := c.Table.Function(name)
			to := f.Versions[rand.IntN(len(f.Versions))].Number
			if err := c.route(t.Context(), name, alias, to, serin.CausePromote); err != nil {
				if kind := serin.KindOf(err); kind == serin.KindNotFound || kind == serin.KindPrecondition || kind == serin.KindConflict {
					refusedMoves.Add(1) // the version was pruned, or the alias moved, before
					return nil
				}
				return err
			}
			moved.Add(1)
			return nil
		})
	}
	racer(func() error { // a rollback, as soon as its target is known
		_, before, err := c.Alias(name, "live")
		if err != nil {
			return err
		}
		good, err := c.LastGood(t.Context(), name, "live")
		if err != nil {
			return fmt.Errorf("nothing to roll back to: %w", err)
		}
		err = c.MoveAlias(t.Context(), serin.AliasMove{
			Function: name, Alias: "live", To: serin.Routing{Version: good}, RevisionID: before.RevisionID, Cause: serin.CauseManual,
		})
		if serin.KindOf(err) == serin.KindPrecondition { // live has moved since, and so has its last good version
			return nil
		}
		rolledBack.Add(1)
		return err
	})
	racer(func() error { // a release of whatever there is
		f, _ := c.Table.Function(name)
		r := &serin.Release{ID: fmt.Sprint(rand.Uint64()), Function: name, Alias: "gamma", Baseline: f.Versions[0].Number, Canary: f.Versions[len(f.Versions)-1].Number, Phase: serin.PhaseChecking}
		if err := c.Store.CreateRelease(t.Context(), r); err != nil {
			return err
		}
		now, err := c.Store.Function(t.Context(), name)
		if err != nil {
			return err
		}
		_, had := now.Version(r.Canary)
		if _, err := c.Prune(t.Context(), name, everything(), false); err != nil {
			return err
		}
		now, err = c.Store.Function(t.Context(), name)
		if err != nil {
			return err
		}
		if _, has := now.Version(r.Canary); had && !has {
			return errors.New("the canary of an active release was pruned")
		}
		r.Phase = serin.PhaseEnded
		return c.Store.SaveRelease(t.Context(), r, "")
	})
	racers.Wait()
	must(t, c.Store.Check(t.Context())) // which finds an alias without its version
	if pruned.Load() == 0 || moved.Load() == 0 || rolledBack.Load() == 0 {
		t.Errorf("no race: %d pruned, %d moves (%d refused), %d rollbacks", pruned.Load(), moved.Load(), refusedMoves.Load(), rolledBack.Load())
	}
	t.Logf("%d versions pruned, %d moves (%d refused), %d rollbacks", pruned.Load(), moved.Load(), refusedMoves.Load(), rolledBack.Load())
}

// A dry run and a prune that finds nothing change nothing.
func TestPruneDryRun(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 4)
	before, _ := c.Table.Function("shop")
	p, err := c.Prune(t.Context(), "shop", everything(), true)
	must(t, err)
	after, _ := c.Table.Function("shop")
	if len(p.Removed) != 3 || after != before {
		t.Errorf("a dry run would remove %d, and the function has changed: %t", len(p.Removed), after != before)
	}
	_, err = c.Prune(t.Context(), "nosuch", everything(), true)
	refused(t, "a function that does not exist", err, serin.KindNotFound)
}

// Packages go with the last version that names them, and no upload loses its own.
func TestCollectCode(t *testing.T) {
	c := start(t)
	c.create(t, "shop", 1)
	layer, err := c.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{LayerName: new("base"), Content: &types.LayerVersionContentInput{ZipFile: packed(t, "a layer")}})
	must(t, err)
	codes := map[string]string{"latest": "shop", "old": "old code"}
	_, err = c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: new("shop"), ZipFile: packed(t, codes["old"]), Publish: true})
	must(t, err)
	_, err = c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: new("shop"), ZipFile: packed(t, codes["latest"]), Publish: true})
	must(t, err)
	_, err = c.Prune(t.Context(), "shop", everything(), false)
	must(t, err)
	// A package that was put a moment ago stays: its function may not have been saved yet.
	done, err := c.CollectCode(t.Context())
	must(t, err)
	if done.Blobs != 0 {
		t.Errorf("%d packages were collected at once", done.Blobs)
	}
	done, err = c.Store.CollectBlobs(t.Context(), time.Now().Add(time.Minute))
	must(t, err)
	if done != (store.Collected{Blobs: 1, Bytes: int64(len(packed(t, codes["old"])))}) {
		t.Errorf("collected %+v", done)
	}
	f, _ := c.Table.Function("shop")
	for _, code := range []serin.Code{f.Latest.Code, {SHA256: *layer.Content.CodeSha256}} {
		blob, err := c.Store.OpenBlob(t.Context(), blobKey(code))
		must(t, err)
		must(t, blob.Close())
	}
	old := sha256.Sum256(packed(t, codes["old"]))
	if _, err := c.Store.OpenBlob(t.Context(), hex.EncodeToString(old[:])); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old code: %v", err)
	}
}
