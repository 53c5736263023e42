// Package metrics counts what each version of a function does.
//
// There are four kinds of readers. People and documents read [Stats]: totals per (function, alias,
// version) since the server started, kept in atomics that invocations update without a lock. Prometheus reads the
// same totals of everything ([Recorder.Readings]), with a request or two of each second as examples. A release
// reads a [Tap]: the label-blind slices of finished requests that its evidence is made of, kept only while
// a release watches an alias. What is kept over time takes the sums of each second away
// ([Recorder.Drain]).
package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"serin"
)

// Sample is one finished invocation.
type Sample struct {
	Function  string
	Qualifier string // as the caller spelt it, "" for none
	Start     time.Time
	Alias     string        // "" if the caller did not come through an alias
	Routing   serin.Routing // what the alias said when the invocation was routed
	Version   serin.VersionNumber
	Key       serin.KeyHash // the routing key that picked the version, 0 for chance
	Outcome   serin.Outcome
	Duration  time.Duration // of the handler, without initialisation
	Init      time.Duration // 0 unless the invocation was a cold start
	Capacity  Capacity
	RequestID string // for exemplars, "" for none
	TraceID   string // of a trace that is kept, "" for none

	// What is known if a release watches the alias.
	Undrawn   bool   // the version was not drawn: the canary had too much in flight
	Synthetic bool   // no user has made the request: see [serin.SyntheticHeader]
	HTTP      bool   // the answer is one to an HTTP request, or in its form
	Failure   string // how the error presents itself; "" for the name of the outcome
}

// Capacity is the kind of environment that an invocation ran on.
type Capacity int

// Kinds of capacity.
const (
	OnDemand    Capacity = iota
	Provisioned          // the version's provisioned concurrency
	Spillover            // on demand, because all that is provisioned for the version was in use
	capacityCount
)

// Recorder collects samples. Its zero value is not usable; call [New].
type Recorder struct {
	now     func() time.Time
	since   time.Time
	mu      sync.Mutex // serialises growth of the maps
	series  atomic.Pointer[map[seriesKey]*series]
	taps    atomic.Pointer[map[aliasKey]*Tap]
	events  atomic.Pointer[map[string]*events] // by function
	gauges  map[gaugeKey]*gauge                // guarded by mu
	account gauge
	singles singles
	// forgotten series have measured something that nobody has drained yet; guarded by mu.
	forgotten []*series
}

type aliasKey struct{ function, alias string }

type seriesKey struct {
	aliasKey
	version serin.VersionNumber
}

// series starts with what every invocation needs, so that it lies together in memory.
type series struct {
	qualified   calls
	tap         atomic.Pointer[Tap] // of the alias, or nil
	function    *gauge
	unqualified *calls // of callers who name no version; nil for an alias
	outcomes    [serin.OutcomeCount]atomic.Uint64
	duration    histogram

	capacity  [capacityCount]atomic.Uint64
	throttles atomic.Uint64
	init      histogram
	mark      atomic.Uint64 // requests when the alias's routing last changed
	exemplars exemplars
}

func (s *series) requests() uint64 {
	var n uint64
	for i := range s.outcomes {
		n += s.outcomes[i].Load()
	}
	return n
}

// New returns an empty recorder. now is the clock.
func New(now func() time.Time) *Recorder {
	r := &Recorder{now: now, since: now(), gauges: map[gaugeKey]*gauge{}}
	r.series.Store(&map[seriesKey]*series{})
	r.taps.Store(&map[aliasKey]*Tap{})
	r.events.Store(&map[string]*events{})
	r.account.view = ViewAccount
	return r
}

// Since is from when the recorder has counted.
func (r *Recorder) Since() time.Time { return r.since }

// Record counts a finished invocation.
func (r *Recorder) Record(s Sample) { r.Tally(&s).Record(&s) }

// Record counts a finished invocation.
func (t Tally) Record(s *Sample) {
	c := t.series
	c.outcomes[s.Outcome].Add(1)
	if s.Capacity != OnDemand {
		c.capacity[s.Capacity].Add(1)
	}
	c.duration.observe(s.Duration)
	if s.Init > 0 {
		c.init.observe(s.Init)
	}
	c.exemplars.keep(s)
	t.measure(s)
	if tap := c.tap.Load(); tap != nil {
		tap.record(s, t.recorder.now())
	}
}

// Throttled counts an invocation that was refused.
func (t Tally) Throttled(s *Sample) {
	t.series.throttles.Add(1)
	t.series.exemplars.seen(s.Start)
	t.refused(s)
	if tap := t.series.tap.Load(); tap != nil {
		tap.throttled(s.Version)
	}
}

func (r *Recorder) at(key seriesKey) *series {
	if s, ok := (*r.series.Load())[key]; ok {
		return s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := *r.series.Load()
	if s, ok := all[key]; ok {
		return s
	}
	next := maps.Clone(all)
	s := &series{}
	r.watch(s, key)
	next[key] = s
	r.series.Store(&next)
	return s
}

// Rerouted tells the recorder that an alias's routing has changed: [Stats.SinceRouting] starts again at 0.
func (r *Recorder) Rerouted(function, alias string) {
	for key, s := range *r.series.Load() {
		if key.function == function && key.alias == alias {
			s.mark.Store(s.requests())
		}
	}
}

// Forget drops everything about a function.
func (r *Recorder) Forget(function string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(*r.series.Load())
	maps.DeleteFunc(next, func(k seriesKey, s *series) bool {
		if k.function == function {
			r.forgotten = append(r.forgotten, s)
		}
		return k.function == function
	})
	r.series.Store(&next)
	events := maps.Clone(*r.events.Load())
	delete(events, function)
	r.events.Store(&events)
	maps.DeleteFunc(r.gauges, func(k gaugeKey, _ *gauge) bool { return k.Function == function })
}

// Stats is what one version did for the callers of one alias, or for direct callers if Alias is "".
type Stats struct {
	Alias        string
	Version      serin.VersionNumber
	Requests     int
	SinceRouting int // requests since the alias's routing last changed
	Outcomes     [serin.OutcomeCount]int
	Throttles    int
	Provisioned  int // requests that ran on provisioned concurrency
	Spillover    int // requests for which none was free
	Duration     Durations
	Init         Durations
}

// Errors returns how many requests failed.
func (s Stats) Errors() int { return s.Requests - s.Outcomes[serin.OutcomeOK] }

// Function returns the stats of a function, in no particular order.
func (r *Recorder) Function(function string) []Stats {
	var all []Stats
	for key, s := range *r.series.Load() {
		if key.function == function {
			all = append(all, s.stats(key))
		}
	}
	return all
}

// Counts returns the requests and errors of one version of a function over all its callers.
func (r *Recorder) Counts(function string, version serin.VersionNumber) serin.Counts {
	var c serin.Counts
	for _, s := range r.Function(function) {
		if s.Version == version {
			c.Requests += s.Requests
			c.Errors += s.Errors()
		}
	}
	return c
}

func (s *series) stats(key seriesKey) Stats {
	st := Stats{
		Alias: key.alias, Version: key.version, Throttles: int(s.throttles.Load()),
		Provisioned: int(s.capacity[Provisioned].Load()), Spillover: int(s.capacity[Spillover].Load()),
		Duration: s.duration.summary(), Init: s.init.summary(),
	}
	for i := range s.outcomes {
		st.Outcomes[i] = int(s.outcomes[i].Load())
		st.Requests += st.Outcomes[i]
	}
	st.SinceRouting = st.Requests - int(s.mark.Load())
	return st
}
