package recording

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"serin"
)

// opened returns a recorder that ends with the test.
func opened(tb testing.TB) *Recorder {
	tb.Helper()
	return openedAt(tb, tb.TempDir())
}

func openedAt(tb testing.TB, dir string) *Recorder {
	tb.Helper()
	r, err := Open(dir, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() { stop(); running.Wait() })
	return r
}

func request() Request {
	return Request{Function: "shop", Alias: "live", For: serin.Duration(time.Minute), Sample: 1}
}

func read(tb testing.TB, r *Recorder, id string) *Tape {
	tb.Helper()
	f, err := r.File(id)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	tape, err := Read(f)
	if err != nil {
		tb.Fatal(err)
	}
	return tape
}

func TestRecording(t *testing.T) {
	r := opened(t)
	if r.On() {
		t.Error("it records")
	}
	in := request()
	in.Redact, in.Answers = []string{"$.user"}, true
	began, err := r.Start(in, "ana")
	if err != nil || !r.On() || !began.Active {
		t.Fatalf("%+v, %v", began, err)
	}
	if _, err := r.Start(in, "leo"); serin.KindOf(err) != serin.KindConflict {
		t.Errorf("a second one: %v", err)
	}
	event := []byte(`{"user":"ana","token":"t","n":1}`)
	for range 3 {
		r.Observe("shop", "live", &Call{Start: time.Now(), Duration: time.Millisecond, Version: "3", Event: event, Answer: []byte(`{"user":"x","ok":true}`)})
	}
	clear(event) // the caller goes on with its buffer
	r.Observe("shop", "beta", &Call{Event: []byte(`{}`)})
	r.Observe("shop", "live", &Call{Event: make([]byte, MaxEvent+1)})
	ended, err := r.Stop(began.ID)
	if err != nil || ended.Active || ended.Entries != 3 || ended.Missed != 1 || ended.Why != "stopped" || r.On() {
		t.Errorf("%+v, %v", ended, err)
	}
	tape := read(t, r, began.ID)
	if len(tape.Entries) != 3 || string(tape.Entries[0].Event) != `{"user":"[redacted]","token":"[redacted]","n":1}` || string(tape.Entries[2].Answer) != `{"user":"[redacted]","ok":true}` {
		t.Errorf("%+v", tape.Entries)
	}
	if all, err := r.List(); err != nil || len(all) != 1 || all[0].By != "ana" {
		t.Errorf("%+v, %v", all, err)
	}
	if err := r.Delete(began.ID); err != nil {
		t.Error(err)
	}
	for _, id := range []string{began.ID, "", "../secret", "20260101-000000-abcdefgh/..", "x"} {
		if _, err := r.File(id); serin.KindOf(err) != serin.KindNotFound {
			t.Errorf("file %q: %v", id, err)
		}
		if err := r.Delete(id); serin.KindOf(err) != serin.KindNotFound {
			t.Errorf("delete %q: %v", id, err)
		}
	}
}

func TestRecordingEndsByItself(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := openedAt(t, dir)
		in := request()
		began, err := r.Start(in, "")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if got, err := r.Get(began.ID); err != nil || got.Active || got.Why != "its time is over" {
			t.Errorf("%+v, %v", got, err)
		}
		in.MaxBytes = 2 << 10
		if began, err = r.Start(in, ""); err != nil {
			t.Fatal(err)
		}
		for n := range 100 {
			r.Observe("shop", "live", &Call{Event: fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, strings.Repeat("x", 100))})
			synctest.Wait()
		}
		got, err := r.Get(began.ID)
		if err != nil || got.Active || got.Why != "it is full" || got.Bytes > in.MaxBytes || got.Entries == 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	// A server that was killed leaves recordings that seem to go on.
	r := openedAt(t, dir)
	all, err := r.List()
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
}

func TestRecordingRefuses(t *testing.T) {
	r := opened(t)
	for name, change := range map[string]func(*Request){
		"no sample":     func(in *Request) { in.Sample = 0 },
		"too much":      func(in *Request) { in.Sample = 1.1 },
		"too long":      func(in *Request) { in.For = serin.Duration(25 * time.Hour) },
		"no time":       func(in *Request) { in.For = 0 },
		"too large":     func(in *Request) { in.MaxBytes = MaxFile + 1 },
		"no path":       func(in *Request) { in.Redact = []string{"$["} },
		"too many path": func(in *Request) { in.Redact = make([]string, MaxPaths+1) },
	} {
		in := request()
		change(&in)
		if _, err := r.Start(in, ""); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What comes faster than it can be written is missed and counted, and nobody waits.
func TestRecordingNeverWaits(t *testing.T) {
	r := opened(t)
	began, err := r.Start(request(), "")
	if err != nil {
		t.Fatal(err)
	}
	const each = 2000
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range each {
				r.Observe("shop", "live", &Call{Start: time.Now(), Event: []byte(`{"n":1}`)})
			}
		})
	}
	callers.Wait()
	ended, err := r.Stop(began.ID)
	if err != nil || ended.Entries+ended.Missed != 8*each || ended.Entries == 0 {
		t.Errorf("%d entries, %d missed, %v", ended.Entries, ended.Missed, err)
	}
	if n := len(read(t, r, began.ID).Entries); n != ended.Entries {
		t.Errorf("%d entries in the file, %d in the status", n, ended.Entries)
	}
}

// What an invocation costs: nothing recorded; another alias recorded; one of a thousand recorded; all.
func BenchmarkObserve(b *testing.B) {
	c := &Call{Start: time.Now(), Event: []byte(`{"user":{"id":7,"email":"a@b"},"items":[1,2,3]}`)}
	observe := func(b *testing.B, r *Recorder, alias string) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			if r.On() {
				r.Observe("shop", alias, c)
			}
		}
	}
	b.Run("off", func(b *testing.B) { observe(b, opened(b), "live") })
	for name, sample := range map[string]float64{"thousandth": 0.001, "all": 1} {
		b.Run(name, func(b *testing.B) {
			r := opened(b)
			in := request()
			in.Sample = sample
			if _, err := r.Start(in, ""); err != nil {
				b.Fatal(err)
			}
			observe(b, r, "live")
		})
	}
	b.Run("other alias", func(b *testing.B) {
		r := opened(b)
		if _, err := r.Start(request(), ""); err != nil {
			b.Fatal(err)
		}
		observe(b, r, "beta")
	})
}
