package metrics

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"serin"
)

// Measure is what a [Measured] measures.
type Measure uint8

// What is measured, with the unit of the value.
const (
	MeasureInvocation         Measure = iota // milliseconds of the handler, one per invocation
	MeasureInit                              // milliseconds of an initialisation that an invocation waited for
	MeasureThrottle                          // 1 for each refused invocation
	MeasureConcurrency                       // the most invocations at a time since the last [Recorder.Drain]
	MeasureProvisioned                       // 1 for each invocation on provisioned concurrency
	MeasureSpillover                         // 1 for each invocation for which no provisioned concurrency was free
	MeasureEventReceived                     // 1 for each accepted event
	MeasureEventAge                          // milliseconds from acceptance to an attempt
	MeasureEventDropped                      // 1 for each event that ended without success
	MeasureDestinationFailure                // 1 for each record that could not be delivered
	MeasureDeadLetterFailure                 // 1 for each dead letter that could not be delivered
)

// Views are the groups of invocations that a value counts for.
type Views uint8

// The groups, from all functions down to one version behind one alias.
const (
	ViewAccount  Views = 1 << iota
	ViewFunction       // whatever the qualifier
	ViewResource       // called by this qualifier
	ViewVersion        // called through this alias and run by this version
)

// callers are the views of what is known of a caller before a version is found.
const callers = ViewAccount | ViewFunction | ViewResource

// ownViews are those of the capacity that belongs to a qualifier or version.
const ownViews = ViewResource | ViewVersion

// Subject is what a value is about. What its views do not need is empty.
type Subject struct {
	Function  string
	Qualifier string // as the caller spelt it, "" for none; a version that the caller has pinned an alias to
	Version   serin.VersionNumber
}

// Measured is what was measured of a subject in one second, kept until the next [Recorder.Drain] for those who
// aggregate over time. The sum of values is exact, and so are the extremes.
type Measured struct {
	Subject

	Measure       Measure
	Views         Views
	At            int64 // milliseconds since 1970; for invocations, when they started
	Count         uint64
	Failed        uint64 // invocations whose function failed, for [MeasureInvocation]
	Sum, Min, Max float64
	Buckets       []Bucket // nil if all values are Min
}

// Bucket is a number of values that differ from Value by at most 1.1 %, or are too small to matter: under a microsecond.
type Bucket struct {
	Value float64
	Count uint64
}

// one is a single value.
func one(s Subject, measure Measure, views Views, at int64, value float64) Measured {
	return Measured{Subject: s, Measure: measure, Views: views, At: at, Count: 1, Sum: value, Min: value, Max: value}
}

// maxSingles bounds the memory of single values that nobody drains: 75 MB.
const maxSingles = 1 << 19

// singles collects what is measured seldom, or of a second that is over: a stack that takes no lock.
type singles struct {
	top     atomic.Pointer[single]
	kept    atomic.Int64
	dropped atomic.Uint64
	spent   sync.Pool
}

type single struct {
	Measured

	next *single
}

func (l *singles) add(m Measured) {
	if l.kept.Add(1) > maxSingles {
		l.kept.Add(-1)
		l.dropped.Add(1)
		return
	}
	s, ok := l.spent.Get().(*single)
	if !ok {
		s = &single{}
	}
	s.Measured = m
	for {
		s.next = l.top.Load()
		if l.top.CompareAndSwap(s.next, s) {
			return
		}
	}
}

// drain appends what was collected, the newest first.
func (l *singles) drain(to []Measured) []Measured {
	for s := l.top.Swap(nil); s != nil; {
		next := s.next
		to = append(to, s.Measured)
		*s = single{} // or its names would be kept
		l.spent.Put(s)
		l.kept.Add(-1)
		s = next
	}
	return to
}

// gauge counts invocations that run now and remembers the most of them.
type gauge struct {
	subject   Subject
	view      Views
	now, most atomic.Int64
}

func (g *gauge) enter() { g.now.Add(1) }

// leave ends an invocation. The most is always reached just before one ends, so it is looked for only here and by
// [Recorder.Drain].
func (g *gauge) leave(ran bool) {
	n := g.now.Add(-1) + 1
	for ran {
		most := g.most.Load()
		if n <= most || g.most.CompareAndSwap(most, n) {
			return
		}
	}
}

// Tally is where the invocations of a function by one qualifier that one version runs are counted. It saves a look-up
// for each thing that is counted.
type Tally struct {
	recorder *Recorder
	series   *series
	calls    *calls
}

// Tally returns where an invocation is counted, by what the sample says of it before it runs.
func (r *Recorder) Tally(s *Sample) Tally {
	series := r.at(seriesKey{aliasKey{s.Function, s.Alias}, s.Version})
	if s.Qualifier == "" && s.Alias == "" {
		return Tally{r, series, series.unqualified}
	}
	return Tally{r, series, &series.qualified}
}

