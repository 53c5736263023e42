package release_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"serin"
	"serin/internal/metrics"
	"serin/internal/release"
	"serin/internal/store"
)

// aliases keeps one function in memory, with the rules of the domain.
type aliases struct {
	mu       sync.Mutex
	function *serin.Function
	moves    []serin.Move
	fail     atomic.Int32 // so many moves fail
	revision atomic.Int64
}

func newAliases(t *testing.T) *aliases {
	t.Helper()
	a := &aliases{}
	c := a.change(serin.CauseManual)
	f := serin.NewFunction(c, serin.Place{Region: "us-east-1", Account: "000000000000"}, "shop", serin.Configuration{}, serin.Code{}, nil, 0)
	for range 3 {
		f.Changed = true
		f.Settle(c, "")
		if _, err := f.PublishVersion(c, serin.Publication{}); err != nil {
			t.Fatal(err)
		}
	}
	a.function = f
	return a
}

func (a *aliases) change(cause serin.Cause) serin.Change {
	return serin.Change{At: time.Now(), Cause: cause, NewRevision: func() string { return strconv.FormatInt(a.revision.Add(1), 10) }}
}

func (a *aliases) Alias(_, name string) (*serin.Function, *serin.Alias, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if al := a.function.Aliases[name]; al != nil {
		return a.function, al, nil
	}
	return nil, nil, serin.Errorf(serin.KindNotFound, "no alias")
}

