package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"serin/internal/store"
)

// Of events that are enqueued by many at once, some of whom give up, those that were acknowledged are there
// after a restart, and of the others only whole ones.
func testManyEventWriters(t suite) {
	const each = 40
	s := open(t, t.cfg)
	var mu sync.Mutex
	acknowledged, refused := map[string]bool{}, map[string]bool{}
	if err := together(func(w int) error {
		for i := range each {
			ctx, cancel := context.WithCancel(t.Context())
			if i%4 == 0 {
				go cancel()
			}
			name := fmt.Sprint(w, "-", i)
			err := s.Enqueue(ctx, store.Event{Lane: fmt.Sprint("f", w%5), Due: at(0), Document: name, Payload: []byte(name)})
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			mu.Lock()
			if acknowledged[name] = err == nil; err != nil {
				refused[name] = true
			}
			mu.Unlock()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, t.cfg)
	for lane := range 5 {
		for _, e := range take(t, s, fmt.Sprint("f", lane), writers*each, 0) {
			if string(e.Payload) != e.Document || refused[e.Document] {
				t.Errorf("event %s has payload %s; refused: %t", e.Document, e.Payload, refused[e.Document])
			}
			delete(acknowledged, e.Document)
		}
	}
	for name, ok := range acknowledged {
		if ok {
			t.Errorf("event %s was acknowledged and is lost", name)
		}
	}
}

// testEventBatches writes as many events at once as make statements of every size.
func testEventBatches(t suite) {
	s := open(t, t.cfg)
	for _, n := range []int{1, 2, 7, 8, 9, 63, 64, 65, 137} {
		lane := strconv.Itoa(n)
		enqueue(t, s, "source", 0, lane)
		follow := make([]store.Event, n)
		var want []string
		for i := range follow {
			name := strconv.Itoa(i)
			follow[i] = store.Event{Lane: lane, Due: at(0), Document: name}
			want = append(want, name)
		}
		if err := s.FinishEvent(t.Context(), take(t, s, "source", 1, 0)[0].Lease, follow...); err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		expect(t, lane, documents(take(t, s, lane, 1000, 0)), strings.Join(want, " "))
	}
}

// testManyEventTakers lets many take at once; each event is got by one of them.
func testManyEventTakers(t suite) {
	s := open(t, t.cfg)
	shareOut(t, s, s)
}

func testEventsOfTwoServers(t suite) {
	a := open(t, t.cfg)
	t.cfg.Dir = t.TempDir()
	b := open(t, t.cfg)
	shareOut(t, a, b)

	enqueue(t, a, "f", 0, "a's")
	e := take(t, a, "f", 1, 0)[0]
	if n, err := b.ReleaseEvents(t.Context(), at(0)); err != nil || n != 0 {
		t.Errorf("released %d of another server, %v", n, err)
	}
	expect(t, "what the other has leased", documents(take(t, b, "f", 1, 0)), "")
	if err := a.FinishEvent(t.Context(), e.Lease); err != nil {
		t.Error(err)
	}
	if a.EventPoll() == 0 {
		t.Error("a server never looks for events that another has enqueued")
	}
}

func shareOut(tb testing.TB, servers ...*store.Store) {
	tb.Helper()
	const events = 600
	if err := together(func(w int) error {
		for i := w; i < events; i += writers {
			if err := servers[0].Enqueue(tb.Context(), store.Event{Lane: "f", Due: at(time.Duration(i)), Document: strconv.Itoa(i)}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	got := make([][]int, writers)
	if err := together(func(w int) error {
		s := servers[w%len(servers)]
		for {
			taken, err := s.TakeEvents(tb.Context(), []store.EventWant{{Lane: "f", Most: 7}}, at(time.Second), at(time.Minute))
			if err != nil || len(taken) == 0 {
				return err
			}
			for _, e := range taken {
				n, err := strconv.Atoi(e.Document)
				if err := cmp.Or(err, s.FinishEvent(tb.Context(), e.Lease)); err != nil {
					return err
				}
				got[w] = append(got[w], n)
			}
		}
	}); err != nil {
		tb.Fatal(err)
	}
	all := slices.Concat(got...)
	slices.Sort(all)
	for i, n := range all {
		if n != i {
			tb.Fatalf("event %d was lost or taken twice", i)
		}
	}
	// A taker that found every row locked has given up early; the others go on.
	expect(tb, "events", len(all), events)
}
