package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"serin"
	"serin/internal/store"
)

func release(id, function, alias string) *serin.Release {
	at := byTester("").At
	rate := 0.25
	return &serin.Release{
		ID: id, Function: function, Alias: alias, Baseline: 1, Canary: 2, Policy: serin.DefaultPolicy(), BaselineRate: &rate,
		Phase: serin.PhaseRunning, Want: serin.Routing{Version: 1, Additional: 2, Weight: 0.05}, Applied: serin.Routing{Version: 1},
		Steps: []serin.Step{{Weight: 5, StartedAt: at, Baseline: serin.Counts{Requests: 100, Errors: 1}}}, StartedAt: at, WaitingSince: at,
		Verdict: serin.VerdictNotEnough, Evidence: json.RawMessage(`{"e":[1,2.5e-7]}`),
	}
}

func end(r *serin.Release) *serin.Release {
	r.Phase, r.Ending = serin.PhaseEnded, serin.EndingPromoted
	return r
}

func ids(all []*serin.Release, err error) []string {
	if err != nil {
		return []string{err.Error()}
	}
	var list []string
	for _, r := range all {
		list = append(list, r.ID)
	}
	return list
}

func testReleases(t suite) {
	s, ctx := open(t, t.cfg), t.Context()
	_, err := s.Release(ctx, "r1")
	expectErr(t, "a missing release", err, store.ErrNotFound)
	expectErr(t, "save a missing release", s.SaveRelease(ctx, release("r1", "f", "live"), ""), store.ErrNotFound)

	r := release("r1", "f", "live")
	if err := s.CreateRelease(ctx, r); err != nil {
		t.Fatal(err)
	}
	expect(t, "version of a new release", r.Version, 1)
	expectErr(t, "the same id", s.CreateRelease(ctx, release("r1", "g", "live")), store.ErrExists)
	expectErr(t, "a second active release of the alias", s.CreateRelease(ctx, release("r2", "f", "live")), store.ErrExists)
	for _, other := range []*serin.Release{release("r3", "f", "beta"), release("r4", "g", "live"), end(release("r5", "f", "live"))} {
		if err := s.CreateRelease(ctx, other); err != nil {
			t.Errorf("%s: %v", other.ID, err)
		}
	}

	other, err := s.Release(ctx, "r1")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "release", other, r)
	other.Phase = serin.PhaseHeld
	if err := s.SaveRelease(ctx, other, `["one"]`); err != nil {
		t.Fatal(err)
	}
	expect(t, "version after a save", other.Version, 2)
	expectErr(t, "a save of what was read earlier", s.SaveRelease(ctx, r, `["never"]`), store.ErrStale)
	counts, err := s.ReleaseCounts(ctx, "r1")
	expect(t, "counts", counts, []store.ReleaseCounts{{Version: 2, Document: `["one"]`}})
	expect(t, "error of counts", err, nil)
	expect(t, "version after a refused save", r.Version, 1)

	if err := s.SaveRelease(ctx, end(other), ""); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateRelease(ctx, release("r6", "f", "live")); err != nil {
		t.Errorf("a release after the end of the last one: %v", err)
	}
	other.Phase = serin.PhaseRunning
	expectErr(t, "an ended release made active again", s.SaveRelease(ctx, other, ""), store.ErrStale)
	other.Phase, other.Reason = serin.PhaseEnded, "a note"
	if err := s.SaveRelease(ctx, other, ""); err != nil {
		t.Errorf("a note on an ended release: %v", err)
	}
	expect(t, "changes of functions", lastChange(t, s), 0)

	s = reopen(t, s, t.cfg)
	saved, err := s.Release(ctx, "r1")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "release after a restart", saved, other)
	expect(t, "active releases", ids(s.ActiveReleases(ctx)), []string{"r3", "r4", "r6"})
}

func testReleaseLists(t suite) {
	s, ctx := open(t, t.cfg), t.Context()
	expect(t, "none", ids(s.Releases(ctx, "", "", 10)), nil)
	for i := range 12 {
		r := end(release(fmt.Sprintf("r%02d", i), []string{"f", "g"}[i%2], []string{"live", "beta", "dev"}[i%3]))
		if err := s.CreateRelease(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "the newest", ids(s.Releases(ctx, "", "", 3)), []string{"r09", "r10", "r11"})
	expect(t, "of a function", ids(s.Releases(ctx, "f", "", 4)), []string{"r04", "r06", "r08", "r10"})
	expect(t, "of an alias", ids(s.Releases(ctx, "f", "live", 10)), []string{"r00", "r06"})
	expect(t, "of an alias name", ids(s.Releases(ctx, "", "live", 10)), []string{"r00", "r03", "r06", "r09"})
	expect(t, "of nothing", ids(s.Releases(ctx, "f", "prod", 10)), nil)
	expect(t, "active", ids(s.ActiveReleases(ctx)), nil)
}

func testReleaseRace(t suite) {
	s, ctx := open(t, t.cfg), t.Context()
	var created, saved atomic.Int32
	if err := together(func(w int) error {
		err := s.CreateRelease(ctx, release(fmt.Sprint("r", w), "f", "live"))
		if err == nil {
			created.Add(1)
		} else if !errors.Is(err, store.ErrExists) {
			return err
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	active, err := s.ActiveReleases(ctx)
	if err != nil || len(active) != 1 || created.Load() != 1 {
		t.Fatalf("%d releases are active and %d were created: %v", len(active), created.Load(), err)
	}
	if err := together(func(int) error {
		mine := *active[0]
		err := s.SaveRelease(ctx, &mine, "")
		if err == nil {
			saved.Add(1)
		} else if !errors.Is(err, store.ErrStale) {
			return err
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect(t, "saves of one version of a release", saved.Load(), 1)
}
