package serin_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
)

var pruneTime = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// published makes a function with versions 1 to n.
func published(t *testing.T, n int) (*serin.Function, serin.Change) {
	t.Helper()
	c := serin.Change{At: pruneTime, Cause: serin.CauseManual, NewRevision: func() string { return "r" }}
	f := serin.NewFunction(c, serin.Place{}, "shop", serin.Configuration{}, serin.Code{SHA256: "a", Size: 10}, nil, 0)
	f.Settle(c, "")
	for range n {
		f.Changed = true
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			t.Fatal(err)
		}
	}
	return f, c
}

func TestPruneSaysWhy(t *testing.T) {
	f, c := published(t, 12)
	to := func(v serin.VersionNumber) serin.AliasUpdate {
		return serin.AliasUpdate{Version: &v, Weights: &map[serin.VersionNumber]float64{}}
	}
	var moves []serin.Move
	move := func(ago time.Duration, cause serin.Cause, name string, up serin.AliasUpdate) {
		c.At, c.Cause = pruneTime.Add(-ago), cause
		var err error
		if f.Aliases[name] == nil {
			_, err = f.CreateAlias(c, name, up)
		} else {
			_, err = f.UpdateAlias(c, name, up)
		}
		if err != nil {
			t.Fatal(err)
		}
		moves = append(moves, f.Moves()...)
		f = f.Clone()
	}
	day := 24 * time.Hour
	move(90*day, serin.CauseManual, "live", to(2))
	move(80*day, serin.CauseManual, "live", to(3))
	move(70*day, serin.CausePromote, "live", to(4))
	move(60*day, serin.CausePromote, "live", to(5)) // was rolled back
	move(50*day, serin.CauseRollback, "live", to(4))
	move(8*day, serin.CauseManual, "live", to(6)) // until three days ago, which makes it the last good one
	move(3*day, serin.CauseManual, "live", serin.AliasUpdate{Version: new(serin.VersionNumber(7)), Weights: &map[serin.VersionNumber]float64{8: 0}})
	move(3*day, serin.CauseManual, "beta", to(1))
	in := serin.InUse{Moves: moves, Releases: []*serin.Release{{ID: "r1", Baseline: 7, Canary: 9}}}

	got, err := f.Prune(pruneTime, serin.Retention{Keep: 1, Window: serin.Duration(7 * day)}, in)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[serin.VersionNumber]string{}
	for _, v := range got.Kept {
		kept[v.Version] = strings.Join(v.Why, "; ")
	}
	want := map[serin.VersionNumber]string{
		12: "one of the newest 1",
		9:  "release r1 ships it",
		8:  "alias live routes 0 % to it",
		7:  "alias live routes 100 % to it; release r1 would go back to it",
		6:  "a rollback of alias live goes to it; alias live routed to it within 168h0m0s",
		1:  "alias beta routes 100 % to it",
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	var removed []serin.VersionNumber
	for _, v := range got.Removed {
		removed = append(removed, v.Version)
	}
	if diff := cmp.Diff([]serin.VersionNumber{11, 10, 5, 4, 3, 2}, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if len(f.Versions) != 6 || f.LastPublished != 12 {
		t.Errorf("%d versions are left; last published %d", len(f.Versions), f.LastPublished)
	}
	again, err := f.Prune(pruneTime, serin.Retention{Keep: 1, Window: serin.Duration(7 * day)}, in)
	if err != nil || len(again.Removed) != 0 {
		t.Errorf("pruned again: %v, %v", again.Removed, err)
	}
}

func TestPruneRefuses(t *testing.T) {
	f, _ := published(t, 3)
	for _, r := range []serin.Retention{{}, {Keep: -1}, {Keep: 1, Window: -1}} {
		if _, err := f.Prune(pruneTime, r, serin.InUse{}); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%+v: %v", r, err)
		}
	}
	in := serin.InUse{Moves: make([]serin.Move, serin.MaxMoves)}
	for i := range in.Moves {
		in.Moves[i].At = pruneTime.Add(-time.Minute)
	}
	if _, err := f.Prune(pruneTime, serin.Retention{Keep: 1, Window: serin.Duration(time.Hour)}, in); serin.KindOf(err) != serin.KindInvalid {
		t.Errorf("a history that may be incomplete: %v", err)
	}
	if len(f.Versions) != 3 {
		t.Errorf("%d versions are left", len(f.Versions))
	}
}

// G7: whatever has happened to the aliases before, a prune removes neither what they route to nor where a rollback goes,
// which is the same version as before the prune.
func TestPruneKeepsRollbacks(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	causes := []serin.Cause{serin.CauseManual, serin.CauseStep, serin.CausePromote, serin.CauseRollback, serin.CauseAbort}
	removed := 0
	for range 500 {
		f, c := published(t, 3+r.IntN(20))
		var moves []serin.Move
		c.At = pruneTime.Add(-1000 * time.Hour)
		for range r.IntN(30) {
			c.At, c.Cause = c.At.Add(time.Duration(r.IntN(60))*time.Hour), causes[r.IntN(len(causes))]
			name := []string{"live", "beta"}[r.IntN(2)]
			v := serin.VersionNumber(1 + r.IntN(len(f.Versions)))
			weights := map[serin.VersionNumber]float64{}
			if other := serin.VersionNumber(1 + r.IntN(len(f.Versions))); other != v && r.IntN(3) == 0 {
				weights[other] = float64(r.IntN(10)) / 10
			}
			up := serin.AliasUpdate{Version: &v, Weights: &weights}
			var err error
			if f.Aliases[name] == nil {
				_, err = f.CreateAlias(c, name, up)
			} else {
				_, err = f.UpdateAlias(c, name, up)
			}
			if err != nil {
				t.Fatal(err)
			}
			moves = append(moves, f.Moves()...)
			f = f.Clone()
		}
		target := func(name string) serin.VersionNumber {
			var own []serin.Move
			for _, m := range moves {
				if m.Alias == name {
					own = append(own, m)
				}
			}
			n, _ := serin.LastGood(own, func(n serin.VersionNumber) bool { _, ok := f.Version(n); return ok })
			return n
		}
		live, beta := target("live"), target("beta")
		p, err := f.Prune(pruneTime, serin.Retention{Keep: 1 + r.IntN(3), Window: serin.Duration(r.IntN(300)) * serin.Duration(time.Hour)}, serin.InUse{Moves: moves})
		if err != nil {
			t.Fatal(err)
		}
		removed += len(p.Removed)
		if target("live") != live || target("beta") != beta {
			t.Fatalf("a rollback of live went to %d and goes to %d, of beta to %d and %d", live, target("live"), beta, target("beta"))
		}
		for name, a := range f.Aliases {
			for n := range a.Routing.Weights() {
				if _, ok := f.Version(n); !ok {
					t.Fatalf("alias %s routes to version %d, which was pruned", name, n)
				}
			}
		}
	}
	if removed < 1000 {
		t.Errorf("only %d versions were removed in all", removed)
	}
}

func TestPruneLayer(t *testing.T) {
	day := 24 * time.Hour
	var versions []*serin.LayerVersion
	for n := int64(5); n > 0; n-- {
		versions = append(versions, &serin.LayerVersion{Layer: "base", Number: n, CreatedAt: pruneTime.Add(-time.Duration(6-n) * 3 * day)})
	}
	arn := func(v *serin.LayerVersion) string { return serin.Place{}.LayerVersionARN(v.Layer, v.Number) }
	removed, kept, err := serin.PruneLayer(versions, arn, map[string]string{arn(versions[4]): "shop:3"}, pruneTime, serin.Retention{Keep: 1, Window: serin.Duration(7 * day)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[int64]string{}
	for _, v := range kept {
		got[v.Version] = strings.Join(v.Why, "; ")
	}
	want := map[int64]string{5: "one of the newest 1; made within 168h0m0s", 4: "made within 168h0m0s", 1: "shop:3 uses it"}
	if diff := cmp.Diff(want, got); diff != "" || len(removed) != 2 {
		t.Errorf("removed %d, kept (-want +got):\n%s", len(removed), diff)
	}
}
