package release_test

import (
	"strings"
	"testing"
	"time"

	"serin"
	"serin/internal/release"
)

// vetoed is a policy with an alarm, by the clock so that no traffic is needed.
func vetoed(p *serin.Policy) {
	p.Steps, p.Pace, p.Bake = []float64{10, 100}, serin.PaceTime, serin.Duration(5*time.Minute)
	p.Alarms = []string{"errors"}
}

func isStill(phase serin.Phase) func(*serin.Release) bool {
	return func(r *serin.Release) bool { return r.Phase == phase && r.Applied == r.Want }
}

// An alarm that is on, or not there, when a release begins keeps it from beginning.
func TestAlarmAtTheStart(t *testing.T) {
	for state, want := range map[serin.AlarmValue]string{serin.AlarmOn: `alarm "errors" is in ALARM: too many`, serin.AlarmGone: `There is no alarm "errors"`} {
		inBubble(t, func(w *world) {
			t := w.t // of the bubble
			w.live(1)
			w.alarm(state, "too many")
			p := serin.DefaultPolicy()
			vetoed(&p)
			_, err := w.Start(t.Context(), request(2, p))
			e, ok := err.(*serin.Error) //nolint:errorlint // it is returned as it is
			if !ok || e.Reason != release.ReasonPreflight || !strings.Contains(e.Message, want) {
				t.Errorf("%v", err)
			}
			if got := w.aliases.routing(); got.Weighted() || got.Version != 1 {
				t.Errorf("traffic moved: %v", got)
			}
			p.Force = "production is red"
			if _, err := w.Start(t.Context(), request(2, p)); err != nil {
				t.Errorf("forced: %v", err)
			}
		})
	}
}

// An alarm that goes on while the canary has traffic rolls it back, at a step, held, and watched.
func TestAlarmDuringARelease(t *testing.T) {
	for _, phase := range []serin.Phase{serin.PhaseRunning, serin.PhaseHeld, serin.PhaseWatching} {
		inBubble(t, func(w *world) {
			t := w.t // of the bubble
			w.live(1)
			w.alarm(serin.AlarmUnknown, "")
			id := w.start(2, func(p *serin.Policy) {
				vetoed(p)
				p.Watch = serin.Duration(time.Hour)
			}).ID
			r := w.until(id, atStep(0))
			states := r.SignalStates()
			if last := states[len(states)-1]; last.Signal != "alarm errors" || last.Live || last.Why != "it has no data" {
				t.Errorf("an alarm without data: %+v", last)
			}
			if phase == serin.PhaseHeld {
				if _, err := instruct(w, id, serin.Instruction{Command: serin.CommandHold}); err != nil {
					t.Fatal(err)
				}
			}
			w.until(id, isStill(phase))
			w.alarm(serin.AlarmOn, "too many")
			r = w.until(id, ended)
			if r.Ending != serin.EndingRolledBack || r.Reason != `alarm "errors" is in ALARM: too many` {
				t.Errorf("%s: %s, %s", phase, r.Ending, r.Reason)
			}
			if got := w.aliases.routing(); got.Weighted() || got.Version != 1 {
				t.Errorf("%s: %v", phase, got)
			}
		})
	}
}

// A release whose alarm is deleted waits for a person; with the alarm back it goes on.
func TestAlarmThatIsDeleted(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.alarm(serin.AlarmOK, "")
		id := w.start(2, vetoed).ID
		w.until(id, atStep(0))
		w.alarm(serin.AlarmGone, "")
		r := w.until(id, isStill(serin.PhaseHeld))
		if r.Ending != serin.EndingHeld || !strings.Contains(r.Reason, `alarm "errors" was deleted`) {
			t.Errorf("%s: %s", r.Ending, r.Reason)
		}
		w.alarm(serin.AlarmOK, "")
		if _, err := instruct(w, id, serin.Instruction{Command: serin.CommandResume}); err != nil {
			t.Fatal(err)
		}
		if r = w.until(id, ended); r.Ending != serin.EndingPromoted {
			t.Errorf("%s: %s", r.Ending, r.Reason)
		}
	})
}

func TestPolicyAlarms(t *testing.T) {
	for _, alarms := range [][]string{{""}, {"a", "a"}, {strings.Repeat("a", 401)}, strings.Split("a b c d e f g h i j k", " ")} {
		p := serin.DefaultPolicy()
		p.Alarms = alarms
		if err := p.Check(); serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%q: %v", alarms, err)
		}
	}
}
