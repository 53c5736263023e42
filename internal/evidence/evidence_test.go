package evidence

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
)

// TestOrderAndRouters shuffles the requests of every slice and counts some on a second router.
func TestOrderAndRouters(t *testing.T) {
	type request struct {
		canary bool
		fail   Signal
		level  int
	}
	random := rand.New(rand.NewPCG(8, 8))
	one, merged := newEvidence(t, Config{}), newEvidence(t, Config{})
	slice := func(requests []request) *Slice {
		s := &Slice{Weight: 0.2}
		for _, r := range requests {
			side := &s.Baseline
			if r.canary {
				side = &s.Canary
			}
			side.Requests++
			if r.fail < Latency {
				side.Fail(r.fail)
			}
			side.Measure(Latency, r.level)
		}
		return s
	}
	for range 200 {
		requests := make([]request, 20)
		for i := range requests {
			requests[i] = request{random.Float64() < 0.2, Signal(random.IntN(40)), random.IntN(Levels + 1)}
		}
		if err := one.Observe(slice(requests)); err != nil {
			t.Fatal(err)
		}
		random.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
		cut := random.IntN(len(requests))
		both := slice(requests[:cut])
		both.Merge(slice(requests[cut:]))
		if err := merged.Observe(both); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := marshal(t, one), marshal(t, merged); a != b {
		t.Errorf("different evidence:\n%s\n%s", a, b)
	}
}

// TestCutsBetweenFailuresDoNotMatter adds the same requests in other slices that end at the same failures.
func TestCutsBetweenFailuresDoNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 8))
	coarse, fine := newEvidence(t, Config{Coin: true}), newEvidence(t, Config{Coin: true})
	for range 300 {
		var sum Block
		for range random.IntN(30) {
			b := Block{BaselineRequests: random.IntN(9), CanaryRequests: random.IntN(3)}
			if err := fine.Add(0.2, b); err != nil {
				t.Fatal(err)
			}
			sum = sum.Add(b)
		}
		failure := Block{BaselineRequests: 1, BaselineErrors: 1}
		if random.IntN(5) == 0 {
			failure = Block{CanaryRequests: 1, CanaryErrors: 1}
		}
		if err := fine.Add(0.2, failure); err != nil {
			t.Fatal(err)
		}
		if err := coarse.Add(0.2, sum.Add(failure)); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := marshal(t, fine), marshal(t, coarse); a != b || fine.EValue() != coarse.EValue() {
		t.Errorf("different evidence:\n%s\n%s", a, b)
	}
}

// TestNothingToCompare adds requests that had no choice.
func TestNothingToCompare(t *testing.T) {
	e := newEvidence(t, Config{})
	if e.EValue() != 1 {
		t.Errorf("E without data = %v, want 1", e.EValue())
	}
	before := marshal(t, e)
	for _, weight := range []float64{0, 1} {
		if err := e.Add(weight, Block{20, 15, 180, 0}); err != nil {
			t.Fatal(err)
		}
		if after := marshal(t, e); after != before {
			t.Errorf("weight %v changed the evidence to %s", weight, after)
		}
	}
}

// TestGuard checks on streams with few canary errors that the guard only ever delays a rollback.
func TestGuard(t *testing.T) {
	const alpha = 0.2 // so low a hurdle that single errors jump over it
	delayed := 0
	for run := range 300 {
		traffic := newTraffic(run, 0.02, 0.0001, 0.1)
		e := newEvidence(t, Config{Alpha: alpha, Shares: OnlyErrors})
		total, free := Block{}, false
		for range 200 {
			b := traffic.block()
			total = total.Add(b)
			if err := e.Add(0.02, b); err != nil {
				t.Fatal(err)
			}
			crossed := e.EValue() >= 1/alpha
			free = free || crossed
			if e.worse {
				if total.CanaryErrors < 2 || !free {
					t.Fatalf("rolled back after %+v, E = %v", total, e.EValue())
				}
				break
			}
			if crossed {
				delayed++
			}
		}
	}
	if delayed == 0 {
		t.Error("the guard never acted: the test shows nothing")
	}
}

