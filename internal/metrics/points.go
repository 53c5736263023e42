package metrics

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"serin"
)

// Measure is what a [Point] measures.
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

// Views are the groups of invocations that a point counts for.
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

// Subject is what a point is about. What its views do not need is empty.
type Subject struct {
	Function  string
	Qualifier string // as the caller spelt it, "" for none
	Version   serin.VersionNumber
}

// Point is one measured value, kept until the next [Recorder.Drain] for those who aggregate over time.
type Point struct {
	Subject

	At      int64 // milliseconds since 1970; when the invocation started
	Value   float64
	Measure Measure
	Views   Views
	Failed  bool // the function failed, for [MeasureInvocation]
}

// maxPoints bounds the memory of points that nobody drains: 32 MB.
const maxPoints = 1 << 19

// points collects what was measured since the last drain. The invocation path appends to it under a lock that is
// held for the time of a copy, and leaves every other cost to the one who drains.
type points struct {
	mu      sync.Mutex
	open    []Point
	dropped uint64
}

func (p *points) add(point Point) {
	p.mu.Lock()
	if len(p.open) < maxPoints {
		p.open = append(p.open, point)
	} else {
		p.dropped++
	}
	p.mu.Unlock()
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
	resource *gauge
}

// Tally returns where an invocation is counted, by what the sample says of it before it runs.
func (r *Recorder) Tally(s *Sample) Tally {
	series := r.at(seriesKey{aliasKey{s.Function, s.Alias}, s.Version})
	t := Tally{r, series, series.qualified}
	if s.Qualifier == "" {
		t.resource = series.unqualified
	}
	return t
}

// Started counts an invocation as running until [Tally.Ended].
func (t Tally) Started() {
	t.recorder.account.enter()
	t.series.function.enter()
	t.resource.enter()
}

// Ended takes an invocation out of the count of those that run. ran says that it was not refused.
func (t Tally) Ended(ran bool) {
	t.recorder.account.leave(ran)
	t.series.function.leave(ran)
	t.resource.leave(ran)
}

type gaugeKey struct {
	Subject

	view Views
}

// watch gives a new series its gauges. The caller holds the lock.
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
	s.function, s.unqualified = find("", ViewFunction), find("", ViewResource)
	s.qualified = find(cmp.Or(key.alias, key.version.String()), ViewResource)
}

// Drain returns the points since the last call and how many more there were than memory is kept for. spent, which may
// be nil, is what an earlier call returned, and is used again.
func (r *Recorder) Drain(spent []Point) (drained []Point, dropped uint64) {
	r.points.mu.Lock()
	drained, r.points.open = r.points.open, spent[:0]
	dropped, r.points.dropped = r.points.dropped, 0
	r.points.mu.Unlock()
	now := r.now().UnixMilli()
	peak := func(g *gauge) {
		if most := max(g.most.Swap(0), g.now.Load()); most > 0 {
			drained = append(drained, Point{
				Subject: g.subject, At: now, Value: float64(most), Measure: MeasureConcurrency, Views: g.view,
			})
		}
	}
	peak(&r.account)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.gauges {
		peak(g)
	}
	return drained, dropped
}

// measure notes what an invocation measured.
func (r *Recorder) measure(s *Sample) {
	p := Point{
		Subject: Subject{Function: s.Function, Qualifier: s.Qualifier}, At: s.Start.UnixMilli(), Value: milliseconds(s.Duration),
		Measure: MeasureInvocation, Views: callers,
		// A 5xx answer is a failure to its user, but the function has worked.
		Failed: s.Outcome.Failed() && s.Outcome != serin.OutcomeServerError,
	}
	if s.Alias != "" {
		p.Version = s.Version
		p.Views |= ViewVersion
	}
	r.points.add(p)
	if s.Capacity != OnDemand {
		provisioned := p
		provisioned.Measure, provisioned.Value, provisioned.Failed = MeasureProvisioned, 1, false
		if s.Capacity == Spillover {
			provisioned.Measure = MeasureSpillover
		}
		provisioned.Views &= ViewResource | ViewVersion
		r.points.add(provisioned)
	}
	if s.Init > 0 {
		p.Measure, p.Value, p.Failed = MeasureInit, milliseconds(s.Init), false
		r.points.add(p)
	}
}

// note notes something about a function that is called by a qualifier.
func (r *Recorder) note(function, qualifier string, measure Measure, value float64, views Views) {
	r.points.add(Point{
		Subject: Subject{Function: function, Qualifier: qualifier}, At: r.now().UnixMilli(), Value: value, Measure: measure, Views: views,
	})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
