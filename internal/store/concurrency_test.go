package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/store"
)

const writers = 64

// together runs do in all writers at once and returns their errors.
func together(do func(writer int) error) error {
	var all sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		all.Go(func() { errs[w] = do(w) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// count is a change that counts in the description of $LATEST, and tells what it has counted to.
func count(reached *int) func(*serin.Function) error {
	return func(f *serin.Function) error {
		n, err := strconv.Atoi(f.Latest.Config.Description)
		if err != nil {
			n = 0
		}
		*reached = n + 1
		return f.UpdateConfiguration(byTester(serin.CauseManual), func(c *serin.Configuration) { c.Description = strconv.Itoa(n + 1) }, "")
	}
}

func testOneFunctionManyWriters(t suite) {
	const each = 10
	s := open(t, t.cfg)
	create(t, s, "f")
	update(t, s, "f", publish)
	seen := make([][]int, writers)
	if err := together(func(w int) error {
		for range each {
			var n int
			f, seq, err := s.UpdateFunction(t.Context(), "f", both(count(&n), route("live", 1, serin.CauseManual)))
			if err != nil {
				return err
			}
			if seq != int64(n)+2 || f.Latest.Config.Description != strconv.Itoa(n) {
				return fmt.Errorf("update %d has number %d in the feed and shows %s", n, seq, f.Latest.Config.Description)
			}
			if w == 0 && n%3 == 0 { // some fail in between, and leave nothing
				if _, _, err := s.UpdateFunction(t.Context(), "f", both(count(new(int)), func(*serin.Function) error { return store.ErrStale })); !errors.Is(err, store.ErrStale) {
					return fmt.Errorf("a failing change: %w", err)
				}
			}
			seen[w] = append(seen[w], n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(seen...)
	slices.Sort(all)
	for i, n := range all {
		if n != i+1 {
			t.Fatalf("update %d was lost or done twice: %v", i+1, all)
		}
	}
	for _, mine := range seen {
		if !slices.IsSorted(mine) {
			t.Errorf("a writer did not see its own writes: %v", mine)
		}
	}
	expectFeed(t, s, 2+writers*each)
}

func testManyFunctionsManyWriters(t suite) {
	const each = 5
	s := open(t, t.cfg)
	followed := make(chan error, 1)
	go func() { followed <- follow(t, s, writers*(each+1)) }()
	if err := together(func(w int) error {
		name := fmt.Sprint("f", w)
		if _, _, err := s.CreateFunction(t.Context(), name, build(name)); err != nil {
			return err
		}
		for i := range each {
			f, _, err := s.UpdateFunction(t.Context(), name, publish)
			if err != nil {
				return err
			}
			read, err := s.Function(t.Context(), name)
			if err != nil {
				return err
			}
			// Who follows may have read it before the writer was answered, so the pointers can differ.
			if diff := cmp.Diff(f, read, ignoreMoves()); diff != "" || len(f.Versions) != i+1 {
				return fmt.Errorf("what was written is not what is read: %d versions: %s", len(f.Versions), diff)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-followed; err != nil {
		t.Error(err)
	}
	before := everything(t, s)
	s = reopen(t, s, t.cfg)
	expect(t, "functions", everything(t, s), before)
}

// follow reads a number of changes while they are being made, and each function as of its change.
func follow(tb testing.TB, s *store.Store, changes int) error {
	tb.Helper()
	versions := map[string]int{}
	for c, err := range s.Changes(tb.Context(), 0) {
		if err != nil {
			return err
		}
		f, err := s.Function(tb.Context(), c.Function)
		if err != nil {
			return err
		}
		if len(f.Versions) < versions[f.Name] {
			return fmt.Errorf("%s went back from %d to %d versions", f.Name, versions[f.Name], len(f.Versions))
		}
		versions[f.Name] = len(f.Versions)
		if c.Seq == int64(changes) {
			return nil
		}
	}
	return errors.New("the feed ended early")
}

func testCreateRace(t suite) {
	s := open(t, t.cfg)
	var mu sync.Mutex
	created := 0
	if err := together(func(int) error {
		_, _, err := s.CreateFunction(t.Context(), "f", build("f"))
		if err == nil {
			mu.Lock()
			created++
			mu.Unlock()
		} else if !errors.Is(err, store.ErrExists) {
			return err
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect(t, "successful creations", created, 1)
	expectFeed(t, s, 1)
}

// expectFeed reads the feed from the start: it has exactly that many changes, numbered without gaps.
func expectFeed(tb testing.TB, s *store.Store, changes int) {
	tb.Helper()
	expect(tb, "last change", lastChange(tb, s), int64(changes))
	next := int64(1)
	for c, err := range s.Changes(tb.Context(), 0) {
		if err != nil {
			tb.Fatal(err)
		}
		expect(tb, "change", c.Seq, next)
		if next++; c.Seq == int64(changes) {
			break
		}
	}
}
