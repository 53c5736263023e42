package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"serin"
	"serin/internal/store"
	"serin/internal/store/storetest"
)

func testFeed(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	create(t, s, "g")
	update(t, s, "f", publish)
	if _, err := s.DeleteFunction(t.Context(), "g", func(*serin.Function) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want := []store.Change{{Seq: 1, Function: "f"}, {Seq: 2, Function: "g"}, {Seq: 3, Function: "f"}, {Seq: 4, Function: "g"}}
	for after := range want {
		var got []store.Change
		for c, err := range s.Changes(t.Context(), int64(after)) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, c); c.Seq == 4 {
				break
			}
		}
		expect(t, "changes", got, want[after:])
	}
	// A reader that waits ends with its context, and without an error.
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() {
		for c, err := range s.Changes(ctx, 3) {
			if err != nil || c.Seq != 4 {
				t.Errorf("change %v, error %v", c, err)
			}
			cancel()
		}
		close(ended)
	}()
	<-ended
}

// latencies makes changes on one store and returns how long each took from its acknowledgement to the feed
// of another one or the same.
func latencies(tb testing.TB, writer, reader *store.Store, changes int) []time.Duration {
	tb.Helper()
	arrived := make(chan time.Time)
	ctx, cancel := context.WithCancel(tb.Context())
	defer cancel()
	after := lastChange(tb, writer)
	go func() {
		for _, err := range reader.Changes(ctx, after) {
			if err != nil {
				tb.Error(err)
			}
			select {
			case arrived <- time.Now():
			case <-ctx.Done():
			}
		}
	}()
	var all []time.Duration
	for range changes {
		update(tb, writer, "f", publish)
		acknowledged := time.Now()
		select {
		case at := <-arrived:
			all = append(all, max(at.Sub(acknowledged), 0))
		case <-time.After(10 * time.Second):
			tb.Fatal("a change did not arrive")
		}
	}
	slices.Sort(all)
	return all
}

// expectWoken tells signals from polling, which would take half a second in the median.
func expectWoken(tb testing.TB, all []time.Duration) {
	tb.Helper()
	median := all[len(all)/2]
	tb.Logf("from acknowledgement to feed: median %v, longest %v", median, all[len(all)-1])
	if median > 200*time.Millisecond {
		tb.Errorf("changes arrive as late as by polling: %v", all)
	}
}

func testFeedLatency(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	expectWoken(t, latencies(t, s, s, 11))
}

func testFeedLongBacklog(t suite) {
	s := open(t, t.cfg)
	create(t, s, "f")
	const changes = 2500 // more than the feed reads at once
	t.tamper(t, t.cfg, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO changes (seq, function) SELECT i, 'f' FROM n`, changes))
	expectFeed(t, s, changes)
}

// TestTwoServers shares one database between two servers.
func TestTwoServers(t *testing.T) {
	p := storetest.StartPostgres(t)
	cfg := postgresDatabase(p).config(t)
	a := open(t, cfg)
	cfg.Dir = t.TempDir()
	b := open(t, cfg)
	create(t, a, "f")
	update(t, a, "f", both(publish, route("live", 1, serin.CauseManual)))

	expectWoken(t, latencies(t, a, b, 11))

	// Each has the other's last state in its cache when it writes.
	for i := range 5 {
		update(t, a, "f", route("live", serin.VersionNumber(1+i%2), serin.CauseManual))
		f := update(t, b, "f", publish)
		read, err := a.Function(t.Context(), "f")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "what one server reads and the other wrote", read, f)
	}
	if err := together(func(w int) error {
		_, _, err := []*store.Store{a, b}[w%2].UpdateFunction(t.Context(), "f", publish)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	expectFeed(t, b, 2+11+10+writers)

	if _, err := a.DeleteFunction(t.Context(), "f", func(*serin.Function) error { return nil }); err != nil {
		t.Fatal(err)
	}
	_, err := b.Function(t.Context(), "f")
	expectErr(t, "a function that the other server deleted", err, store.ErrNotFound)
	_, _, err = b.UpdateFunction(t.Context(), "f", publish)
	expectErr(t, "update of a function that the other server deleted", err, store.ErrNotFound)

	// A function that is created again after as many changes as before is not the one in the other's cache.
	old := create(t, a, "again")
	if _, err := b.Function(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.DeleteFunction(t.Context(), "again", func(*serin.Function) error { return nil }); err != nil {
		t.Fatal(err)
	}
	again := create(t, a, "again")
	read, err := b.Function(t.Context(), "again")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "revision of the function created again", read.Latest.RevisionID, again.Latest.RevisionID)
	if read.Latest.RevisionID == old.Latest.RevisionID {
		t.Error("the test compares nothing")
	}
}

// TestLostConnections cuts all connections of a server again and again.
func TestLostConnections(t *testing.T) {
	p := storetest.StartPostgres(t)
	cfg := postgresDatabase(p).config(t)
	s := open(t, cfg)
	create(t, s, "f")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan int64)
	go func() {
		for c, err := range s.Changes(ctx, 1) {
			if err != nil {
				t.Error(err)
			}
			select {
			case seen <- c.Seq:
			case <-ctx.Done():
			}
		}
	}()
	for round := range 5 {
		p.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'serin'`)
		for attempt := 0; ; attempt++ {
			_, seq, err := s.UpdateFunction(t.Context(), "f", publish)
			if err == nil {
				expect(t, "number of the change", seq, int64(round+2))
				break
			}
			if attempt == 50 {
				t.Fatal(err)
			}
		}
		select {
		case seq := <-seen:
			expect(t, "change seen", seq, int64(round+2))
		case <-time.After(20 * time.Second):
			t.Fatal("the feed did not come back")
		}
	}
	f, err := s.Function(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "versions", len(f.Versions), 5)
}