func (a *aliases) MoveAlias(_ context.Context, m serin.AliasMove) error {
	if a.fail.Add(-1) >= 0 {
		return errors.New("disk full")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.function.Clone()
	up := serin.AliasUpdate{Version: &m.To.Version, Weights: &map[serin.VersionNumber]float64{}, RevisionID: m.RevisionID}
	if m.To.Weighted() {
		(*up.Weights)[m.To.Additional] = m.To.Weight
	}
	why := a.change(m.Cause)
	why.Reason, why.Release, why.Actor = m.Reason, m.Release, m.Actor
	var err error
	if f.Aliases[m.Alias] == nil {
		_, err = f.CreateAlias(why, m.Alias, up)
	} else {
		_, err = f.UpdateAlias(why, m.Alias, up)
	}
	if err == nil {
		a.function = f
		a.moves = append(a.moves, f.Moves()...)
	}
	return err
}

func (a *aliases) LastGood(context.Context, string, string) (serin.VersionNumber, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := serin.LastGood(a.moves, func(serin.VersionNumber) bool { return true })
	if !ok {
		return 0, serin.Errorf(serin.KindNotFound, "nothing to roll back to")
	}
	return n, nil
}

func (a *aliases) routing() serin.Routing {
	_, al, err := a.Alias("", "live")
	if err != nil {
		return serin.Routing{}
	}
	return al.Routing
}

// world is a controller with everything around it, in fake time.
type world struct {
	*release.Controller
	t        *testing.T
	aliases  *aliases
	recorder *metrics.Recorder
	store    *store.Store
	stop     context.CancelFunc
	stopped  chan struct{}
	ids      atomic.Int64
	warmer   release.Warmer
	hooks    hooks
	// transport carries requests to hooks.
	transport transport
	log       slog.Handler
	// alarmState is what every alarm says; set before a release names one.
	alarmState atomic.Pointer[serin.AlarmState]
	notify     []string
	// timing is how long a request to a version takes, and its initialisation; nil is a millisecond.
	timing func(*rand.Rand, serin.VersionNumber) (duration, initialisation time.Duration)
}

// inBubble runs a test with a controller on a real store, in fake time.
func inBubble(t *testing.T, test func(*world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, aliases: newAliases(t), recorder: metrics.New(time.Now), store: s, log: slog.DiscardHandler}
		w.run()
		test(w)
		w.kill()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// run starts a controller; after kill it is the next one. What is to happen meanwhile is called when the controller
// has been made, before it runs.
func (w *world) run(meanwhile ...func()) {
	w.Controller = release.New(release.Config{
		Store: w.store, Aliases: w.aliases, Recorder: w.recorder, Warmer: w.warmer, Now: time.Now,
		NewID: func() string { return "release-" + strconv.FormatInt(w.ids.Add(1), 10) }, Log: slog.New(w.log), Notify: w.notify,
		Alarms: w.alarms, Invoke: w.hooks.invoke, Transport: transport(func(r *http.Request) (*http.Response, error) { return w.transport(r) }),
		VersionARN: func(function, version string) string {
			return "arn:aws:lambda:us-east-1:000000000000:function:" + function + ":" + version
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	w.stop, w.stopped = cancel, make(chan struct{})
	for _, f := range meanwhile {
		f()
	}
	go func() {
		defer close(w.stopped)
		if err := w.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	synctest.Wait()
}

// alarms returns what alarms say.
func (w *world) alarms(names []string) []serin.AlarmState {
	states := make([]serin.AlarmState, len(names))
	for i, name := range names {
		states[i] = *w.alarmState.Load()
		states[i].Name = name
	}
	return states
}

// alarm makes all alarms say something.
func (w *world) alarm(state serin.AlarmValue, reason string) {
	w.alarmState.Store(&serin.AlarmState{State: state, Reason: reason})
}

func (w *world) kill() {
	w.stop()
	<-w.stopped
}

// traffic invokes the alias perSecond times a second until the context ends; each version fails with its
// rate.
func (w *world) traffic(ctx context.Context, perSecond int, rates map[serin.VersionNumber]float64) {
	rng := rand.New(rand.NewPCG(7, 7))
	for ctx.Err() == nil {
		time.Sleep(time.Second / time.Duration(perSecond))
		r := w.aliases.routing()
		v := r.Version
		if r.Weighted() && rng.Float64() < r.Weight {
			v = r.Additional
		}
		o := serin.OutcomeOK
		if rng.Float64() < rates[v] {
			o = serin.OutcomeFunctionError
		}
		duration, initialisation := time.Millisecond, time.Duration(0)
		if w.timing != nil {
			duration, initialisation = w.timing(rng, v)
		}
		w.recorder.Record(metrics.Sample{
			Function: "shop", Alias: "live", Routing: r, Version: v, Outcome: o, Duration: duration, Init: initialisation,
		})
	}
}

// with runs f while there is traffic.
func (w *world) with(perSecond int, rates map[serin.VersionNumber]float64, f func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.traffic(ctx, perSecond, rates) }()
	f()
	cancel()
	<-done
}

func (w *world) live(v serin.VersionNumber) {
	w.t.Helper()
	if err := w.aliases.MoveAlias(context.Background(), serin.AliasMove{Function: "shop", Alias: "live", To: serin.Routing{Version: v}, Cause: serin.CauseManual}); err != nil {
		w.t.Fatal(err)
	}
}

func request(v serin.VersionNumber, p serin.Policy) release.Request {
	return release.Request{Function: "shop", Alias: "live", Version: v, Policy: p}
}

func (w *world) start(v serin.VersionNumber, change func(*serin.Policy)) *serin.Release {
	w.t.Helper()
	p := serin.DefaultPolicy()
	if change != nil {
		change(&p)
	}
	r, err := w.Start(serin.WithActor(context.Background(), "ana"), request(v, p))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// until waits until the release is as wanted.
func (w *world) until(id string, wanted func(*serin.Release) bool) *serin.Release {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
	defer cancel()
	for {
		r, err := w.Get(ctx, id)
		if err != nil {
			w.t.Fatal(err)
		}
		if wanted(r) {
			return r
		}
		if !r.Active() || ctx.Err() != nil {
			w.t.Fatalf("release is %s (%s): %s", r.Phase, r.Ending, r.Reason)
		}
		if _, err := w.Wait(ctx, id, r.Version); err != nil {
			w.t.Fatal(err)
		}
	}
}

func ended(r *serin.Release) bool { return !r.Active() }

func TestGoodCanaryIsPromoted(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.with(200, map[serin.VersionNumber]float64{1: 0.001, 2: 0.001}, func() {
			r := w.until(w.start(2, nil).ID, ended)
			if r.Ending != serin.EndingPromoted || r.Verdict != serin.VerdictNoWorse || r.Blind || w.aliases.routing() != (serin.Routing{Version: 2}) {
				t.Errorf("%s, %s: %s; alias %+v", r.Ending, r.Verdict, r.Reason, w.aliases.routing())
			}
			if len(r.Steps) != 3 {
				t.Errorf("%d steps: %+v", len(r.Steps), r.Steps)
			}
			for _, s := range r.Steps {
				share := float64(s.Canary.Requests) / float64(s.Canary.Requests+s.Baseline.Requests)
				if s.EndedAt.IsZero() || s.Reason == "" || share < s.Weight/100*0.5 || share > s.Weight/100*2 {
					t.Errorf("step %+v: share %.3f", s, share)
				}
			}
			if d := r.EndedAt.Sub(r.StartedAt); d > 2*time.Minute {
				t.Errorf("took %s at 200 requests per second", d)
			}
		})
	})
}

func TestBadCanaryIsRolledBack(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.with(200, map[serin.VersionNumber]float64{1: 0.001, 2: 0.2}, func() {
			r := w.until(w.start(2, nil).ID, ended)
			_, canary := r.Totals()
			if r.Ending != serin.EndingRolledBack || r.Verdict != serin.VerdictWorse || w.aliases.routing() != (serin.Routing{Version: 1}) {
				t.Errorf("%s, %s: %s; alias %+v", r.Ending, r.Verdict, r.Reason, w.aliases.routing())
			}
			if canary.Errors < 2 || canary.Errors > 30 {
				t.Errorf("rolled back after %+v", canary)
			}
		})
		if n := len(w.aliases.moves); w.aliases.moves[n-1].Cause != serin.CauseRollback || w.aliases.moves[n-1].Release == "" {
			t.Errorf("last move %+v", w.aliases.moves[n-1])
		}
	})
}

// A baseline that burns as badly as the canary is no reason to roll back, and a better canary passes.
func TestRedBaselineLetsTheFixPass(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.with(200, map[serin.VersionNumber]float64{1: 0.3, 2: 0.01}, func() {
			r := w.until(w.start(2, nil).ID, ended)
			if r.Ending != serin.EndingPromoted {
				t.Errorf("%s: %s", r.Ending, r.Reason)
			}
		})
	})
}

