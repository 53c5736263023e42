package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"serin/internal/store"
	"serin/internal/store/storetest"
)

// TestEvents holds the two engines to one behaviour of the queue of events.
func TestEvents(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { conformEvents(t, sqliteDatabase()) })
	t.Run("postgres", func(t *testing.T) {
		d := postgresDatabase(storetest.StartPostgres(t))
		conformEvents(t, d)
		t.Run("OfTwoServers", func(t *testing.T) { testEventsOfTwoServers(suite{t, d, d.config(t)}) })
	})
}

func conformEvents(t *testing.T, d database) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(suite)
	}{
		{"Take", testTakeEvents},
		{"Lanes", testEventLanes},
		{"Due", testDueEvents},
		{"Lease", testEventLease},
		{"Finish", testFinishEvent},
		{"Return", testReturnEvent},
		{"Restart", testEventsOutlastRestart},
		{"Contents", testEventContents},
		{"Refused", testRefusedEvents},
		{"ManyWriters", testManyEventWriters},
		{"Batches", testEventBatches},
		{"ManyTakers", testManyEventTakers},
		{"Signal", testEventSignal},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(suite{t, d, d.config(t)}) })
	}
}

// start is a moment of the tests of events, which have a clock of their own.
var start = time.Date(2026, 2, 3, 4, 5, 6, 789_000, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

func enqueue(tb testing.TB, s *store.Store, lane string, due time.Duration, document string) {
	tb.Helper()
	if err := s.Enqueue(tb.Context(), store.Event{Lane: lane, Due: at(due), Document: document, Payload: []byte(document)}); err != nil {
		tb.Fatal(err)
	}
}

// take takes at most n events of a lane at a time, for a minute.
func take(tb testing.TB, s *store.Store, lane string, n int, now time.Duration) []store.TakenEvent {
	tb.Helper()
	taken, err := s.TakeEvents(tb.Context(), []store.EventWant{{Lane: lane, Most: n}}, at(now), at(now+time.Minute))
	if err != nil {
		tb.Fatal(err)
	}
	return taken
}

func documents(taken []store.TakenEvent) string {
	var all []string
	for _, e := range taken {
		all = append(all, e.Document)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func testTakeEvents(t suite) {
	s := open(t, t.cfg)
	changes := lastChange(t, s)
	for i, due := range []time.Duration{3, 1, 5, 2, 4} {
		enqueue(t, s, "f", due*time.Second, strconv.Itoa(int(due)))
		enqueue(t, s, "g", 0, "g"+strconv.Itoa(i))
	}
	expect(t, "before anything is due", documents(take(t, s, "f", 10, 0)), "")
	expect(t, "at most two", documents(take(t, s, "f", 2, 4*time.Second)), "1 2")
	expect(t, "the rest of what is due", documents(take(t, s, "f", 10, 4*time.Second)), "3 4")
	expect(t, "nothing twice", documents(take(t, s, "f", 10, 4*time.Second)), "")
	expect(t, "no such lane", documents(take(t, s, "h", 10, time.Hour)), "")
	both, err := s.TakeEvents(t.Context(), []store.EventWant{{Lane: "g", Most: 3}, {Lane: "f", Most: 3}}, at(5*time.Second), at(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	perLane := map[string]int{}
	for _, e := range both {
		perLane[e.Lane]++
	}
	expect(t, "both lanes", perLane, map[string]int{"f": 1, "g": 3})
	expect(t, "changes in the feed", lastChange(t, s)-changes, 0)
}

func lanes(tb testing.TB, s *store.Store) string {
	tb.Helper()
	all, err := s.EventLanes(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var texts []string
	for _, l := range all {
		texts = append(texts, fmt.Sprintf("%s+%s", l.Name, l.Due.Sub(start)))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func testEventLanes(t suite) {
	s := open(t, t.cfg)
	expect(t, "an empty queue", lanes(t, s), "")
	for _, lane := range []string{"b", "a", "https://example.com", "ä", "B"} {
		enqueue(t, s, lane, 2*time.Second, "late")
		enqueue(t, s, lane, time.Second, "early")
	}
	enqueue(t, s, "b", time.Microsecond, "first")
	expect(t, "lanes", lanes(t, s), "B+1s a+1s b+1µs https://example.com+1s ä+1s")
	if err := s.FinishEvent(t.Context(), take(t, s, "b", 1, time.Second)[0].Lease); err != nil {
		t.Fatal(err)
	}
	take(t, s, "a", 5, 2*time.Second)
	expect(t, "lanes after taking", lanes(t, s), "B+1s a+1m2s b+1s https://example.com+1s ä+1s")
}

func testDueEvents(t suite) {
	s := open(t, t.cfg)
	due := func(now time.Duration, most int) store.Due {
		t.Helper()
		d, err := s.DueEvents(t.Context(), at(now), most)
		if err != nil {
			t.Fatal(err)
		}
		if !d.Next.IsZero() {
			d.Next = d.Next.UTC()
		}
		return d
	}
	expect(t, "an empty queue", due(time.Hour, 10), store.Due{})
	for i, lane := range []string{"b", "a", "b", "c", "a"} {
		enqueue(t, s, lane, time.Duration(i)*time.Second, "e")
	}
	expect(t, "before anything is due", due(-1, 10), store.Due{Next: at(0)})
	expect(t, "the first", due(0, 10), store.Due{Lanes: []string{"b"}, Next: at(time.Second)})
	expect(t, "the first three", due(time.Minute, 3), store.Due{Lanes: []string{"b", "a"}, More: true})
	expect(t, "all", due(4*time.Second, 6), store.Due{Lanes: []string{"b", "a", "c"}})
	take(t, s, "b", 1, 0)
	expect(t, "what is left", due(3*time.Second, 10), store.Due{Lanes: []string{"a", "b", "c"}, Next: at(4 * time.Second)})
	take(t, s, "a", 2, 4*time.Second)
	expect(t, "leases", due(4*time.Second, 10), store.Due{Lanes: []string{"b", "c"}, Next: at(time.Minute)})
}

func testEventLease(t suite) {
	s := open(t, t.cfg)
	enqueue(t, s, "f", 0, "e")
	first := take(t, s, "f", 1, 0)[0]
	expect(t, "while it is leased", documents(take(t, s, "f", 1, time.Minute-time.Microsecond)), "")
	if err := s.ExtendEvents(t.Context(), []store.Lease{first.Lease}, at(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	expect(t, "while the lease is extended", documents(take(t, s, "f", 1, 2*time.Minute-time.Microsecond)), "")
	second := take(t, s, "f", 1, 2*time.Minute)
	expect(t, "after the end of the lease", documents(second), "e")

	// The first holder has lost it.
	expectErr(t, "finish", s.FinishEvent(t.Context(), first.Lease, store.Event{Lane: "g"}), store.ErrStale)
	expectErr(t, "return", s.ReturnEvent(t.Context(), first.Lease, at(0), "returned"), store.ErrStale)
	if err := s.ExtendEvents(t.Context(), []store.Lease{first.Lease}, at(0)); err != nil {
		t.Fatal(err)
	}
	expect(t, "lanes", lanes(t, s), "f+3m0s")
	if err := s.FinishEvent(t.Context(), second[0].Lease); err != nil {
		t.Fatal(err)
	}
	expectErr(t, "finish again", s.FinishEvent(t.Context(), second[0].Lease), store.ErrStale)

	// SQLite gives the id to the next event. The lost lease is none on that.
	enqueue(t, s, "f", 0, "next")
	third := take(t, s, "f", 1, 0)[0]
	expectErr(t, "finish the next event", s.FinishEvent(t.Context(), first.Lease), store.ErrStale)
	if err := s.FinishEvent(t.Context(), third.Lease); err != nil {
		t.Fatal(err)
	}
	expect(t, "lanes at the end", lanes(t, s), "")
}

func testFinishEvent(t suite) {
	s := open(t, t.cfg)
	enqueue(t, s, "f", 0, "e")
	e := take(t, s, "f", 1, 0)[0]
	bad := store.Event{Lane: "g\x00", Due: at(0)}
	if err := s.FinishEvent(t.Context(), e.Lease, store.Event{Lane: "g", Due: at(0)}, bad); err == nil {
		t.Error("a bad event follows")
	}
	expect(t, "lanes after a refusal", lanes(t, s), "f+1m0s")
	var follow []store.Event
	for i := range 3 {
		follow = append(follow, store.Event{Lane: "g", Due: at(0), Document: "follows" + strconv.Itoa(i)})
	}
	if err := s.FinishEvent(t.Context(), e.Lease, follow...); err != nil {
		t.Fatal(err)
	}
	expect(t, "lanes", lanes(t, s), "g+0s")
	expect(t, "what follows", documents(take(t, s, "g", 10, 0)), "follows0 follows1 follows2")
}

func testReturnEvent(t suite) {
	s := open(t, t.cfg)
	enqueue(t, s, "f", 0, "e")
	e := take(t, s, "f", 1, 0)[0]
	expectErr(t, "a bad document", ignoreText(s.ReturnEvent(t.Context(), e.Lease, at(0), "\xff")), errRefused)
	if err := s.ReturnEvent(t.Context(), e.Lease, at(time.Minute), "second attempt"); err != nil {
		t.Fatal(err)
	}
	expectErr(t, "finish what was returned", s.FinishEvent(t.Context(), e.Lease), store.ErrStale)
	expect(t, "before it is due", documents(take(t, s, "f", 1, time.Minute-time.Microsecond)), "")
	again := take(t, s, "f", 1, time.Minute)
	expect(t, "when it is due", documents(again), "second attempt")
	expect(t, "its payload", string(again[0].Payload), "e")
}

var errRefused = errors.New("refused")

// ignoreText stands for any error about the text of an event.
func ignoreText(err error) error {
	if err != nil && strings.Contains(err.Error(), "not valid UTF-8") {
		return errRefused
	}
	return err
}

// What a server had leased when it was killed is due again when it is back.
func testEventsOutlastRestart(t suite) {
	s := open(t, t.cfg)
	for i := range 5 {
		enqueue(t, s, "f", 0, strconv.Itoa(i))
	}
	take(t, s, "f", 2, 0)
	if err := s.ReturnEvent(t.Context(), take(t, s, "f", 1, 0)[0].Lease, at(time.Hour), "returned"); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, t.cfg)
	n, err := s.ReleaseEvents(t.Context(), at(time.Second))
	if err != nil || n != 2 {
		t.Errorf("released %d, %v, want 2", n, err)
	}
	expect(t, "lanes", lanes(t, s), "f+0s")
	expect(t, "due", len(take(t, s, "f", 10, time.Second)), 4)
	all := take(t, s, "f", 10, time.Hour)
	expect(t, "due after an hour", len(all), 5)
	if !strings.Contains(documents(all), "returned") {
		t.Errorf("the event that was returned for an hour later is not among %s", documents(all))
	}
	if n, err := s.ReleaseEvents(t.Context(), at(0)); err != nil || n != 5 {
		t.Errorf("released %d, %v, want 5", n, err)
	}
}

func testEventContents(t suite) {
	s := open(t, t.cfg)
	for name, payload := range map[string][]byte{
		"nothing": nil, "one byte": {0}, "bytes": []byte("\x00\xff\xfe'\"\\ü"), "largest": bytes.Repeat([]byte("\x01\x00"), 1<<19),
	} {
		document := `{"name":"` + name + `","ü":"\u0000"}`
		if err := s.Enqueue(t.Context(), store.Event{Lane: name, Due: at(0), Document: document, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		e := take(t, s, name, 1, 0)[0]
		if !bytes.Equal(e.Payload, payload) || e.Document != document || e.Lane != name {
			t.Errorf("%s: came back as %d bytes, %s, lane %s", name, len(e.Payload), e.Document, e.Lane)
		}
	}
}

func testRefusedEvents(t suite) {
	s := open(t, t.cfg)
	for what, e := range map[string]store.Event{
		"a lane with a zero":       {Lane: "f\x00"},
		"a lane that is not UTF-8": {Lane: "\xff"},
		"a document with a zero":   {Lane: "f", Document: "\x00"},
	} {
		expectErr(t, what, ignoreText(s.Enqueue(t.Context(), e)), errRefused)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expectErr(t, "a caller that has gone", s.Enqueue(ctx, store.Event{Lane: "f"}), context.Canceled)
	expect(t, "lanes", lanes(t, s), "")
	s.Close()
	expectErr(t, "enqueue after Close", s.Enqueue(t.Context(), store.Event{Lane: "f"}), store.ErrClosed)
	_, err := s.TakeEvents(t.Context(), []store.EventWant{{"f", 1}}, at(0), at(0))
	expectErr(t, "take after Close", err, store.ErrClosed)
}

func testEventSignal(t suite) {
	s := open(t, t.cfg)
	changed := s.EventsChanged()
	select {
	case <-changed:
		t.Fatal("a signal without an event")
	default:
	}
	enqueue(t, s, "f", 0, "e")
	<-changed
	changed = s.EventsChanged()
	if err := s.FinishEvent(t.Context(), take(t, s, "f", 1, 0)[0].Lease, store.Event{Lane: "g"}); err != nil {
		t.Fatal(err)
	}
	<-changed
}
