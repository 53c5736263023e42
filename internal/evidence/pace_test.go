package evidence

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// release is what a whole release did: weights 1, 5, 25, 50 and 100 %, each step left on [NoWorse].
type release struct {
	verdict                  Verdict
	seconds                  float64
	canary, failed, requests int
}

// pace runs a release at so many requests per second that take so long, with the exposure window or without.
func pace(t *testing.T, random *rand.Rand, c Config, p0, p1, perSecond, duration, slower float64, window bool) (r release) {
	t.Helper()
	e := newEvidence(t, c)
	type answer struct {
		at             float64
		weight         float64
		canary, failed bool
	}
	var exposed Window
	var flying []answer // in the order in which they end
	now := 0.0
	for _, weight := range []float64{0.01, 0.05, 0.25, 0.5} {
		criteria := Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: ToleratedHarm(weight)}
		r.verdict = NotEnough
		for {
			now += -math.Log(1-random.Float64()) / perSecond
			for len(flying) > 0 && flying[0].at <= now {
				a := flying[0]
				flying = flying[1:]
				s := Slice{Weight: a.weight}
				side := &s.Baseline
				if a.canary {
					side = &s.Canary
					exposed.End(a.failed)
				}
				side.Requests++
				if a.failed {
					side.Fail(Errors)
				}
				if a.failed && a.canary {
					r.failed++
				}
				if err := e.Observe(&s); err != nil {
					t.Fatal(err)
				}
				if r.verdict = e.Judge(criteria); r.verdict == Worse {
					for _, late := range flying { // they fail, too, before the alias has gone back
						if late.canary && late.failed {
							r.failed++
						}
					}
					r.seconds = now
					return r
				}
				exposed.Judged()
			}
			if r.verdict == NoWorse || r.requests > 2_000_000 {
				break
			}
			inForce := weight
			if window && !exposed.Open() {
				inForce = 0
			}
			a := answer{at: now + duration, weight: inForce, canary: random.Float64() < inForce}
			rate := p0
			if a.canary {
				rate = p1
				a.at += slower
				exposed.Start()
				r.canary++
			}
			a.failed = random.Float64() < rate
			i, _ := slices.BinarySearchFunc(flying, a.at, func(a answer, at float64) int { return cmp.Compare(a.at, at) })
			flying = slices.Insert(flying, i, a)
			r.requests++
		}
	}
	r.seconds = now
	return r
}

// TestSimulationPace runs whole releases at 100 requests per second of 100 ms, and at 1000 per second of a version
// whose requests hang for 30 seconds and then fail.
func TestSimulationPace(t *testing.T) {
	t.Parallel()
	t.Logf("whole releases 1 -> 5 -> 25 -> 50 -> 100 %% by evidence (%d per row): median seconds, canary requests, failed canary requests", *runs)
	for _, c := range []struct {
		name                string
		history, p0, p1     float64
		perSecond, duration float64
		window              bool
		promoted            [2]float64 // least and greatest share
		seconds, failed     float64    // most, median
	}{
		{"good, 0.1 %", 0.001, 0.001, 0.001, 100, 0.1, true, [2]float64{0.97, 1}, 35, 3},
		{"good, 0.1 %, no history", 0, 0.001, 0.001, 100, 0.1, true, [2]float64{0.97, 1}, 35, 3},
		{"good, 1 %", 0.01, 0.01, 0.01, 100, 0.1, true, [2]float64{0.9, 1}, 60, 20},
		{"0.1 % -> 1 %", 0.001, 0.001, 0.01, 100, 0.1, true, [2]float64{0, 0.2}, 60, 15},
		{"0.1 % -> 5 %", 0.001, 0.001, 0.05, 100, 0.1, true, [2]float64{0, 0.02}, 35, 8},
		{"0.1 % -> 50 %", 0.001, 0.001, 0.5, 100, 0.1, true, [2]float64{0, 0}, 35, 5},
		{"0.1 % -> 50 %, 1000/s", 0.001, 0.001, 0.5, 1000, 0.1, true, [2]float64{0, 0}, 35, 5},
		{"all hang for 30 s, 1000/s", 0.001, 0.001, 1, 1000, 30, true, [2]float64{0, 0}, 60, 5},
		{"the same without a window", 0.001, 0.001, 1, 1000, 30, false, [2]float64{0, 0}, 60, 400},
	} {
		var promoted, rolledBack frequency
		var seconds, canary, failed []float64
		for run := range min(*runs, 1000) {
			r := pace(t, rand.New(rand.NewPCG(uint64(run), 71)), Config{History: c.history}, c.p0, c.p1, c.perSecond, c.duration, 0, c.window)
			promoted.add(r.verdict == NoWorse)
			rolledBack.add(r.verdict == Worse)
			seconds, canary, failed = append(seconds, r.seconds), append(canary, float64(r.canary)), append(failed, float64(r.failed))
		}
		t.Logf("%-28s promoted %7v rolled back %7v %6.1f s %6.0f canary, %4.0f failed (mean %.1f)",
			c.name, promoted, rolledBack, median(seconds), median(canary), median(failed), mean(failed))
		if share := promoted.share(); share < c.promoted[0] || share > c.promoted[1]+1/math.Sqrt(float64(*runs)) {
			t.Errorf("%s: promoted %v, want %v", c.name, promoted, c.promoted)
		}
		if median(seconds) > c.seconds || median(failed) > c.failed {
			t.Errorf("%s: %v seconds, %v failed, want at most %v and %v", c.name, median(seconds), median(failed), c.seconds, c.failed)
		}
		if c.p0 == c.p1 {
			mustBeAtMost(t, c.name+" rolled back", rolledBack, DefaultAlpha)
		}
	}
}