func TestNoTraffic(t *testing.T) {
	for policy, want := range map[serin.Blind]struct {
		phase   serin.Phase
		ending  serin.Ending
		routing serin.Routing
	}{
		serin.BlindHold:     {serin.PhaseHeld, serin.EndingHeld, serin.Routing{Version: 1, Additional: 2, Weight: 0.05}},
		serin.BlindRollback: {serin.PhaseEnded, serin.EndingRolledBack, serin.Routing{Version: 1}},
		serin.BlindPromote:  {serin.PhaseEnded, serin.EndingPromoted, serin.Routing{Version: 2}},
	} {
		t.Run(string(policy), func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.live(1)
				started := time.Now()
				id := w.start(2, func(p *serin.Policy) { p.OnBlind, p.MaxWait = policy, serin.Duration(time.Minute) }).ID
				r := w.until(id, func(r *serin.Release) bool { return r.Phase == want.phase })
				if r.Ending != want.ending || r.Verdict != serin.VerdictNotEnough || w.aliases.routing() != want.routing {
					t.Errorf("%s (%s): alias %+v", r.Ending, r.Verdict, w.aliases.routing())
				}
				if waited := time.Since(started); waited < time.Minute || waited > 62*time.Second {
					t.Errorf("waited %s", waited)
				}
			})
		})
	}
}

// G8: killed again and again, the release goes on from what was saved, and nothing is counted twice.
func TestKilledControllerConverges(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.with(100, map[serin.VersionNumber]float64{1: 0.001, 2: 0.001}, func() {
			id := w.start(2, nil).ID
			for range 20 {
				time.Sleep(1700 * time.Millisecond)
				w.kill()
				w.run()
			}
			r := w.until(id, ended)
			baseline, canary := r.Totals()
			if sent := int(r.EndedAt.Sub(r.StartedAt).Seconds()*100) + 1; baseline.Requests+canary.Requests > sent {
				t.Errorf("counted %d of %d requests", baseline.Requests+canary.Requests, sent)
			}
			if r.Ending != serin.EndingPromoted || w.aliases.routing() != (serin.Routing{Version: 2}) {
				t.Errorf("%s: %s", r.Ending, r.Reason)
			}
		})
	})
}

// A release that is started while the controller itself starts, or before, is driven all the same, and once.
func TestStartWhileTheControllerStarts(t *testing.T) {
	for range 20 {
		inBubble(t, func(w *world) {
			w.live(1)
			w.kill()
			started := make(chan string, 1)
			w.run(func() { go func() { started <- w.start(2, nil).ID }() })
			w.until(<-started, func(r *serin.Release) bool { return len(r.Steps) == 1 })
		})
	}
}

func TestEffectsAreTriedAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.aliases.fail.Store(3)
		w.with(200, map[serin.VersionNumber]float64{1: 0, 2: 1}, func() {
			r := w.until(w.start(2, nil).ID, func(r *serin.Release) bool { return len(r.Steps) == 1 })
			w.aliases.fail.Store(5)
			if r = w.until(r.ID, ended); r.Ending != serin.EndingRolledBack || w.aliases.routing() != (serin.Routing{Version: 1}) {
				t.Errorf("%s: %s", r.Ending, r.Reason)
			}
		})
	})
}

func TestForeignChangeEndsTheRelease(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		id := w.start(2, nil).ID
		w.until(id, func(r *serin.Release) bool { return len(r.Steps) == 1 })
		w.live(3)
		r := w.until(id, ended)
		if r.Ending != serin.EndingConflict || !strings.Contains(r.Reason, "somebody else to version 3") || w.aliases.routing() != (serin.Routing{Version: 3}) {
			t.Errorf("%s: %s; alias %+v", r.Ending, r.Reason, w.aliases.routing())
		}
	})
}

