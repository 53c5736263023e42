// Package router holds the routing table: which version an invocation of (function, qualifier) runs.
//
// The table is a projection of the store's change feed. One loop applies changes in the order of the
// feed; everybody else reads. Entries are immutable function aggregates, so a reader sees one consistent
// state of a function, and reading takes two atomic loads and no lock: one for the map of functions, one
// for the entry, which keeps an alias update from copying the map.
package router

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"serin"
)

// Table is the routing table. Its zero value is not usable; call [New].
type Table struct {
	place serin.Place
	slots atomic.Pointer[map[string]*slot]
	urls  atomic.Pointer[map[string]serin.Ref] // by the id of the function URL

	claims atomic.Int64 // on the account's concurrency, of all functions

	mu      sync.Mutex // guards applied and changed
	applied int64
	changed chan struct{} // closed and replaced when applied grows
}

type slot struct {
	function atomic.Pointer[serin.Function]
}

// New returns an empty table for the functions of a place.
func New(place serin.Place) *Table {
	t := &Table{place: place, changed: make(chan struct{})}
	t.slots.Store(&map[string]*slot{})
	t.urls.Store(&map[string]serin.Ref{})
	return t
}

// Load replaces the whole content of the table by the functions, which show the state of the feed at
// sequence seq or a later one. It is for start-up, before anybody reads.
func (t *Table) Load(seq int64, functions iter.Seq2[*serin.Function, error]) error {
	slots, urls, claims := map[string]*slot{}, map[string]serin.Ref{}, 0
	for f, err := range functions {
		if err != nil {
			return err
		}
		s := &slot{}
		s.function.Store(f)
		slots[f.Name] = s
		maps.Insert(urls, urlsOf(f))
		claims += f.ConcurrencyClaim()
	}
	t.claims.Store(int64(claims))
	t.slots.Store(&slots)
	t.urls.Store(&urls)
	t.advance(seq)
	return nil
}

// Apply makes f, or the absence of the function if f is nil, what readers see from now on, and then marks
// sequence seq as applied. Only the loop that follows the change feed calls it. It returns what readers saw
// before.
func (t *Table) Apply(seq int64, name string, f *serin.Function) (old *serin.Function) {
	slots := *t.slots.Load()
	s, ok := slots[name]
	switch {
	case ok && f != nil:
		old = s.function.Swap(f)
	case f != nil:
		s = &slot{}
		s.function.Store(f)
		next := maps.Clone(slots)
		next[name] = s
		t.slots.Store(&next)
	case ok:
		old = s.function.Load()
		next := maps.Clone(slots)
		delete(next, name)
		t.slots.Store(&next)
	}
	t.index(old, f)
	t.claims.Add(int64(claim(f) - claim(old)))
	t.advance(seq)
	return old
}

func claim(f *serin.Function) int {
	if f == nil {
		return 0
	}
	return f.ConcurrencyClaim()
}

// Claims returns how much of the account's concurrency functions keep from others: see
// [serin.Function.ConcurrencyClaim].
func (t *Table) Claims() int { return int(t.claims.Load()) }

func (t *Table) advance(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.applied = max(t.applied, seq)
	close(t.changed)
	t.changed = make(chan struct{})
}

// Applied returns the sequence up to which the table shows the change feed.
func (t *Table) Applied() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.applied
}

// Wait returns when the table has applied sequence seq, or with the context's cause.
func (t *Table) Wait(ctx context.Context, seq int64) error {
	for {
		t.mu.Lock()
		applied, changed := t.applied, t.changed
		t.mu.Unlock()
		if applied >= seq {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Function returns a function, or false. The caller must not change it.
func (t *Table) Function(name string) (*serin.Function, bool) {
	s, ok := (*t.slots.Load())[name]
	if !ok {
		return nil, false
	}
	return s.function.Load(), true
}

// Functions returns all functions in the order of their names.
func (t *Table) Functions() iter.Seq[*serin.Function] {
	return func(yield func(*serin.Function) bool) {
		slots := *t.slots.Load()
		for _, name := range slices.Sorted(maps.Keys(slots)) {
			if !yield(slots[name].function.Load()) {
				return
			}
		}
	}
}

// Route is where one invocation goes.
type Route struct {
	Function *serin.Function
	Version  *serin.Version
	Alias    *serin.Alias  // nil if no alias has picked the version
	Key      serin.KeyHash // what decided between the versions of a weighted alias; 0 for chance
}

// Find returns the route of a qualifier: of a weighted alias the one to its primary version, for [Route.Draw].
//
// Errors: KindNotFound with the text that AWS gives for Invoke.
func (t *Table) Find(function, qualifier string) (Route, error) {
	f, ok := t.Function(function)
	if !ok {
		if qualifier == "" {
			qualifier = serin.Latest.String()
		}
		return Route{}, serin.Errorf(serin.KindNotFound, "Function not found: %s", t.place.FunctionARN(function, qualifier))
	}
	v, a, err := f.Resolve(qualifier)
	if err != nil {
		return Route{}, err
	}
	return Route{Function: f, Version: v, Alias: a}, nil
}

// Route is [Table.Find] and, if the route is weighted, [Route.Draw].
//
// Errors: KindNotFound.
func (t *Table) Route(function, qualifier string, draw float64) (Route, error) {
	r, err := t.Find(function, qualifier)
	if err != nil || !r.Weighted() {
		return r, err
	}
	return r.Draw(draw)
}

// Weighted reports whether a draw decides about the version.
func (r Route) Weighted() bool { return r.Alias != nil && r.Alias.Routing.Weighted() }

// Draw decides between the versions of a weighted route: the additional version gets the draws below its weight.
// draw is uniform in [0, 1), fresh for each invocation, or that of a key whose invocations stay together: see
// [serin.Function.Draw].
//
// Errors: KindNotFound.
func (r Route) Draw(draw float64) (Route, error) {
	if draw < r.Alias.Routing.Weight {
		v, ok := r.Function.Version(r.Alias.Routing.Additional)
		if !ok {
			return Route{}, serin.Errorf(serin.KindNotFound, "Function not found: %s", r.Function.QualifiedARN(r.Alias.Name))
		}
		r.Version = v
	}
	return r, nil
}
