package release_test

import (
	"strings"
	"testing"
	"time"

	"serin"
)

func instruct(w *world, id string, in serin.Instruction) (*serin.Release, error) {
	return w.Command(serin.WithActor(w.t.Context(), "leo"), id, in)
}

func atStep(step int) func(*serin.Release) bool {
	return func(r *serin.Release) bool { return len(r.Steps) == step+1 && r.Applied == r.Want }
}

// A preset goes by the clock, and passes without evidence; the release says so.
func TestStepsByTime(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		preset, err := serin.FindPreset("CodeDeployDefault.LambdaLinear10PercentEvery2Minutes")
		if err != nil {
			t.Fatal(err)
		}
		r := w.until(w.start(2, preset.Apply).ID, ended)
		if r.Ending != serin.EndingPromoted || !r.Blind || r.Verdict != serin.VerdictNotEnough || len(r.Steps) != 9 {
			t.Errorf("%s, blind %v, %s, %d steps", r.Ending, r.Blind, r.Verdict, len(r.Steps))
		}
		if took := r.EndedAt.Sub(r.StartedAt); took < 18*time.Minute || took > 18*time.Minute+10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestStepsByTimeRollBackWhatIsWorse(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		preset, err := serin.FindPreset("Canary10Percent5Minutes")
		if err != nil {
			t.Fatal(err)
		}
		w.with(100, map[serin.VersionNumber]float64{1: 0, 2: 0.5}, func() {
			r := w.until(w.start(2, preset.Apply).ID, ended)
			if r.Ending != serin.EndingRolledBack || r.EndedAt.Sub(r.StartedAt) > 30*time.Second {
				t.Errorf("%s after %s", r.Ending, r.EndedAt.Sub(r.StartedAt))
			}
		})
	})
}

// A hold stops the clock of a step.
func TestHoldStopsTheClock(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		id := w.start(2, func(p *serin.Policy) {
			p.Steps, p.Pace, p.Bake = []float64{10, 100}, serin.PaceTime, serin.Duration(5*time.Minute)
		}).ID
		w.until(id, atStep(0))
		time.Sleep(4 * time.Minute)
		if _, err := instruct(w, id, serin.Instruction{Command: serin.CommandHold}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		r, err := instruct(w, id, serin.Instruction{Command: serin.CommandResume})
		if err != nil {
			t.Fatal(err)
		}
		resumed := r.WaitingSince
		r = w.until(id, ended)
		if waited := r.EndedAt.Sub(resumed); waited < 5*time.Minute {
			t.Errorf("promoted %s after it was resumed", waited)
		}
	})
}

// Nobody approves twice: an approval names its step, and a step is left once.
func TestApprovals(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		id := w.start(2, func(p *serin.Policy) { p.Steps, p.Pace = []float64{10, 50, 100}, serin.PaceHand }).ID
		w.until(id, atStep(0))
		time.Sleep(3 * time.Hour) // a release that goes by hand waits
		_, err := instruct(w, id, serin.Instruction{Command: serin.CommandApprove})
		kind(t, err, serin.KindInvalid)
		if _, err = instruct(w, id, serin.Instruction{Command: serin.CommandApprove, Step: new(0), Reason: "looks fine"}); err != nil {
			t.Fatal(err)
		}
		w.until(id, atStep(1))
		_, err = instruct(w, id, serin.Instruction{Command: serin.CommandApprove, Step: new(0)})
		kind(t, err, serin.KindConflict)
		if err == nil || !strings.Contains(err.Error(), "Step 1 of release "+id+" ended at") || !strings.Contains(err.Error(), "approved by leo: looks fine") {
			t.Errorf("the second approval: %v", err)
		}
		_, err = instruct(w, id, serin.Instruction{Command: serin.CommandApprove, Step: new(2)})
		kind(t, err, serin.KindConflict)
		if _, err = instruct(w, id, serin.Instruction{Command: serin.CommandApprove, Step: new(1)}); err != nil {
			t.Fatal(err)
		}
		r := w.until(id, ended)
		if r.Ending != serin.EndingPromoted || r.EndedBy != "leo" || !r.Blind || w.aliases.routing() != (serin.Routing{Version: 2}) {
			t.Errorf("%+v", r)
		}
	})
}

func TestSkip(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		id := w.start(2, nil).ID
		w.until(id, atStep(0))
		_, err := instruct(w, id, serin.Instruction{Command: serin.CommandApprove, Step: new(0)})
		kind(t, err, serin.KindConflict) // it does not wait for a person
		for step := range 3 {
			if _, err := instruct(w, id, serin.Instruction{Command: serin.CommandHold}); err != nil {
				t.Fatal(err)
			}
			if _, err := instruct(w, id, serin.Instruction{Command: serin.CommandSkip, Step: &step}); err != nil {
				t.Fatal(err)
			}
			if step < 2 {
				w.until(id, atStep(step+1))
			}
		}
		if r := w.until(id, ended); r.Ending != serin.EndingPromoted || !r.Blind {
			t.Errorf("%s, blind %v", r.Ending, r.Blind)
		}
	})
}

func watched(holdback float64) func(*serin.Policy) {
	return func(p *serin.Policy) {
		p.Steps, p.Watch, p.Holdback = []float64{100}, serin.Duration(10*time.Minute), holdback
	}
}

func watching(r *serin.Release) bool { return r.Phase == serin.PhaseWatching }