// Started counts an invocation as running until [Tally.Ended].
func (t Tally) Started() {
	t.recorder.account.enter()
	t.series.function.enter()
	t.calls.running.enter()
}

// Ended takes an invocation out of the count of those that run. ran says that it was not refused.
func (t Tally) Ended(ran bool) {
	t.recorder.account.leave(ran)
	t.series.function.leave(ran)
	t.calls.running.leave(ran)
}

type gaugeKey struct {
	Subject

	view Views
}

// watch gives a new series what its invocations are counted by over time. The caller holds the lock.
func (r *Recorder) watch(s *series, key seriesKey) {
	find := func(qualifier string, view Views) *gauge {
		at := gaugeKey{Subject{Function: key.function, Qualifier: qualifier}, view}
		g, ok := r.gauges[at]
		if !ok {
			g = &gauge{subject: at.Subject, view: view}
			r.gauges[at] = g
		}
		return g
	}
	second := secondOf(r.now())
	s.function = find("", ViewFunction)
	subject, views := Subject{Function: key.function, Qualifier: cmp.Or(key.alias, key.version.String())}, callers
	if key.alias != "" {
		subject.Version, views = key.version, callers|ViewVersion
		s.tap.Store((*r.taps.Load())[key.aliasKey])
	} else {
		s.unqualified = &calls{}
		s.unqualified.start(Subject{Function: key.function}, callers, find("", ViewResource), second)
	}
	s.qualified.start(subject, views, find(subject.Qualifier, ViewResource), second)
}

// Drain returns what was measured since the last call and how many values more there were than memory is kept for.
// It is best called just after a second has begun: invocations of seconds before the call cost more to count.
// spent, which may be nil, is what an earlier call returned, and is used again.
func (r *Recorder) Drain(spent []Measured) (drained []Measured, dropped uint64) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	drained = spent[:0]
	for _, s := range *r.series.Load() {
		drained = s.drain(drained, secondOf(now))
	}
	for _, s := range r.forgotten {
		drained = s.drain(drained, noSecond)
	}
	clear(r.forgotten)
	r.forgotten = r.forgotten[:0]
	drained = r.singles.drain(drained)
	drained = r.account.drain(drained, now)
	for _, g := range r.gauges {
		drained = g.drain(drained, now)
	}
	return drained, r.singles.dropped.Swap(0)
}

func (s *series) drain(to []Measured, next int64) []Measured {
	if s.unqualified != nil {
		to = s.unqualified.drain(to, next)
	}
	return s.qualified.drain(to, next)
}

// drain appends the most invocations at a time, and begins with those that run now.
func (g *gauge) drain(to []Measured, now time.Time) []Measured {
	if most := max(g.most.Swap(0), g.now.Load()); most > 0 {
		to = append(to, one(g.subject, MeasureConcurrency, g.view, now.UnixMilli(), float64(most)))
	}
	return to
}

// measure counts what an invocation measured.
func (t Tally) measure(s *Sample) {
	second := secondOf(s.Start)
	// A 5xx answer is a failure to its user, but the function has worked.
	failed := s.Outcome.Failed() && s.Outcome != serin.OutcomeServerError
	if h := t.calls.enter(second); h != nil {
		h.observe(s.Duration, failed, s.Capacity)
		h.leave()
	} else {
		t.single(s, failed)
	}
	if s.Init > 0 {
		t.recorder.singles.add(one(t.calls.subject, MeasureInit, t.calls.views, s.Start.UnixMilli(), milliseconds(s.Init)))
	}
}

// single counts an invocation of another second than the present one.
func (t Tally) single(s *Sample, failed bool) {
	m := one(t.calls.subject, MeasureInvocation, t.calls.views, s.Start.UnixMilli(), milliseconds(max(s.Duration, 0)))
	if failed {
		m.Failed = 1
	}
	t.recorder.singles.add(m)
	if s.Capacity != OnDemand {
		measure := MeasureProvisioned
		if s.Capacity == Spillover {
			measure = MeasureSpillover
		}
		t.recorder.singles.add(one(t.calls.subject, measure, t.calls.views&ownViews, m.At, 1))
	}
}

// refused counts a throttle over time: for the views of the caller alone.
func (t Tally) refused(s *Sample) {
	if h := t.calls.enter(secondOf(s.Start)); h != nil {
		h.throttles.Add(1)
		h.leave()
		return
	}
	subject := t.calls.subject
	subject.Version = 0
	t.recorder.singles.add(one(subject, MeasureThrottle, callers, s.Start.UnixMilli(), 1))
}

// note notes something about a function that is called by a qualifier.
func (r *Recorder) note(function, qualifier string, measure Measure, value float64, views Views) {
	r.singles.add(one(Subject{Function: function, Qualifier: qualifier}, measure, views, r.now().UnixMilli(), value))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