// TestWorseIsFinal lets the evidence cross and then be contradicted.
func TestWorseIsFinal(t *testing.T) {
	e := newEvidence(t, Config{})
	if err := e.Add(0.1, Block{10, 8, 90, 0}); err != nil {
		t.Fatal(err)
	}
	certificate := marshal(t, e)
	for range 300 {
		if err := e.Add(0.1, Block{10, 0, 90, 20}); err != nil {
			t.Fatal(err)
		}
	}
	if v := e.Judge(Criteria{PromoteAlpha: 0.05, Tolerated: 0.5}); v != Worse || marshal(t, e) != certificate {
		t.Errorf("verdict %v; the certificate became %s", v, marshal(t, e))
	}
}

// TestMismatch sends five times as many requests to the canary as the weight says, and all fail alike.
func TestMismatch(t *testing.T) {
	e := newEvidence(t, Config{Coin: true})
	random := rand.New(rand.NewPCG(2, 2))
	for range 80 {
		b := Block{5, 0, 6, 1}
		if random.IntN(2) == 0 {
			b = Block{6, 1, 5, 0}
		}
		if err := e.Add(0.1, b); err != nil {
			t.Fatal(err)
		}
		if e.worse {
			t.Fatalf("worse after %+v, mismatch %v", e.Total(), e.SampleRatioMismatch())
		}
	}
	if !e.SampleRatioMismatch() || e.series[Errors].coin.wealth < math.Log(100) {
		t.Fatalf("mismatch %v, ln E = %v: the test shows nothing", e.SampleRatioMismatch(), e.series[Errors].coin.wealth)
	}
	for range 40 {
		if err := e.Add(0.1, Block{10, 3, 10, 0}); err != nil {
			t.Fatal(err)
		}
	}
	if !e.worse {
		t.Errorf("a canary that is worse is not found without the coin: E = %v", e.EValue())
	}
}

func TestJudge(t *testing.T) {
	usual := Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: 0.05}
	for _, c := range []struct {
		name     string
		criteria Criteria
		block    Block
		want     Verdict
	}{
		{"no data", usual, Block{}, NotEnough},
		{"no canary", usual, Block{BaselineRequests: 20, BaselineErrors: 10}, NotEnough},
		{"too few", usual, Block{CanaryRequests: 30, BaselineRequests: 270}, NotEnough},
		{"one error", usual, Block{2, 1, 18, 0}, NotEnough},
		{"bad", usual, Block{6, 3, 54, 0}, Worse},
		{"good", usual, Block{100, 0, 900, 1}, NoWorse},
		{"worse by little", usual, Block{10_000, 150, 90_000, 900}, Worse},
		{"criteria forgotten", Criteria{}, Block{1000, 0, 9000, 90}, NotEnough},
		{"criteria out of range", Criteria{PromoteAlpha: 2, Tolerated: 2}, Block{1000, 0, 9000, 90}, NotEnough},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEvidence(t, Config{History: 0.01})
			if err := e.Add(0.1, c.block); err != nil {
				t.Fatal(err)
			}
			if got := e.Judge(c.criteria); got != c.want {
				t.Errorf("Judge() = %v, want %v (E = %v, U = %v)", got, c.want, e.EValue(), e.HarmExcluded(0.05))
			}
		})
	}
}

// TestSignalsAreNamed makes one signal bad at a time and asks the judgement which one it was.
func TestSignalsAreNamed(t *testing.T) {
	criteria := Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: 0.5, NoSlower: true}
	for signal := range signalCount {
		e := newEvidence(t, Config{})
		random := rand.New(rand.NewPCG(uint64(signal), 6))
		for range 2000 {
			var s Slice
			s.Weight = 0.2
			for range SliceRequests {
				side, level := &s.Baseline, 0
				if random.Float64() < s.Weight {
					side, level = &s.Canary, 5
				}
				side.Requests++
				switch {
				case signal.Measured():
					side.Measure(signal, level)
				case level > 0 && random.IntN(5) == 0:
					side.Fail(signal)
				}
			}
			if err := e.Observe(&s); err != nil {
				t.Fatal(err)
			}
		}
		j := e.Judgement(criteria)
		if j.Verdict != Worse || j.EValue < j.Threshold {
			t.Errorf("%s: %v, E = %v", signal, j.Verdict, j.EValue)
		}
		for _, s := range j.Signals {
			guilty := s.Signal == signal || s.Signal == Errors && signal < Latency
			if (s.EValue > 10) != guilty || s.Live != (s.Signal == signal || s.Signal < Latency) {
				t.Errorf("%s is bad: %+v", signal, s)
			}
		}
	}
}

