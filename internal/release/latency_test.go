package release_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/release"
)

// takes returns durations around a median: the p99 is 3.2 times as much.
func takes(random *rand.Rand, median time.Duration) time.Duration {
	return time.Duration(float64(median) * math.Exp(random.NormFloat64()/2))
}

// medians is the timing of versions that are never cold.
func medians(of map[serin.VersionNumber]time.Duration) func(*rand.Rand, serin.VersionNumber) (time.Duration, time.Duration) {
	return func(random *rand.Rand, v serin.VersionNumber) (time.Duration, time.Duration) {
		return takes(random, of[v]), 0
	}
}

func stateOf(t *testing.T, r *serin.Release, signal string) serin.SignalState {
	t.Helper()
	for _, s := range r.SignalStates() {
		if s.Signal == signal {
			return s
		}
	}
	t.Fatalf("no state of %s", signal)
	return serin.SignalState{}
}

func TestSlowCanaryIsRolledBack(t *testing.T) {
	for name, tt := range map[string]struct {
		before  time.Duration // traffic of the baseline before the release
		restart bool
	}{"known baseline": {before: 5 * time.Second}, "unknown baseline": {}, "killed meanwhile": {restart: true}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.live(1)
				w.timing = medians(map[serin.VersionNumber]time.Duration{1: 40 * time.Millisecond, 2: 70 * time.Millisecond})
				w.with(100, nil, func() {
					time.Sleep(tt.before)
					id := w.start(2, nil).ID
					for tt.restart {
						time.Sleep(1300 * time.Millisecond)
						w.kill()
						w.run()
						r, err := w.Get(t.Context(), id)
						tt.restart = err == nil && len(r.Thresholds.Latency) == 0
					}
					r := w.until(id, ended)
					_, canary := r.Totals()
					if r.Ending != serin.EndingRolledBack || w.aliases.routing() != (serin.Routing{Version: 1}) || canary.Requests > 400 {
						t.Errorf("%s after %d requests: %s", r.Ending, canary.Requests, r.Reason)
					}
					if !strings.HasPrefix(r.Reason, "version 2 is slower than version 1: latency: p") || !strings.Contains(r.Reason, " exceeded by ") {
						t.Errorf("reason %q", r.Reason)
					}
					if s := stateOf(t, r, "latency"); !s.Live {
						t.Errorf("latency decided and is %+v", s)
					}
					if d := differences(t, exported(w, id)); len(d) > 0 {
						t.Error(d)
					}
				})
			})
		})
	}
}

func TestCanaryThatIsNotTooSlowIsPromoted(t *testing.T) {
	const base = 40 * time.Millisecond
	for name, tt := range map[string]struct {
		timing func(*rand.Rand, serin.VersionNumber) (time.Duration, time.Duration)
		change func(*serin.Policy)
		live   bool
	}{
		"as fast":       {medians(map[serin.VersionNumber]time.Duration{1: base, 2: base}), nil, true},
		"faster":        {medians(map[serin.VersionNumber]time.Duration{1: base, 2: base / 2}), nil, true},
		"within bounds": {medians(map[serin.VersionNumber]time.Duration{1: base, 2: base * 6 / 5}), nil, true},
		"2 ms of 1 ms":  {medians(map[serin.VersionNumber]time.Duration{1: time.Millisecond, 2: 2 * time.Millisecond}), nil, true},
		"not judged": {
			medians(map[serin.VersionNumber]time.Duration{1: base, 2: 2 * base}),
			func(p *serin.Policy) { p.Signals = []serin.Judged{serin.JudgeErrors} }, false,
		},
		"tolerated": {
			medians(map[serin.VersionNumber]time.Duration{1: base, 2: 2 * base}),
			func(p *serin.Policy) { p.MaxSlowdown = 2.2 }, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.live(1)
				w.timing = tt.timing
				w.with(200, map[serin.VersionNumber]float64{1: 0.001, 2: 0.001}, func() {
					time.Sleep(5 * time.Second)
					r := w.until(w.start(2, tt.change).ID, ended)
					if r.Ending != serin.EndingPromoted {
						t.Errorf("%s: %s", r.Ending, r.Reason)
					}
					if s := stateOf(t, r, "latency"); s.Live != tt.live || s.Live == (s.Why != "") {
						t.Errorf("latency is %+v", s)
					}
					if d := differences(t, exported(w, r.ID)); len(d) > 0 {
						t.Error(d)
					}
				})
			})
		})
	}
}

