package metrics

import (
	"maps"
	"slices"
	"time"

	"serin"
)

// observe counts a sample among the signals of the release. The caller holds the lock.
func (t *Tap) observe(s *Sample, now time.Time) {
	side := &t.signals.Baseline
	canary := s.Version == s.Routing.Additional
	if canary {
		side = &t.signals.Canary
	}
	side.Requests++
	if s.HTTP {
		side.HTTP++
	}
	if s.Synthetic {
		side.Synthetic++
	}
	switch {
	case s.Init > 0:
		side.ColdStarts++
		count(&side.Init, bucketOf(s.Init))
	default:
		count(&side.Warm, bucketOf(s.Duration))
	}
	if !s.Outcome.Failed() {
		return
	}
	count(&side.Failures, s.Outcome.String())
	f := serin.Failure{Text: s.Failure, First: now.UTC(), Baseline: 1}
	if f.Text == "" {
		f.Text = s.Outcome.String()
	}
	if canary {
		f.Baseline, f.Canary = 0, 1
	}
	t.signals = serin.Signals{Baseline: t.signals.Baseline, Canary: t.signals.Canary, Failures: addFailure(t.signals.Failures, f)}
}

// addFailure leaves the copying of everything else to [serin.Signals.Add].
func addFailure(all []serin.Failure, f serin.Failure) []serin.Failure {
	return serin.Signals{Failures: all}.Add(serin.Signals{Failures: []serin.Failure{f}}).Failures
}

func count[K comparable](m *map[K]int, k K) {
	if *m == nil {
		*m = map[K]int{}
	}
	(*m)[k]++
}

// throttled counts a request that was refused.
func (t *Tap) throttled(v serin.VersionNumber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !t.routing.Weighted():
	case v == t.routing.Additional:
		t.signals.Canary.Throttles++
	case v == t.routing.Version:
		t.signals.Baseline.Throttles++
	}
}

// Signals returns what was observed since the last call.
func (t *Tap) Signals() serin.Signals {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.signals
	t.signals = serin.Signals{}
	return s
}

// Summarise reads durations that a release has counted in buckets. Mean and Max are as rough as the quantiles.
func Summarise(buckets map[int]int) Durations {
	var d Durations
	var sum time.Duration
	edges := slices.Sorted(maps.Keys(buckets))
	for _, b := range edges {
		if b >= 0 && b < bucketCount && buckets[b] > 0 {
			d.Count += buckets[b]
			d.Max = upperEdge(b)
			sum += time.Duration(buckets[b]) * upperEdge(b)
		}
	}
	if d.Count == 0 {
		return Durations{}
	}
	d.Mean = sum / time.Duration(d.Count)
	for q, value := range map[float64]*time.Duration{0.50: &d.P50, 0.95: &d.P95, 0.99: &d.P99} {
		var seen uint64
		for _, b := range edges {
			if b < 0 || b >= bucketCount {
				continue
			}
			if seen += uint64(max(buckets[b], 0)); seen >= rank(uint64(d.Count), q) {
				*value = upperEdge(b)
				break
			}
		}
	}
	return d
}
