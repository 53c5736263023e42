package metrics

import (
	"slices"
	"time"

	"serin"
	"serin/internal/evidence"
)

const (
	// leastHistory is how many durations of the baseline thresholds are made of.
	leastHistory = 100
	// warmUp is how many warm requests of the canary pass before any are measured: code that was just loaded is
	// slower for a while.
	warmUp = 10
	// leastSlowdown in milliseconds is tolerated in any case: as much can come from processes that have less to do than
	// those of the baseline.
	leastSlowdown = 5
)

// Measures says with what a [Tap] compares durations, in milliseconds. Thresholds are fixed before the requests that
// are compared with them, which is all that the evidence needs to be valid; ones that fit badly only show less.
type Measures struct {
	// Warm are the baseline's thresholds for the handler of warm requests. If they are nil, the tap makes them of the
	// first 100 warm requests that it sees of the baseline; latency is blind until then.
	Warm *evidence.Thresholds
	// Cold are those for initialisations. If they are nil, cold starts stay blind: a baseline that is warm has few.
	Cold *evidence.Thresholds
	// Slowdown is what the canary may take, as a multiple of what the baseline takes. Five milliseconds more are
	// tolerated in any case.
	Slowdown float64
}

// latency is the part of a [Tap] that compares durations. Its tap's lock guards it.
type latency struct {
	on         bool
	slowdown   float64
	warm, cold comparison
	first      []float64 // of the baseline, while the thresholds are unknown
	warmed     int       // warm requests of the canary, up to warmUp
}

// comparison holds the thresholds for each version.
type comparison struct {
	known            bool
	baseline, canary evidence.Thresholds
}

func compareWith(t *evidence.Thresholds, slowdown float64) comparison {
	if t == nil {
		return comparison{}
	}
	c := comparison{known: true, baseline: *t, canary: t.Scaled(slowdown - 1)}
	for i := range c.canary {
		c.canary[i] = max(c.canary[i], t[i]+leastSlowdown)
	}
	return c
}

func (c *comparison) level(d time.Duration, canary bool) int {
	if canary {
		return c.canary.Level(inMilliseconds(d))
	}
	return c.baseline.Level(inMilliseconds(d))
}

func inMilliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Measure makes the tap compare durations from now on.
func (t *Tap) Measure(m Measures) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latency = latency{
		on: true, slowdown: m.Slowdown,
		warm: compareWith(m.Warm, m.Slowdown), cold: compareWith(m.Cold, m.Slowdown),
	}
	if m.Warm == nil {
		t.latency.first = make([]float64, 0, leastHistory)
	}
}

// Warm returns the baseline's thresholds for warm requests, in milliseconds; nil while they are unknown.
func (t *Tap) Warm() *evidence.Thresholds {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.latency.warm.known {
		return nil
	}
	return new(t.latency.warm.baseline)
}

// measure counts the duration of a request on its side, and reports whether that was a warm one's. Whether it does
// depends on earlier requests only.
func (l *latency) measure(side *evidence.Tally, s *Sample, canary bool) bool {
	switch {
	case !l.on:
		return false
	case s.Init > 0:
		if l.cold.known {
			side.Measure(evidence.ColdStart, l.cold.level(s.Init, canary))
		}
		return false
	case s.Outcome == serin.OutcomeInitError: // the handler has not run
		return false
	case !l.warm.known && !canary:
		l.learn(s.Duration)
		return false
	case canary && l.warmed < warmUp:
		l.warmed++
		return false
	case !l.warm.known || l.warmed < warmUp:
		return false
	}
	side.Measure(evidence.Latency, l.warm.level(s.Duration, canary))
	return true
}

// learn takes in a duration of the baseline while its thresholds are unknown.
func (l *latency) learn(d time.Duration) {
	l.first = append(l.first, inMilliseconds(d))
	if len(l.first) < leastHistory {
		return
	}
	slices.Sort(l.first)
	var t evidence.Thresholds
	for i, q := range evidence.Quantiles {
		t[i] = l.first[rank(leastHistory, q)-1]
	}
	l.warm, l.first = compareWith(&t, l.slowdown), nil
}

// Thresholds returns what the durations of a version were for the callers of an alias since the server started, in
// milliseconds: of its handler, and of its initialisations. They are nil if there were too few.
func (r *Recorder) Thresholds(function, alias string, version serin.VersionNumber) (warm, cold *evidence.Thresholds) {
	s, ok := (*r.series.Load())[seriesKey{aliasKey{function, alias}, version}]
	if !ok {
		return nil, nil
	}
	return s.duration.thresholds(), s.init.thresholds()
}

// thresholds returns the quantiles that durations are compared with, nil if there are too few. Like all quantiles of
// a histogram they are upper bounds.
func (h *histogram) thresholds() *evidence.Thresholds {
	var counts [bucketCount]uint64
	var n uint64
	for b := range h.buckets {
		counts[b] = uint64(h.buckets[b].Load())
		n += counts[b]
	}
	if n < leastHistory {
		return nil
	}
	var t evidence.Thresholds
	var seen uint64
	next := 0
	for b, count := range counts {
		seen += count
		for next < len(t) && seen >= rank(n, evidence.Quantiles[next]) {
			t[next] = inMilliseconds(upperEdge(b))
			next++
		}
	}
	return &t
}