// During the watch the alias names the baseline, and afterwards the canary alone.
func TestWatch(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		id := w.start(2, watched(0)).ID
		r := w.until(id, watching)
		if w.aliases.routing() != (serin.Routing{Version: 1, Additional: 2, Weight: 1}) || r.Ending != serin.EndingPromoted {
			t.Errorf("%+v, %s", w.aliases.routing(), r.Ending)
		}
		_, err := instruct(w, id, serin.Instruction{Command: serin.CommandHold})
		kind(t, err, serin.KindConflict)
		r = w.until(id, ended)
		if d := r.EndedAt.Sub(r.StartedAt); d < 10*time.Minute || d > 11*time.Minute || w.aliases.routing() != (serin.Routing{Version: 2}) {
			t.Errorf("after %s: %+v", d, w.aliases.routing())
		}
	})
}

// What turns out worse only with all the traffic is put back, by the little that the baseline keeps.
func TestHoldbackFindsWhatIsWorse(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.with(200, map[serin.VersionNumber]float64{1: 0.001, 2: 0.1}, func() {
			id := w.start(2, watched(5)).ID
			w.until(id, watching)
			w.kill() // a watch goes on after a restart
			w.run()
			r := w.until(id, ended)
			if r.Ending != serin.EndingRolledBack || r.Verdict != serin.VerdictWorse || w.aliases.routing() != (serin.Routing{Version: 1}) {
				t.Errorf("%s, %s: %+v", r.Ending, r.Verdict, w.aliases.routing())
			}
		})
	})
}

// A watch ends early for a person, and makes room for the next release.
func TestWatchEndsEarly(t *testing.T) {
	for name, end := range map[string]struct {
		do      func(*world, string)
		ending  serin.Ending
		routing serin.Routing
	}{
		"skip": {func(w *world, id string) {
			if _, err := instruct(w, id, serin.Instruction{Command: serin.CommandSkip}); err != nil {
				w.t.Fatal(err)
			}
		}, serin.EndingPromoted, serin.Routing{Version: 2}},
		"rollback": {func(w *world, _ string) {
			if _, err := w.Rollback(w.t.Context(), "shop", "live", serin.Latest, "smells"); err != nil {
				w.t.Fatal(err)
			}
		}, serin.EndingAborted, serin.Routing{Version: 1}},
		"another release": {
			func(w *world, _ string) { w.start(3, func(p *serin.Policy) { p.Steps = []float64{100} }) },
			serin.EndingPromoted,
			serin.Routing{Version: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.live(1)
				id := w.start(2, watched(0)).ID
				w.until(id, watching)
				end.do(w, id)
				if r := w.until(id, ended); r.Ending != end.ending {
					t.Errorf("%s: %s", r.Ending, r.Reason)
				}
				time.Sleep(time.Second)
				if w.aliases.routing() != end.routing {
					t.Errorf("alias %+v", w.aliases.routing())
				}
			})
		})
	}
}

// A fix that cannot wait gets everything, and the history says why.
func TestForce(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		r := w.until(w.start(2, func(p *serin.Policy) { p.Force = "checkout is down" }).ID, ended)
		if r.Ending != serin.EndingPromoted || !r.Blind || r.Reason != "forced by ana: checkout is down" || r.EndedAt.Sub(r.StartedAt) > time.Second {
			t.Errorf("%+v", r)
		}
		if last := w.aliases.moves[len(w.aliases.moves)-1]; last.Reason != r.Reason {
			t.Errorf("last move %+v", last)
		}
	})
}

// A release that is left ends with its alias as it is, split or not, and the next one is refused until somebody clears it.
func TestLeave(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		id := w.start(2, func(p *serin.Policy) { p.Steps = []float64{10, 100} }).ID
		w.until(id, atStep(0))
		if _, err := instruct(w, id, serin.Instruction{Command: serin.CommandLeave}); err != nil {
			t.Fatal(err)
		}
		r := w.until(id, ended)
		if r.Ending != serin.EndingLeft || r.EndedBy != "leo" || w.aliases.routing() != (serin.Routing{Version: 1, Additional: 2, Weight: 0.1}) {
			t.Errorf("%s by %s: %s; alias %+v", r.Ending, r.EndedBy, r.Reason, w.aliases.routing())
		}
		if last := r.Log[len(r.Log)-1]; last.Type != serin.ReleaseLeft || last.Canary != 10 {
			t.Errorf("log %+v", r.Log)
		}
		if _, err := w.Start(t.Context(), request(3, serin.DefaultPolicy())); serin.KindOf(err) != serin.KindConflict {
			t.Errorf("the next release: %v", err)
		}
	})
}

// A release that was told its baseline starts from no other one.
func TestAnotherBaseline(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		req := request(3, serin.DefaultPolicy())
		req.ID, req.Baseline = "mine", 1
		if _, err := w.Start(t.Context(), req); serin.KindOf(err) != serin.KindNotFound {
			t.Errorf("no alias yet: %v", err)
		}
		w.live(2)
		if _, err := w.Start(t.Context(), req); serin.KindOf(err) != serin.KindConflict || !strings.Contains(err.Error(), "not to version 1") {
			t.Errorf("%v", err)
		}
		w.live(1)
		if r, err := w.Start(t.Context(), req); err != nil || r.ID != "mine" || r.Baseline != 1 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
