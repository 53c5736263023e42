package release

import (
	"fmt"
	"time"

	"serin"
	"serin/internal/evidence"
)

// judgedSignals are the signals of the evidence that a policy speaks of. Throttles are shown and not judged: a refused
// request is none that a slice counts.
func judgedSignals(j serin.Judged) []evidence.Signal {
	switch j {
	case serin.JudgeErrors:
		return []evidence.Signal{evidence.Errors, evidence.Timeouts, evidence.Crashes, evidence.InitFailures, evidence.ServerErrors}
	case serin.JudgeLatency:
		return []evidence.Signal{evidence.Latency}
	case serin.JudgeColdStarts:
		return []evidence.Signal{evidence.ColdStart}
	default:
		return nil
	}
}

// shares divides alpha among the signals that a policy judges, in the proportions of [evidence.DefaultShares].
func shares(p *serin.Policy) [evidence.SignalCount]float64 {
	if len(p.Signals) == 0 {
		return evidence.OnlyErrors
	}
	var all [evidence.SignalCount]float64
	sum := 0.0
	for _, judged := range p.Signals {
		for _, signal := range judgedSignals(judged) {
			all[signal] = evidence.DefaultShares[signal]
			sum += all[signal]
		}
	}
	for signal := range all {
		all[signal] /= sum
	}
	return all
}

// newEvidence returns evidence without data for a release.
func newEvidence(r *serin.Release) (*evidence.Evidence, error) {
	history := 0.0
	if r.BaselineRate != nil {
		history = *r.BaselineRate
	}
	ev, err := evidence.New(evidence.Config{History: history, Alpha: r.Policy.Alpha, Shares: shares(&r.Policy)})
	if err != nil {
		return nil, fmt.Errorf("evidence of release %s: %w", r.ID, err)
	}
	return ev, nil
}

// newCounted writes down a slice.
func newCounted(s *evidence.Slice, at time.Time) Counted {
	c := Counted{At: at.UnixMilli(), Weight: s.Weight, Block: blockOf(s), Signals: map[evidence.Signal][]int{}}
	for signal := evidence.Errors + 1; signal < evidence.Latency; signal++ {
		if canary, baseline := s.Canary.Failures[signal], s.Baseline.Failures[signal]; canary+baseline > 0 {
			c.Signals[signal] = []int{canary, baseline}
		}
	}
	for i := range s.Canary.Measurements {
		canary, baseline := &s.Canary.Measurements[i], &s.Baseline.Measurements[i]
		if canary.Observed+baseline.Observed == 0 {
			continue
		}
		row := []int{canary.Observed, baseline.Observed}
		for level := range evidence.Levels {
			row = append(row, canary.Above[level], baseline.Above[level])
		}
		c.Signals[evidence.Latency+evidence.Signal(i)] = row
	}
	return c
}

// blockOf returns the requests and errors of a slice.
func blockOf(s *evidence.Slice) evidence.Block {
	return evidence.Block{
		CanaryRequests: s.Canary.Requests, CanaryErrors: s.Canary.Failures[evidence.Errors],
		BaselineRequests: s.Baseline.Requests, BaselineErrors: s.Baseline.Failures[evidence.Errors],
	}
}

// slice is the slice that was written down.
//
// Errors: rows that no slice has.
func (c *Counted) slice() (evidence.Slice, error) {
	s := evidence.Slice{Weight: c.Weight}
	s.Canary.Requests, s.Canary.Failures[evidence.Errors] = c.CanaryRequests, c.CanaryErrors
	s.Baseline.Requests, s.Baseline.Failures[evidence.Errors] = c.BaselineRequests, c.BaselineErrors
	for signal, row := range c.Signals {
		want := 2
		if signal.Measured() {
			want += 2 * evidence.Levels
		}
		if signal == evidence.Errors || len(row) != want {
			return s, fmt.Errorf("%s: %d counts", signal, len(row))
		}
		if !signal.Measured() {
			s.Canary.Failures[signal], s.Baseline.Failures[signal] = row[0], row[1]
			continue
		}
		canary, baseline := &s.Canary.Measurements[signal-evidence.Latency], &s.Baseline.Measurements[signal-evidence.Latency]
		canary.Observed, baseline.Observed = row[0], row[1]
		for level := range evidence.Levels {
			canary.Above[level], baseline.Above[level] = row[2+2*level], row[3+2*level]
		}
	}
	return s, nil
}

// addTo counts it.
//
// Errors: counts that cannot be.
func (c *Counted) addTo(ev *evidence.Evidence) error {
	if c.Signals == nil {
		return ev.Add(c.Weight, c.Block)
	}
	s, err := c.slice()
	if err != nil {
		return err
	}
	return ev.Observe(&s)
}
