package overview

import (
	"serin"
	"serin/internal/metrics"
)

func describeSignals(r *serin.Release) SignalsDocument {
	s := r.Signals
	d := SignalsDocument{
		Baseline: describeObserved(s.Baseline), Canary: describeObserved(s.Canary), States: r.SignalStates(),
		New: s.New(), Errors: s.Failures,
	}
	if d.Errors == nil {
		d.New, d.Errors = []serin.Failure{}, []serin.Failure{}
	}
	return d
}

func describeObserved(o serin.Observed) Observed {
	d := Observed{
		Requests: o.Requests, ByKind: map[string]int{}, Throttles: o.Throttles, ColdStarts: o.ColdStarts, Synthetic: o.Synthetic,
		Duration: milliseconds(metrics.Summarise(o.Warm)), Init: milliseconds(metrics.Summarise(o.Init)),
	}
	for kind, n := range o.Failures {
		d.ByKind[kind] = n
		d.Errors += n
	}
	return d
}