func TestCommandsDuringARelease(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		ctx := serin.WithActor(t.Context(), "leo")
		id := w.start(2, func(p *serin.Policy) { p.MaxWait = serin.Duration(time.Minute) }).ID
		if _, err := w.Command(ctx, id, serin.Instruction{Command: serin.CommandHold}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // a held release waits for a person
		r, err := w.Command(ctx, id, serin.Instruction{Command: serin.CommandResume})
		if err != nil || r.Phase != serin.PhaseRunning {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err = w.Command(ctx, id, serin.Instruction{Command: serin.CommandAbort}); err != nil {
			t.Fatal(err)
		}
		r = w.until(id, ended)
		if r.Ending != serin.EndingAborted || r.EndedBy != "leo" || w.aliases.routing() != (serin.Routing{Version: 1}) {
			t.Errorf("%s by %s; alias %+v", r.Ending, r.EndedBy, w.aliases.routing())
		}
		_, err = w.Command(ctx, id, serin.Instruction{Command: serin.CommandPromote})
		kind(t, err, serin.KindConflict)
		_, err = w.Command(ctx, "none", serin.Instruction{Command: serin.CommandPromote})
		kind(t, err, serin.KindNotFound)
	})
}

func kind(t *testing.T, err error, want serin.Kind) {
	t.Helper()
	if e, ok := errors.AsType[*serin.Error](err); !ok || e.Kind != want {
		t.Errorf("error %v, want kind %d", err, want)
	}
}

func TestStartPreflight(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		p := serin.DefaultPolicy()
		start := func(v serin.VersionNumber) (*serin.Release, error) {
			return w.Start(t.Context(), release.Request{Function: "shop", Alias: "live", Version: v, Policy: p})
		}
		r, err := start(1) // the alias does not exist
		if err != nil || r.Active() || r.Verdict != serin.VerdictNone || w.aliases.routing() != (serin.Routing{Version: 1}) {
			t.Errorf("first release: %+v, %v", r, err)
		}
		if r, err = start(1); err != nil || r.Active() || r.Ending != serin.EndingPromoted {
			t.Errorf("nothing to do: %+v, %v", r, err)
		}
		_, err = start(9)
		kind(t, err, serin.KindNotFound)
		if e, _ := errors.AsType[*serin.Error](err); e.Reason != release.ReasonPreflight {
			t.Errorf("a missing version: %+v", e)
		}
		p.Steps = []float64{50, 10, 100}
		_, err = start(2)
		kind(t, err, serin.KindInvalid)
		p.Steps = []float64{100}
		if r, err = start(2); err != nil {
			t.Fatal(err)
		}
		if r = w.until(r.ID, ended); r.Ending != serin.EndingPromoted || r.Verdict != serin.VerdictNone {
			t.Errorf("all at once: %+v", r)
		}
		p = serin.DefaultPolicy()
		if _, err = start(3); err != nil {
			t.Fatal(err)
		}
		_, err = start(1) // G8
		kind(t, err, serin.KindConflict)
		if e, _ := errors.AsType[*serin.Error](err); !strings.Contains(e.Message, "serin abort") {
			t.Errorf("a second release: %s", e.Message)
		}
	})
}

func TestRollback(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		_, err := w.PlanRollback(t.Context(), "shop", "live", serin.Latest)
		kind(t, err, serin.KindNotFound)
		w.live(2)
		id := w.start(3, nil).ID
		w.until(id, func(r *serin.Release) bool { return len(r.Steps) == 1 })
		// During a canary: the release is aborted and the alias is back on its baseline.
		plan, err := w.Rollback(t.Context(), "shop", "live", serin.Latest, "smoke")
		if err != nil || plan.To != 2 || plan.Release != id || w.aliases.routing() != (serin.Routing{Version: 2}) {
			t.Errorf("%+v, %v; alias %+v", plan, err, w.aliases.routing())
		}
		// Once more: the version before.
		plan, err = w.Rollback(t.Context(), "shop", "live", serin.Latest, "still smoke")
		if err != nil || plan.To != 1 || w.aliases.routing() != (serin.Routing{Version: 1}) {
			t.Errorf("%+v, %v; alias %+v", plan, err, w.aliases.routing())
		}
		_, err = w.Rollback(t.Context(), "shop", "live", serin.Latest, "")
		kind(t, err, serin.KindNotFound)
		if _, err = w.Rollback(t.Context(), "shop", "live", 3, "by name"); err != nil || w.aliases.routing() != (serin.Routing{Version: 3}) {
			t.Errorf("rollback to 3: %v", err)
		}
		_, err = w.Rollback(t.Context(), "shop", "live", 9, "")
		kind(t, err, serin.KindNotFound)
	})
}