// A canary starts cold when its baseline has long been warm; that is no regression, and neither are the slow requests
// with which code that was just loaded begins.
func TestColdStartsOfTheCanaryAreNoRegression(t *testing.T) {
	for name, signals := range map[string][]serin.Judged{
		"by default": nil, "cold starts judged": {serin.JudgeErrors, serin.JudgeLatency, serin.JudgeColdStarts},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.live(1)
				seen := map[serin.VersionNumber]int{}
				w.timing = func(random *rand.Rand, v serin.VersionNumber) (time.Duration, time.Duration) {
					seen[v]++
					duration, initialisation := takes(random, 20*time.Millisecond), time.Duration(0)
					if v == 2 && seen[v]%10 == 1 || seen[v] <= 5 { // every tenth of the canary is cold
						duration, initialisation = 2*time.Second, takes(random, 800*time.Millisecond)
					} else if v == 2 && seen[v] <= 10 {
						duration *= 5
					}
					return duration, initialisation
				}
				w.with(200, map[serin.VersionNumber]float64{1: 0.001, 2: 0.001}, func() {
					time.Sleep(5 * time.Second)
					r := w.until(w.start(2, func(p *serin.Policy) { p.Signals = signals }).ID, ended)
					if r.Ending != serin.EndingPromoted || r.Signals.Canary.ColdStarts < 20 || !stateOf(t, r, "latency").Live {
						t.Errorf("%s with %d cold starts: %s", r.Ending, r.Signals.Canary.ColdStarts, r.Reason)
					}
				})
			})
		})
	}
}

// Initialisations are compared with initialisations.
func TestSlowColdStartsAreRolledBackIfJudged(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.timing = func(random *rand.Rand, v serin.VersionNumber) (time.Duration, time.Duration) {
			if random.IntN(4) > 0 {
				return takes(random, 20*time.Millisecond), 0
			}
			return takes(random, 20*time.Millisecond), takes(random, time.Duration(v)*300*time.Millisecond)
		}
		w.with(200, nil, func() {
			time.Sleep(10 * time.Second)
			r := w.until(w.start(2, func(p *serin.Policy) {
				p.Signals, p.Steps = []serin.Judged{serin.JudgeColdStarts}, []float64{50, 100}
			}).ID, ended)
			if r.Ending != serin.EndingRolledBack || !strings.Contains(r.Reason, "starts slower than version 1: cold start: p") {
				t.Errorf("%s: %s", r.Ending, r.Reason)
			}
			cert := exported(w, r.ID)
			if d := differences(t, cert); len(d) > 0 {
				t.Error(d)
			}
			p := serin.DefaultPolicy()
			if got, _, err := cert.WhatIf(p); err != nil || got.Ending == serin.EndingRolledBack {
				t.Errorf("by errors and latency: %+v, %v", got, err)
			}
		})
	})
}

// A certificate from when only errors were counted, in blocks, is still computed again.
func TestVerifyOldCertificates(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		cert := &release.Certificate{
			Release: serin.Release{ID: "r", Policy: serin.DefaultPolicy(), Verdict: serin.VerdictNotEnough},
			Saved:   9,
		}
		cert.Release.Policy.Signals, cert.Release.Policy.MaxSlowdown = nil, 0
		const page = `[{"saved":3,"blocks":[{"t":1,"w":0.05,"nc":1,"xc":0,"nb":19,"xb":0},{"t":2,"w":0.05,"nc":1,"xc":1,"nb":19,"xb":2}]}]`
		if err := json.Unmarshal([]byte(page), &cert.Pages); err != nil {
			t.Fatal(err)
		}
		cert.Release.Evidence = json.RawMessage(`{"config":{"alpha":0.01,"oddsRatio":1,"shares":[1,0,0,0,0,0,0,0,0]},"signals":[{"signal":"errors","chunks":[[0.05,2,38,1,2]]}]}`)
		v, err := cert.Verify()
		if err != nil || len(v.Differences) > 0 || v.Blocks != 2 {
			t.Errorf("%+v, %v", v, err)
		}
		cert.Pages[0].Blocks[1].CanaryErrors = 0
		if v, err = cert.Verify(); err != nil || len(v.Differences) == 0 {
			t.Errorf("changed: %+v, %v", v, err)
		}
	})
}

func TestVerifyRefusesImpossibleSlices(t *testing.T) {
	for _, signals := range []string{`{"latency":[1,1]}`, `{"errors":[0,0]}`, `{"timeouts":[2,0]}`, `{"latency":[1,1,2,0,0,0,0,0,0,0,0,0]}`} {
		cert := &release.Certificate{Release: serin.Release{ID: "r", Policy: serin.DefaultPolicy()}}
		page := `[{"saved":1,"blocks":[{"w":0.05,"nc":1,"xc":1,"nb":1,"xb":0,"signals":` + signals + `}]}]`
		if err := json.Unmarshal([]byte(page), &cert.Pages); err != nil {
			t.Fatal(err)
		}
		if v, err := cert.Verify(); err == nil {
			t.Errorf("%s: %s", signals, cmp.Diff(nil, v))
		}
	}
}
