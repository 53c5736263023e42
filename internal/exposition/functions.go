package exposition

import (
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"serin"
	"serin/internal/executor"
	"serin/internal/metrics"
)

// route is a version that an alias routes to.
type route struct {
	function, alias string
	version         serin.VersionNumber
}

// invocations shows what versions did, and returns how many requests those of aliases had since the routing of the alias
// last changed.
func (e *Exposition) invocations(f *families, now time.Time) map[route]uint64 {
	count := f.counter("serin_invocations_total", "Invocations that ran, by the alias that callers named (empty for none) and the version that ran them.")
	failed := f.counter("serin_invocation_errors_total", "Invocations that failed.")
	throttled := f.counter("serin_throttles_total", "Invocations that were refused because too many ran.")
	duration := f.histogram("serin_invocation_duration_seconds", "How long handlers ran.")
	initialised := f.histogram("serin_init_duration_seconds", "How long invocations waited for a cold start.")
	recent := map[route]uint64{}
	for r := range e.Recorder.Readings() {
		if !e.shows(&r, now) {
			continue
		}
		if r.Alias != "" {
			recent[route{r.Function, r.Alias, r.Version}] = r.SinceRouting
		}
		version := r.Version.String()
		l := label("alias", r.Alias, "function", r.Function, "version", version)
		var all uint64
		for o := range r.Outcomes {
			n := r.Outcomes[o]
			all += n
			if outcome := serin.Outcome(o); outcome.Failed() {
				m := failed.with(float64(n), labels{l[0], l[1], kinds[o], l[2]})
				m.Counter.Exemplar = exampleOf(r.Failed(outcome))
			}
		}
		count.with(float64(all), l)
		throttled.with(float64(r.Throttles), l)
		sum, buckets := r.Duration()
		duration.durations(l, sum, buckets, r.Exemplar)
		if sum, buckets := r.Init(); sum > 0 {
			initialised.durations(l, sum, buckets, nil)
		}
	}
	return recent
}

// kinds are the labels of the ways to fail, by outcome: function_error, timeout, crash, init_error, 5xx.
var kinds = func() (l [serin.OutcomeCount]*dto.LabelPair) {
	for o := range l {
		l[o] = label("kind", strings.ReplaceAll(serin.Outcome(o).String(), " ", "_"))[0]
	}
	return l
}()

// shows reports whether a version is shown: it has been used lately, or an alias routes to it.
func (e *Exposition) shows(r *metrics.Reading, now time.Time) bool {
	f, ok := e.Table.Function(r.Function)
	if !ok {
		return false
	}
	if now.Sub(r.Last) < shownFor {
		return true
	}
	a, ok := f.Aliases[r.Alias]
	return ok && (a.Routing.Version == r.Version || a.Routing.Weighted() && a.Routing.Additional == r.Version)
}

// aliases shows how aliases split their traffic, as they are told to and as they did since that last changed.
func (e *Exposition) aliases(f *families, recent map[route]uint64) {
	set := f.gauge("serin_alias_weight_ratio", "The share of the requests that the alias routes to the version.")
	seen := f.gauge("serin_alias_observed_ratio", "The share of the requests that the version had since the routing of the alias last changed.")
	for function := range e.Table.Functions() {
		for _, a := range function.Aliases {
			versions := []serin.VersionNumber{a.Routing.Version}
			if a.Routing.Weighted() {
				versions = append(versions, a.Routing.Additional)
			}
			var all uint64
			for _, v := range versions {
				all += recent[route{function.Name, a.Name, v}]
			}
			for _, v := range versions {
				l := label("alias", a.Name, "function", function.Name, "version", v.String())
				set.with(a.Routing.Share(v), l)
				if all > 0 {
					seen.with(float64(recent[route{function.Name, a.Name, v}])/float64(all), l)
				}
			}
		}
	}
}

func (e *Exposition) concurrency(f *families) {
	f.gauge("serin_concurrency_limit", "How many invocations may run at a time.").add(float64(e.Concurrency))
	running := f.gauge("serin_concurrent_invocations", "Invocations that run now, with those that wait for their turn.")
	for _, r := range e.Recorder.Running() {
		if _, ok := e.Table.Function(r.Function); ok {
			running.add(float64(r.Now), "function", r.Function)
		}
	}
	f.gauge("serin_waiting_invocations", "Invocations that wait for their turn, because as many run as may.").add(float64(e.Executor.Waiting()))
	type group struct {
		function, version string
		state             executor.State
	}
	states := map[executor.State]int{executor.StateStarting: 0, executor.StateBusy: 0, executor.StateIdle: 0}
	groups := map[group]int{}
	for _, env := range e.Executor.Environments() {
		states[env.State]++
		groups[group{env.Key.Function, env.Key.Version, env.State}]++
	}
	total := f.gauge("serin_environments", "Execution environments.")
	for state, n := range states {
		total.add(float64(n), "state", string(state))
	}
	each := f.gauge("serin_function_environments", "Execution environments of a version.")
	for g, n := range groups {
		each.add(float64(n), "function", g.function, "state", string(g.state), "version", g.version)
	}
}

func (e *Exposition) events(f *families) {
	received := f.counter("serin_events_received_total", "Asynchronous events that were accepted.")
	dropped := f.counter("serin_events_dropped_total", "Events that ended without success, whether or not somebody was told.")
	lost := f.counter("serin_events_lost_total", "Events that ended without success and that nobody was told of but the log.")
	destinations := f.counter("serin_event_destination_failures_total", "Records of events that could not be delivered.")
	letters := f.counter("serin_event_dead_letter_failures_total", "Dead letters that could not be delivered.")
	age := f.histogram("serin_event_age_seconds", "From the acceptance of an event to each attempt at it.")
	for r := range e.Recorder.EventReadings() {
		if _, ok := e.Table.Function(r.Function); !ok {
			continue
		}
		l := label("function", r.Function)
		received.with(float64(r.Received), l)
		dropped.with(float64(r.Dropped), l)
		lost.with(float64(r.Lost), l)
		destinations.with(float64(r.DestinationFailures), l)
		letters.with(float64(r.DeadLetterFailures), l)
		sum, buckets := r.Ages()
		age.durations(l, sum, buckets, nil)
	}
}
