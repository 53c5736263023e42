package evidence

import (
	"cmp"
	"math"
	"slices"
)

// Judgement is a verdict with everything that people want to know about it.
type Judgement struct {
	Verdict   Verdict `json:"verdict"`
	EValue    float64 `json:"eValue"`    // see [Evidence.EValue]
	Threshold float64 `json:"threshold"` // 1/alpha: where the verdict is [Worse]
	// HarmExcluded is the harm above which all is excluded; see [Safety.HarmExcluded].
	HarmExcluded float64 `json:"harmExcluded"`
	// SampleRatioMismatch says that something else than the router's coin chose versions.
	SampleRatioMismatch bool              `json:"sampleRatioMismatch,omitzero"`
	Signals             []SignalJudgement `json:"signals"`
	// Record is the certificate: Replay(Record) is the verdict.
	Record Record `json:"record"`
}

// SignalJudgement is what one signal says.
type SignalJudgement struct {
	Signal Signal  `json:"signal"`
	Share  float64 `json:"share"` // of alpha
	// Live says that the signal has shown something of both versions. One that is not live is blind: the
	// verdict says nothing about it.
	Live   bool    `json:"live"`
	EValue float64 `json:"eValue"`
	// Quantile says which threshold Counts and Difference are about, 0.99 for the baseline's p99: the one with
	// the strongest evidence. It is 0 for failures.
	Quantile float64 `json:"quantile,omitzero"`
	Counts   Block   `json:"counts"` // "errors" are the requests above the threshold
	// Difference is the share of bad requests of the canary minus the baseline's, with 95 % limits that are
	// for people to read and decide nothing.
	Difference *Interval `json:"difference,omitzero"`
}

// Judgement returns the verdict of [Evidence.Judge] with its reasons and its certificate.
func (e *Evidence) Judgement(c Criteria) Judgement {
	j := Judgement{
		Verdict: e.Judge(c), EValue: e.EValue(), Threshold: 1 / e.config.Alpha,
		HarmExcluded: e.HarmExcluded(c.PromoteAlpha), SampleRatioMismatch: e.SampleRatioMismatch(),
		Record: e.Record(c),
	}
	j.Signals = e.Signals()
	return j
}

// Signals returns what each signal that has a share says.
func (e *Evidence) Signals() []SignalJudgement {
	var all []SignalJudgement
	mismatch := e.SampleRatioMismatch()
	for i := range e.series {
		if share := e.config.Shares[i]; share > 0 {
			all = append(all, e.series[i].judgement(share, mismatch))
		}
	}
	return all
}

// Decisive returns the signal that contributes most to the evidence that the canary is worse.
func (e *Evidence) Decisive() SignalJudgement {
	return slices.MaxFunc(e.Signals(), func(a, b SignalJudgement) int {
		return cmp.Compare(a.Share*a.EValue, b.Share*b.EValue)
	})
}

func (s *series) judgement(share float64, mismatch bool) SignalJudgement {
	level := s.decisive()
	j := SignalJudgement{
		Signal: s.signal, Share: share, Live: s.live(),
		EValue: min(math.Exp(s.logE(mismatch)), math.MaxFloat64), Counts: s.total.block(level),
	}
	if s.signal.Measured() {
		j.Quantile = Quantiles[level]
	}
	if d, ok := s.difference(level); ok {
		j.Difference = &d
	}
	return j
}

// difference is stratified by weight like [Safety.Difference].
func (s *series) difference(level int) (Interval, bool) {
	var all Safety
	for i := range s.chunks {
		all.add(s.chunks[i].weight, s.chunks[i].block(level))
	}
	if s.open.weight > 0 {
		all.add(s.open.weight, s.open.block(level))
	}
	return all.Difference()
}
