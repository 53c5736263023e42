package serin

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSignalsAdd(t *testing.T) {
	one := Signals{
		Baseline: Observed{Requests: 10, Warm: map[int]int{5: 10}},
		Canary:   Observed{Requests: 2, Failures: map[string]int{"timeout": 1}, ColdStarts: 1, Init: map[int]int{9: 1}},
		Failures: []Failure{{Text: "a", Canary: 1}, {Text: "both", Canary: 1, Baseline: 1}},
	}
	two := Signals{
		Baseline: Observed{Requests: 1, Throttles: 3, Warm: map[int]int{5: 1, 6: 2}},
		Canary:   Observed{Requests: 1, HTTP: 1, Failures: map[string]int{"timeout": 1}},
		Failures: []Failure{{Text: "b", Canary: 2}, {Text: "a", Canary: 3}},
	}
	before := fmt.Sprint(one, two)
	want := Signals{
		Baseline: Observed{Requests: 11, Throttles: 3, Warm: map[int]int{5: 11, 6: 2}},
		Canary:   Observed{Requests: 3, HTTP: 1, ColdStarts: 1, Failures: map[string]int{"timeout": 2}, Init: map[int]int{9: 1}},
		Failures: []Failure{{Text: "a", Canary: 4}, {Text: "both", Canary: 1, Baseline: 1}, {Text: "b", Canary: 2}},
	}
	got := one.Add(two)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Failure{{Text: "a", Canary: 4}, {Text: "b", Canary: 2}}, got.New()); d != "" {
		t.Errorf("new: %s", d)
	}
	if after := fmt.Sprint(one, two); after != before {
		t.Errorf("adding changed %s to %s", before, after)
	}
}

// However many kinds of errors there are, the memory is bounded and no error is lost.
func TestFailuresAreBounded(t *testing.T) {
	var s Signals
	for i := range 10 * MaxFailures {
		s = s.Add(Signals{Failures: []Failure{{Text: fmt.Sprint("error ", i), Canary: 1}}})
	}
	total := 0
	for _, f := range s.Failures {
		total += f.Canary
	}
	if len(s.Failures) != MaxFailures+1 || total != 10*MaxFailures || s.Failures[MaxFailures].Text != OtherFailures {
		t.Errorf("%d kinds, %d errors", len(s.Failures), total)
	}
}

func TestSignalStatesOfARelease(t *testing.T) {
	seen := Signals{Baseline: Observed{Requests: 9, Measured: 9}, Canary: Observed{Requests: 2, Measured: 1}}
	known := Thresholds{Latency: []float64{1, 2, 3, 4, 5}}
	for want, r := range map[string]Release{
		"": {Policy: DefaultPolicy(), Signals: seen, Thresholds: known},
		"the baseline has had too few requests to compare with": {Policy: DefaultPolicy(), Signals: Signals{
			Baseline: Observed{Requests: 9}, Canary: Observed{Requests: 2},
		}},
		"too few warm requests of the canary": {Policy: DefaultPolicy(), Thresholds: known, Signals: Signals{
			Baseline: Observed{Requests: 9}, Canary: Observed{Requests: 2},
		}},
		"no requests of the baseline and the canary": {Policy: DefaultPolicy()},
		"the policy does not judge it":               {Signals: seen, Thresholds: known},
	} {
		for _, s := range r.SignalStates() {
			if s.Signal == signalLatency && (s.Why != want || s.Live != (want == "")) {
				t.Errorf("%+v, want %q", s, want)
			}
		}
	}
}

func TestSignalStates(t *testing.T) {
	blind := func(s Signals) map[string]string {
		all := map[string]string{}
		for _, st := range s.States() {
			if !st.Live {
				all[st.Signal] = st.Why
			}
		}
		return all
	}
	if d := cmp.Diff(map[string]string{}, blind(Signals{
		Baseline: Observed{Requests: 9, HTTP: 9, Measured: 9}, Canary: Observed{Requests: 2, HTTP: 1, ColdStarts: 1, Measured: 1},
	})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{
		"5xx": "the answers have no statusCode", "init error": "the canary had no cold start",
		"latency": "too few warm requests of the canary",
	}, blind(Signals{
		Baseline: Observed{Requests: 9}, Canary: Observed{Requests: 1},
	})); d != "" {
		t.Error(d)
	}
	if got := blind(Signals{Baseline: Observed{Requests: 9}}); len(got) != 7 || got["latency"] != "no requests of the canary" {
		t.Errorf("%v", got)
	}
}
