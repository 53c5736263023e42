package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"serin"
	"serin/internal/executor"
	"serin/internal/store"
)

// Load fills the routing table with everything in the store.
func (c *Control) Load(ctx context.Context) error {
	seq, err := c.Store.LastChange(ctx)
	if err != nil {
		return fmt.Errorf("read the change feed: %w", err)
	}
	if err := c.Table.Load(seq, c.Store.Functions(ctx)); err != nil {
		return fmt.Errorf("load functions: %w", err)
	}
	for f := range c.Table.Functions() {
		c.codeSize.Add(codeSize(f))
	}
	return c.countLayers(ctx)
}

// Pauses before a changed function is read again.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// Follow applies the store's change feed to the routing table until the context ends. It is the only
// writer of the table.
func (c *Control) Follow(ctx context.Context) error {
	for change, err := range c.Store.Changes(ctx, c.Table.Applied()) {
		if err != nil {
			return fmt.Errorf("follow the change feed: %w", err)
		}
		f, ok := c.changed(ctx, change.Function)
		if !ok {
			break
		}
		before, _ := c.Table.Function(change.Function)
		c.codeSize.Add(codeSize(f) - codeSize(before)) // before whoever made the change goes on
		c.applied(change.Function, c.Table.Apply(change.Seq, change.Function, f), f)
	}
	return nil
}

// changed reads a function that the feed names; nil says that it is gone. It outlasts the loss of the
// database, like the feed itself: until it is back nothing is acknowledged, and routing goes on as it was. It
// reports false when the context has ended.
func (c *Control) changed(ctx context.Context, name string) (*serin.Function, bool) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		f, err := c.Store.Function(ctx, name)
		if err == nil || errors.Is(err, store.ErrNotFound) {
			return f, true
		}
		c.Log.WarnContext(ctx, "cannot read a changed function, trying again", "function", name, "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, false
		}
	}
}

// applied brings what hangs on a function in line with its new state; before or after is nil if the
// function did not or does not exist.
func (c *Control) applied(name string, before, after *serin.Function) {
	if c.Changed != nil {
		c.Changed(name)
	}
	if before == nil {
		return
	}
	if after == nil {
		c.Recorder.Forget(before.Name)
	} else {
		for name, a := range after.Aliases {
			if old := before.Aliases[name]; old != nil && old.Routing != a.Routing {
				c.Recorder.Rerouted(after.Name, name)
			}
		}
	}
	if after == nil || after.Latest.RevisionID != before.Latest.RevisionID || len(after.Versions) < len(before.Versions) {
		c.Retire(func(k executor.Key) bool { return k.Function != before.Name || serves(after, k) })
	}
}

// serves reports whether environments of the key can still get invocations.
func serves(f *serin.Function, k executor.Key) bool {
	if f == nil {
		return false
	}
	n, ok := serin.ParseVersion(k.Version)
	if !ok {
		return false
	}
	v, ok := f.Version(n)
	return ok && v.RevisionID == k.Revision
}

func codeSize(f *serin.Function) int64 {
	if f == nil {
		return 0
	}
	total := f.Latest.Code.Size
	for _, v := range f.Versions {
		total += v.Code.Size
	}
	return total
}

// missing turns the store's answer for a missing function into the caller's error.
func (c *Control) missing(err error, function, qualifier string) error {
	if errors.Is(err, store.ErrNotFound) {
		return c.notFound(function, qualifier)
	}
	return err
}
