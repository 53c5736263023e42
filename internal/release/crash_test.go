package release_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"serin"
)

// effects is the log of a controller, which says before and after each effect that it happens. At the n-th of them
// something else happens first.
type effects struct {
	slog.Handler
	mu   sync.Mutex
	seen []string
	at   int
	then func()
}

func (e *effects) Enabled(context.Context, slog.Level) bool { return true }

func (e *effects) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, "effect ") {
		return nil
	}
	e.mu.Lock()
	e.seen = append(e.seen, r.Message)
	hit := len(e.seen) == e.at
	e.mu.Unlock()
	if hit {
		e.then()
	}
	return nil
}

// dead is the log of a controller whose server has been killed: no goroutine of it has another effect.
type dead struct{ *effects }

func (d dead) Handle(ctx context.Context, r slog.Record) error {
	d.mu.Lock()
	killed := d.at > 0 && len(d.seen) >= d.at
	d.mu.Unlock()
	if killed {
		runtime.Goexit()
	}
	return d.effects.Handle(ctx, r)
}

func (d dead) WithAttrs([]slog.Attr) slog.Handler { return d }
func (d dead) WithGroup(string) slog.Handler      { return d }

// journey is a release with every kind of effect: checks at both ends, steps, a watch and notices.
func journey(p *serin.Policy) {
	p.Steps, p.Pace, p.Bake = []float64{10, 50, 100}, serin.PaceTime, serin.Duration(time.Second)
	p.Before, p.After, p.Watch, p.Holdback = probe, probe, serin.Duration(2*time.Second), 5
}

// travel starts a release and lets something happen at its n-th effect. It reports whether there was an n-th.
func travel(w *world, n int, then func(kill func())) (id string, happened bool) {
	var hit atomic.Bool
	e := &effects{at: n, then: func() {
		hit.Store(true)
		then(func() {
			w.stop()
			runtime.Goexit()
		})
	}}
	w.kill()
	w.live(1)
	w.log, w.notify = dead{e}, []string{"hooks"}
	w.run()
	id = w.start(2, journey).ID
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		if r, err := w.store.Release(context.Background(), id); hit.Load() || err == nil && !r.Active() {
			break
		}
	}
	w.kill()
	w.log = slog.DiscardHandler
	w.run()
	w.until(id, ended)
	return id, hit.Load()
}

// Killed between any two effects of a release, the server converges to the same end: the same traffic in the same order,
// every check under one id, every notice once in the outbox, and never two active releases (G8).
func TestCrashMatrix(t *testing.T) {
	for ending, after := range map[serin.Ending]string{serin.EndingPromoted: "", serin.EndingRolledBack: "Unhandled"} {
		points := 0
		for n := 1; ; n++ {
			happened := false
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.hooks.answer = func(_ context.Context, e serin.CheckEvent) ([]byte, string, error) {
					return nil, map[serin.When]string{serin.AfterTraffic: after}[e.When], nil
				}
				var id string
				id, happened = travel(w, n, func(kill func()) { kill() })
				r, err := w.store.Release(t.Context(), id)
				if err != nil || r.Ending != ending {
					t.Errorf("%s, killed at effect %d: %+v, %v", ending, n, r, err)
					return
				}
				checkTraffic(t, w, n, ending)
				checkNotices(t, w, r)
				ids := map[string]bool{}
				for _, c := range w.hooks.calls() {
					ids[c.CheckID] = true
				}
				if len(ids) != 2 {
					t.Errorf("%d: checks %v", n, ids)
				}
				if active, err := w.store.ActiveReleases(t.Context()); err != nil || len(active) > 0 {
					t.Errorf("%d: active %v, %v", n, active, err)
				}
				if d := differences(t, exported(w, id)); len(d) > 0 {
					t.Errorf("%d: %v", n, d)
				}
			})
			if !happened {
				break
			}
			points++
		}
		if points < 20 {
			t.Errorf("%s: killed at %d effects only", ending, points)
		}
	}
}

func checkTraffic(t *testing.T, w *world, n int, ending serin.Ending) {
	t.Helper()
	want := []string{"1", "1+2@0.1", "1+2@0.5", "1+2@0.95", "2"}
	if ending == serin.EndingRolledBack {
		want[4] = "1"
	}
	var got []string
	for _, m := range w.aliases.moves {
		text := m.To.Version.String()
		if m.To.Weighted() {
			text += fmt.Sprintf("+%s@%v", m.To.Additional, m.To.Weight)
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("killed at effect %d: traffic %v, want %v", n, got, want)
	}
}

// checkNotices looks whether everything in the log is to be told, once.
func checkNotices(t *testing.T, w *world, r *serin.Release) {
	t.Helper()
	notices, err := w.store.ReleaseNotices(t.Context(), r.ID)
	if err != nil || len(notices) != len(r.Log) || len(r.Log) < 4 {
		t.Errorf("%d notices of %+v, %v", len(notices), r.Log, err)
	}
	for i, n := range notices {
		if !strings.Contains(n.Document, fmt.Sprintf(`{"id":"%s-%d"`, r.ID, i+1)) {
			t.Errorf("notice %d is %s", i, n.Document)
		}
	}
}

// Whenever somebody else changes the alias in the middle, the release ends and touches nothing more.
func TestForeignChangeAtEveryEffect(t *testing.T) {
	for n := 1; ; n++ {
		happened := false
		inBubble(t, func(w *world) {
			t := w.t // of the bubble
			var before int
			var id string
			var changed time.Time
			id, happened = travel(w, n, func(func()) {
				w.live(3)
				changed = time.Now()
				w.aliases.mu.Lock()
				before = len(w.aliases.moves)
				w.aliases.mu.Unlock()
			})
			r, err := w.store.Release(t.Context(), id)
			if err != nil || !happened {
				return
			}
			decided := r.Ending == serin.EndingPromoted && !r.EndedAt.After(changed) // and nothing but a save was left
			if r.Ending != serin.EndingConflict && !decided || w.aliases.routing() != (serin.Routing{Version: 3}) || len(w.aliases.moves) != before {
				t.Errorf("changed at effect %d: %s (%s), alias %+v, %d moves after", n, r.Ending, r.Reason, w.aliases.routing(), len(w.aliases.moves)-before)
			}
		})
		if !happened {
			return
		}
	}
}