// TestSimulationSlowCanary lets a canary that fails as often as its baseline answer a second later, so that what
// has finished is not what was routed: at the start, and after each step, its requests are missing.
func TestSimulationSlowCanary(t *testing.T) {
	t.Parallel()
	for _, window := range []bool{true, false} {
		for _, perSecond := range []float64{10, 100, 1000} {
			var rolledBack, promoted frequency
			for run := range min(*runs, 1000) {
				r := pace(t, rand.New(rand.NewPCG(uint64(run), 91)), Config{History: 0.01, Shares: OnlyErrors}, 0.01, 0.01, perSecond, 0.1, 1, window)
				rolledBack.add(r.verdict == Worse)
				promoted.add(r.verdict == NoWorse)
			}
			t.Logf("promoted %v", promoted)
			mustBeAtMost(t, fmt.Sprintf("canary 1 s slower, %g/s, window %v", perSecond, window), rolledBack, DefaultAlpha)
		}
	}
}

// TestWindow fills, shuts, widens and empties the exposure window.
func TestWindow(t *testing.T) {
	var w Window
	for range 4 {
		if !w.Open() {
			t.Fatalf("shut at %+v", w)
		}
		w.Start()
	}
	if w.Open() {
		t.Error("open with four requests under way")
	}
	for range 4 {
		w.End(false)
	}
	if w.Size() != 8 || !w.Open() {
		t.Errorf("%+v after a clean round", w)
	}
	for range 7 {
		w.Start()
		w.End(true)
	}
	if !w.Open() {
		t.Errorf("shut at seven unjudged failures: %+v", w)
	}
	w.Start()
	w.End(true)
	if w.Open() {
		t.Errorf("open with eight unjudged failures: %+v", w)
	}
	w.Judged()
	if !w.Open() || w.Size() != 8 {
		t.Errorf("%+v after the verdict", w)
	}
	for range 2 * lastWindow {
		w.Start()
		w.End(false)
	}
	for range 2 * lastWindow {
		w.Start()
	}
	if !w.Open() {
		t.Error("shut after thousands of good requests")
	}
}

func TestKeys(t *testing.T) {
	k := NewKeys(2)
	for i, c := range []struct {
		key                        uint64
		failed, first, firstFailed bool
	}{
		{7, false, true, false},
		{7, true, false, true},
		{7, true, false, false},
		{8, true, true, true},
		{9, true, false, false},
		{7, false, false, false},
	} {
		if first, firstFailed := k.Observe(c.key, c.failed); first != c.first || firstFailed != c.firstFailed {
			t.Errorf("request %d: %v, %v", i, first, firstFailed)
		}
	}
}

func TestGuilty(t *testing.T) {
	for _, c := range []struct {
		values []float64
		joint  bool
		guilty []int
	}{
		{nil, false, nil},
		{[]float64{1, 1, 1}, false, nil},
		{[]float64{1, 300, 1}, true, []int{1}},
		{[]float64{150, 1, 150}, true, []int{0, 2}},
		{[]float64{120, 110, 130}, true, []int{0, 1, 2}},
		{[]float64{math.MaxFloat64, math.MaxFloat64}, true, []int{0, 1}},
	} {
		got := Guilty(c.values, 0.01)
		if len(got) != len(c.guilty) || Joint(c.values, 0.01) != c.joint {
			t.Errorf("%v: joint %v, guilty %v", c.values, Joint(c.values, 0.01), got)
		}
		for i := range got {
			if got[i] != c.guilty[i] {
				t.Errorf("%v: guilty %v, want %v", c.values, got, c.guilty)
			}
		}
	}
}

func TestSmallestVisible(t *testing.T) {
	for _, c := range []struct{ p0, w, n float64 }{{0.001, 0.1, 700}, {0.01, 0.5, 500}, {0, 0.1, 50}, {0.1, 0.1, 10}} {
		p1 := SmallestVisible(c.p0, c.w, c.n, DefaultAlpha)
		if got := Efficiency * Bound(c.p0, p1, c.w, DefaultAlpha, 0.01); math.Abs(got-c.n) > 1e-6*c.n {
			t.Errorf("%+v: %v takes %v requests", c, p1, got)
		}
	}
	if p1 := SmallestVisible(0.01, 0.1, 1, DefaultAlpha); p1 != 1 {
		t.Errorf("one request shows a canary with %v errors", p1)
	}
	if eta := ETA(500, 0.1, 50); eta.Seconds() != 100 {
		t.Errorf("ETA = %v", eta)
	}
	for _, c := range [][3]float64{{1, 0.1, 0}, {1, 0, 1}, {math.Inf(1), 0.1, 1}, {math.NaN(), 0.1, 1}, {1, 0.1, 1e-300}} {
		if eta := ETA(c[0], c[1], c[2]); eta != math.MaxInt64 {
			t.Errorf("ETA%v = %v", c, eta)
		}
	}
}
