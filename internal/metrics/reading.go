package metrics

import (
	"iter"
	"sync/atomic"
	"time"

	"serin"
)

// Bounds are the upper bounds of the buckets that exemplars are kept for; one more bucket has no bound.
var Bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 10 * time.Second, time.Minute,
}

// BoundOf returns the index of the bucket of [Bounds] that a duration belongs to.
func BoundOf(d time.Duration) int {
	for i, bound := range Bounds {
		if d <= bound {
			return i
		}
	}
	return len(Bounds)
}

// Exemplar is one invocation among many.
type Exemplar struct {
	RequestID string
	TraceID   string // "" unless it is traced
	Duration  time.Duration
	At        time.Time
}

// exemplars keeps one invocation of each second for each bucket and for each way to fail, so that the others cost
// nothing but a comparison.
type exemplars struct {
	second  atomic.Int64 // of the last invocation, in seconds since 1970
	buckets [len(Bounds) + 1]atomic.Pointer[Exemplar]
	failed  [serin.OutcomeCount]atomic.Pointer[Exemplar]
}

// seen notes that there has been an invocation.
func (e *exemplars) seen(at time.Time) {
	if second := at.Unix(); e.second.Load() < second {
		e.second.Store(second)
	}
}

func (e *exemplars) keep(s *Sample) {
	e.seen(s.Start)
	if s.RequestID == "" {
		return
	}
	second := s.Start.Unix()
	replace(&e.buckets[BoundOf(s.Duration)], s, second)
	if s.Outcome.Failed() {
		replace(&e.failed[s.Outcome], s, second)
	}
}

func replace(at *atomic.Pointer[Exemplar], s *Sample, second int64) {
	if kept := at.Load(); kept == nil || kept.At.Unix() < second {
		at.Store(&Exemplar{RequestID: s.RequestID, TraceID: s.TraceID, Duration: s.Duration, At: s.Start})
	}
}

// Reading is everything that was counted of one version for the callers of one alias, or for direct callers if Alias
// is "". It is read while invocations go on, so its numbers may be an invocation apart.
type Reading struct {
	Function  string
	Alias     string
	Version   serin.VersionNumber
	Last      time.Time // of the last invocation or refusal, to the second
	Outcomes  [serin.OutcomeCount]uint64
	Throttles uint64

	// SinceRouting are requests since the alias's routing last changed.
	SinceRouting uint64

	series *series
}

// Readings returns what was counted, in no particular order.
func (r *Recorder) Readings() iter.Seq[Reading] {
	return func(yield func(Reading) bool) {
		for key, s := range *r.series.Load() {
			one := Reading{
				Function: key.function, Alias: key.alias, Version: key.version, Last: time.Unix(s.exemplars.second.Load(), 0),
				Throttles: s.throttles.Load(), series: s,
			}
			var requests uint64
			for i := range s.outcomes {
				one.Outcomes[i] = s.outcomes[i].Load()
				requests += one.Outcomes[i]
			}
			one.SinceRouting = requests - min(s.mark.Load(), requests)
			if !yield(one) {
				return
			}
		}
	}
}

// Duration returns the sum of the durations of the handler, and their buckets in ascending order.
func (r *Reading) Duration() (sum time.Duration, buckets iter.Seq2[int, uint64]) {
	return r.series.duration.read()
}

// Init returns the sum of the durations of initialisations, and their buckets in ascending order.
func (r *Reading) Init() (sum time.Duration, buckets iter.Seq2[int, uint64]) {
	return r.series.init.read()
}

// Exemplar returns one of the last invocations in a bucket of [Bounds], or nil.
func (r *Reading) Exemplar(bound int) *Exemplar { return r.series.exemplars.buckets[bound].Load() }

// Failed returns one of the last invocations that failed in a way, or nil.
func (r *Reading) Failed(o serin.Outcome) *Exemplar { return r.series.exemplars.failed[o].Load() }

func (h *histogram) read() (time.Duration, iter.Seq2[int, uint64]) {
	return time.Duration(h.sum.Load()), func(yield func(int, uint64) bool) {
		for b := range h.buckets {
			if n := h.buckets[b].Load(); n > 0 && !yield(b, uint64(n)) {
				return
			}
		}
	}
}

// BucketCount is how many buckets durations are counted in.
const BucketCount = bucketCount

// Middle returns the middle of a bucket of durations: what is in it differs by at most 1/32.
func Middle(bucket int) time.Duration {
	if bucket == 0 {
		return unit / 2
	}
	lower := upperEdge(bucket-1) + 1
	return lower + (upperEdge(bucket)-lower)/2
}

// Running is how many invocations run now, of a function by whatever qualifier.
type Running struct {
	Function string
	Now      int64
}

// Running returns how many invocations run now, for every function that has had some, in no particular order.
func (r *Recorder) Running() []Running {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Running
	for _, g := range r.gauges {
		if g.view == ViewFunction {
			all = append(all, Running{g.subject.Function, g.now.Load()})
		}
	}
	return all
}

// EventReading is what became of the asynchronous events of a function.
type EventReading struct {
	EventStats

	Function string
	events   *events
}

// Ages returns the sum of the ages of events at each attempt, and their buckets in ascending order.
func (e *EventReading) Ages() (sum time.Duration, buckets iter.Seq2[int, uint64]) {
	return e.events.age.read()
}

// EventReadings returns what became of the events of every function that has had some, in no particular order.
func (r *Recorder) EventReadings() iter.Seq[EventReading] {
	return func(yield func(EventReading) bool) {
		for function, e := range *r.events.Load() {
			if !yield(EventReading{e.stats(), function, e}) {
				return
			}
		}
	}
}
