package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(tb testing.TB, dir string, change func(*Config)) *Store {
	tb.Helper()
	cfg := Config{Dir: dir, Now: func() time.Time { return start }, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	s, err := Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// model is what the store must answer: every line in the order in which it came.
type model []modelLine

type modelLine struct {
	stream, request, text string
	at                    int64
}

// events returns the lines of streams in order of time.
func (m model) events(from, to int64, streams []string) model {
	var out model
	for _, l := range m {
		if l.at >= from && l.at < to && (streams == nil || slices.Contains(streams, l.stream)) {
			out = append(out, l)
		}
	}
	slices.SortStableFunc(out, func(a, b modelLine) int { return cmp.Compare(a.at, b.at) })
	return out
}

// settled puts lines of different streams and the same time in one order: the store may have them in another.
func settled(lines model) model {
	out := slices.Clone(lines)
	slices.SortStableFunc(out, func(a, b modelLine) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.stream, b.stream)) })
	return out
}

func fill(t *testing.T, s *Store, r *rand.Rand, lines int) model {
	t.Helper()
	var m model
	span := []int64{1, 50, 5_000, 3 * window}[r.IntN(4)]
	for i := range lines {
		l := modelLine{stream: fmt.Sprintf("2026/11/23/[%d]%02d", 1+r.IntN(2), r.IntN(4)), at: start.UnixMilli() + r.Int64N(span), text: fmt.Sprintf("line %d %s", i, strings.Repeat("x", r.IntN(60)))}
		if r.IntN(2) == 0 {
			l.request = fmt.Sprintf("request-%d", r.IntN(3))
		}
		m = append(m, l)
		s.Append("g", l.stream, Line{At: l.at, RequestID: l.request, Message: []byte(l.text)})
		if r.IntN(20) == 0 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return m
}

// pages reads everything that a query asks for, page by page.
func pages(t *testing.T, s *Store, q PageQuery) model {
	t.Helper()
	var out model
	for range 10_000 {
		p, err := s.Page(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var lines model
		for _, e := range p.Events {
			lines = append(lines, modelLine{e.Stream, e.RequestID, string(e.Message), e.ID.At})
		}
		if q.Backward {
			out = append(lines, out...)
		} else {
			out = append(out, lines...)
		}
		if len(p.Events) > q.Limit {
			t.Fatalf("a page of %d events, want at most %d", len(p.Events), q.Limit)
		}
		if !p.More {
			return out
		}
		q.After = &p.Next
	}
	t.Fatal("the pages have no end")
	return nil
}

func TestPagesAreWhatWasAppended(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := open(t, t.TempDir(), nil)
		m := fill(t, s, r, 1+r.IntN(600))
		from := start.UnixMilli() + r.Int64N(window)*int64(r.IntN(2))
		to := from + 1 + r.Int64N(4*window)
		q := PageQuery{Query: Query{Group: "g", From: from, To: to}, Limit: 1 + r.IntN(100), MaxBytes: 200 + r.IntN(10_000)}
		if r.IntN(3) == 0 {
			q.Budget = 1 // every page is cut short where it can be
		}
		want := m.events(from, to, nil)
		if diff := gocmp.Diff(settled(want), settled(pages(t, s, q)), gocmp.AllowUnexported(modelLine{})); diff != "" {
			t.Fatalf("seed %d: the group differs (-want +got):\n%s", seed, diff)
		}
		for _, stream := range []string{"2026/11/23/[1]00", "2026/11/23/[2]03"} {
			if !slices.ContainsFunc(m, func(l modelLine) bool { return l.stream == stream }) {
				continue
			}
			q.Streams = []string{stream}
			for _, q.Backward = range []bool{false, true} {
				got, want := pages(t, s, q), m.events(from, to, q.Streams)
				if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(modelLine{})); diff != "" {
					t.Fatalf("seed %d: stream %s backward=%v differs (-want +got):\n%s", seed, stream, q.Backward, diff)
				}
			}
		}
		q.Streams, q.Backward, q.StreamPrefix = nil, false, "2026/11/23/[2]"
		want = slices.DeleteFunc(want, func(l modelLine) bool { return !strings.HasPrefix(l.stream, q.StreamPrefix) })
		if diff := gocmp.Diff(settled(want), settled(pages(t, s, q)), gocmp.AllowUnexported(modelLine{})); diff != "" {
			t.Fatalf("seed %d: the prefix differs (-want +got):\n%s", seed, diff)
		}
	}
}

func TestWhatWasFlushedSurvivesWithoutClose(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir, nil)
	if err := first.AppendAll(t.Context(), "g", "s", []Line{{At: 5, Message: []byte("kept")}}); err != nil {
		t.Fatal(err)
	}
	// The first store is neither closed nor checkpointed, as after a kill.
	second := open(t, dir, nil)
	p, err := second.Page(t.Context(), PageQuery{Query: Query{Group: "g"}, Limit: 10, MaxBytes: 1 << 20})
	if err != nil || len(p.Events) != 1 || string(p.Events[0].Message) != "kept" {
		t.Fatalf("after a restart: %v, %v", p.Events, err)
	}
	if id, ok := ParseID(p.Events[0].ID.String()); !ok || id != p.Events[0].ID {
		t.Errorf("the id %v is read back as %v, %v", p.Events[0].ID, id, ok)
	}
}