// TestNoSlower asks for the canary's latency only while there is some to compare.
func TestNoSlower(t *testing.T) {
	observe := func(slower bool, n int) *Evidence {
		e := newEvidence(t, Config{Shares: OnlyErrors})
		random := rand.New(rand.NewPCG(1, 6))
		for range n {
			s := Slice{Weight: 0.5}
			for range SliceRequests {
				side, shift := &s.Baseline, 0.0
				if random.Float64() < s.Weight {
					side = &s.Canary
					if slower {
						shift = 1
					}
				}
				side.Requests++
				side.Measure(Latency, normalLevel(random.NormFloat64()+shift))
			}
			if err := e.Observe(&s); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	without := Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: 0.05}
	with := without
	with.NoSlower = true
	for _, c := range []struct {
		name                   string
		e                      *Evidence
		wantWithout, wantAsked Verdict
	}{
		{"little data", observe(false, 10), NoWorse, NotEnough},
		{"as fast", observe(false, 300), NoWorse, NoWorse},
		{"slower", observe(true, 300), NoWorse, NotEnough},
	} {
		if a, b := c.e.Judge(without), c.e.Judge(with); a != c.wantWithout || b != c.wantAsked {
			t.Errorf("%s: %v, and %v if it must be no slower; want %v and %v", c.name, a, b, c.wantWithout, c.wantAsked)
		}
	}
	blind := newEvidence(t, Config{})
	if err := blind.Add(0.5, Block{1000, 0, 1000, 0}); err != nil {
		t.Fatal(err)
	}
	if v := blind.Judge(with); v != NoWorse {
		t.Errorf("a blind signal blocks: %v", v)
	}
}

// normalLevel is the level of a standard normal measurement of the baseline.
func normalLevel(x float64) int {
	return (&Thresholds{0, 0.6745, 1.2816, 1.6449, 2.3263}).Level(x)
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []Config{
		{OddsRatio: 0.5},
		{OddsRatio: math.NaN()},
		{OddsRatio: 1e9},
		{History: 1},
		{History: -1},
		{History: math.Inf(1)},
		{Alpha: 1},
		{Alpha: -1},
		{Alpha: math.NaN()},
		{Margin: 1},
		{Margin: -0.1},
		{Margin: 0.1},
		{Margin: math.NaN()},
		{Shares: [SignalCount]float64{0.7, 0.7}},
		{Shares: [SignalCount]float64{-0.1}},
		{Shares: [SignalCount]float64{math.NaN()}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("New(%+v) accepted", c)
		}
	}
	if _, err := New(Config{History: math.NaN()}); err != nil {
		t.Errorf("an unknown history: %v", err)
	}
}

func TestToleratedHarm(t *testing.T) {
	for weight, want := range map[float64]float64{0.001: 0.2, 0.01: 0.2, 0.02: 0.05, 0.05: 0.05, 0.1: 0.02, 0.25: 0.02, 0.5: 0.01, 1: 0.01} {
		if got := ToleratedHarm(weight); got != want {
			t.Errorf("ToleratedHarm(%v) = %v, want %v", weight, got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	for v, want := range map[Verdict]string{NotEnough: "not enough evidence", Worse: "worse", NoWorse: "no worse"} {
		data, err := json.Marshal(v)
		if err != nil || string(data) != `"`+want+`"` || v.String() != want {
			t.Errorf("%d: %s, %v, %v", int(v), data, v, err)
		}
		var back Verdict
		if err := json.Unmarshal(data, &back); err != nil || back != v {
			t.Errorf("%s read as %v, %v", data, back, err)
		}
	}
	for s := range signalCount {
		var back Signal
		data, err := json.Marshal(s)
		if err != nil || json.Unmarshal(data, &back) != nil || back != s {
			t.Errorf("%v: %s, %v, read as %v", s, data, err, back)
		}
	}
	for _, unknown := range []any{Verdict(7), Signal(-1), signalCount} {
		if _, err := json.Marshal(unknown); err == nil {
			t.Errorf("%v marshalled", unknown)
		}
	}
	v, s := Worse, Latency
	if json.Unmarshal([]byte(`"better"`), &v) == nil || v != Worse || json.Unmarshal([]byte(`"mood"`), &s) == nil || s != Latency {
		t.Errorf("unknown texts read as %v, %v", v, s)
	}
	if Verdict(-1).String() != "Verdict(-1)" || Signal(99).String() != "Signal(99)" {
		t.Errorf("%v, %v", Verdict(-1), Signal(99))
	}
}