func TestSweepKeepsWhatGroupsKeep(t *testing.T) {
	now := start
	s := open(t, t.TempDir(), func(c *Config) { c.Now = func() time.Time { return now }; c.Retention = time.Hour })
	for _, group := range []string{"short", "long"} {
		s.Append(group, "old", Line{At: now.UnixMilli(), Message: []byte("old")})
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateGroup(t.Context(), "long", func(set *Settings) error { set.RetentionDays = 1; return nil }); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	for _, group := range []string{"short", "long"} {
		s.Append(group, "new", Line{At: now.UnixMilli(), Message: []byte("new")})
	}
	if err := errors.Join(s.Flush(t.Context()), s.sweep(t.Context())); err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, group := range []string{"short", "long"} {
		streams, err := s.Streams(t.Context(), StreamQuery{Group: group, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, stream := range streams {
			got[group] = append(got[group], stream.Name)
		}
	}
	if diff := gocmp.Diff(map[string][]string{"short": {"new"}, "long": {"new", "old"}}, got); diff != "" {
		t.Errorf("streams after the sweep (-want +got):\n%s", diff)
	}
	g, err := s.Group(t.Context(), "short")
	if err != nil || g.StoredBytes != int64(len("new")+perEvent) {
		t.Errorf("stored bytes %d, %v", g.StoredBytes, err)
	}
}

func TestTheOldestGoesWhenThereIsTooMuch(t *testing.T) {
	s := open(t, t.TempDir(), func(c *Config) { c.MaxBytes = 2 << 20 })
	r := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 4<<10) // does not pack
	for i := range 2000 {
		_, _ = r.Read(noise)
		s.Append("g", "s", Line{At: start.UnixMilli() + int64(i), Message: noise})
		if i%10 == 9 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := s.Page(t.Context(), PageQuery{Query: Query{Group: "g", Streams: []string{"s"}}, Limit: 1, MaxBytes: 1 << 20, Backward: true})
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Group(t.Context(), "g")
	if err != nil || g.StoredBytes > 2<<20 || len(p.Events) == 1 && p.Events[0].ID.At != start.UnixMilli()+1999 {
		t.Errorf("kept %d bytes up to %v, %v", g.StoredBytes, p.Events, err)
	}
}

func TestDeletedGroupsAndStreamsAreGone(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	add := func() {
		for _, stream := range []string{"a", "b"} {
			if err := s.AppendAll(t.Context(), "g", stream, []Line{{At: 1, Message: []byte(stream)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add()
	if err := s.DeleteStream(t.Context(), "g", "a"); err != nil {
		t.Fatal(err)
	}
	q := PageQuery{Query: Query{Group: "g"}, Limit: 10, MaxBytes: 1 << 20}
	if p, err := s.Page(t.Context(), q); err != nil || len(p.Events) != 1 {
		t.Errorf("after DeleteStream: %v, %v", p.Events, err)
	}
	if err := s.DeleteGroup(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Page(t.Context(), q); !errors.Is(err, ErrNotFound) {
		t.Errorf("after DeleteGroup: %v", err)
	}
	if err := s.DeleteGroup(t.Context(), "g"); !errors.Is(err, ErrNotFound) {
		t.Errorf("DeleteGroup again: %v", err)
	}
	add() // both come back
	if p, err := s.Page(t.Context(), q); err != nil || len(p.Events) != 2 {
		t.Errorf("after another append: %v, %v", p.Events, err)
	}
}

func TestWhatAFlushHasLeftIsWrittenByTheNext(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	s.Append("g", "s", Line{At: 1, Message: []byte("first")})
	if _, err := s.writer.ExecContext(t.Context(), `ALTER TABLE chunks RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err == nil {
		t.Fatal("a flush without a table succeeds")
	}
	if _, err := s.writer.ExecContext(t.Context(), `ALTER TABLE away RENAME TO chunks`); err != nil {
		t.Fatal(err)
	}
	if err := s.AppendAll(t.Context(), "g", "s", []Line{{At: 2, Message: []byte("second")}}); err != nil {
		t.Fatal(err)
	}
	// What was acknowledged is on disk, not only in memory.
	var events int
	if err := s.readers.QueryRowContext(t.Context(), `SELECT sum(events) FROM chunks`).Scan(&events); err != nil || events != 2 {
		t.Errorf("%d events are on disk, %v", events, err)
	}
}

func TestFollowSeesEverythingOnce(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	s.Append("g", "s", Line{At: 9, Message: []byte("before")})
	_, mark, _, err := s.Follow(t.Context(), Query{Group: "g"}, -1, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range 5 {
		s.Append("g", "s", Line{At: 9 - int64(i), Message: []byte{'a' + byte(i)}}) // also what is older
		s.Append("other", "s", Line{At: 9, Message: []byte("other")})
		var events []Event
		if events, mark, _, err = s.Follow(t.Context(), Query{Group: "g"}, mark, 10); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			got = append(got, string(e.Message))
		}
	}
	if diff := gocmp.Diff([]string{"a", "b", "c", "d", "e"}, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzChunk(f *testing.F) {
	b := builder{data: []byte("onetwothree"), events: []placed{{1, "", 3}, {1, "r", 6}, {4, "r", 11}}}
	f.Add(b.encode(nil))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Chunk
		if c.decode(slices.Clone(data)) != nil {
			return
		}
		again := builder{data: c.data, events: c.events}
		var d Chunk
		if err := d.decode(again.encode(nil)); err != nil {
			t.Fatal(err)
		}
		var x, y []string
		for e := range c.Events() {
			x = append(x, fmt.Sprint(e.ID, e.RequestID, string(e.Message)))
		}
		for e := range d.Events() {
			y = append(y, fmt.Sprint(e.ID, e.RequestID, string(e.Message)))
		}
		if diff := gocmp.Diff(x, y); diff != "" {
			t.Error(diff)
		}
	})
}
