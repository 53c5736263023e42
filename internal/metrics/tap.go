package metrics

import (
	"maps"
	"sync"
	"time"

	"serin"
	"serin/internal/evidence"
)

// SliceAge is how long the first slices wait for requests. A slice is cut at a failure, when it is full, or when
// it is that old, whichever comes first. Full are [evidence.SliceRequests] at first, and then a share of what
// was counted before, with as much more time: so the slices of a long release are some hundred and its failures,
// and at most that share of the requests waits to be counted.
const (
	SliceAge   = 50 * time.Millisecond
	sliceShare = 64
)

// maxClosed bounds the memory of a tap that nobody drains. What is dropped beyond it is dropped without
// looking at versions or outcomes, so the evidence stays valid.
const maxClosed = 1 << 14

// maxKeys bounds how many routing keys a tap tells apart. Requests of keys beyond it do not count, whatever their
// versions and outcomes are, so the evidence stays valid.
const maxKeys = 1 << 20

// Tap cuts the finished requests of one alias into label-blind slices for one release. A slice holds only
// requests that were routed by the routing that the tap expects, so that a late answer to a request of an
// earlier step is never counted.
//
// What the router draws for is the routing key, if there is one: requests of one key are no further draws, and may
// well succeed or fail together. So of each key only the first finished request counts.
type Tap struct {
	notify chan struct{}
	window window

	mu      sync.Mutex
	signals serin.Signals
	routing serin.Routing
	keys    map[serin.KeyHash]struct{} // those that have been counted
	open    evidence.Slice
	opened  time.Time
	seen    int // requests in closed slices
	closed  []evidence.Slice
	latency latency
}

// Watch starts a tap on an alias, replacing the one that was there. It counts nothing before
// [Tap.Expect].
func (r *Recorder) Watch(function, alias string) *Tap {
	tap := &Tap{notify: make(chan struct{}, 1)}
	tap.window.seats.Store(firstSeats)
	r.setTap(aliasKey{function, alias}, tap)
	return tap
}

// Unwatch ends the tap if it is still the alias's.
func (r *Recorder) Unwatch(function, alias string, tap *Tap) {
	r.mu.Lock()
	current := (*r.taps.Load())[aliasKey{function, alias}]
	r.mu.Unlock()
	if current == tap {
		r.setTap(aliasKey{function, alias}, nil)
	}
}

func (r *Recorder) setTap(key aliasKey, tap *Tap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(*r.taps.Load())
	if tap == nil {
		delete(next, key)
	} else {
		next[key] = tap
	}
	r.taps.Store(&next)
	for k, s := range *r.series.Load() {
		if k.aliasKey == key {
			s.tap.Store(tap)
		}
	}
}

// Expect sets the routing whose requests count from now on: the baseline is its version, the canary its
// additional version. An open slice is closed under the routing that it was filled by.
func (t *Tap) Expect(routing serin.Routing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.routing != routing {
		t.cut()
		t.routing = routing
	}
}

// Ready is signalled when a slice has closed or the first request of a new slice has come in; in the
// second case the slice is due after a while that [Tap.Drain] tells.
func (t *Tap) Ready() <-chan struct{} { return t.notify }

// Drain returns the closed slices, oldest first, and for how long the open slice still waits for requests;
// 0 means that there is none. It closes a slice that has waited long enough.
func (t *Tap) Drain(now time.Time) (closed []evidence.Slice, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.requests() > 0 {
		age := SliceAge * time.Duration(t.limit()) / evidence.SliceRequests
		if wait = t.opened.Add(age).Sub(now); wait <= 0 {
			t.cut()
			wait = 0
		}
	}
	closed, t.closed = t.closed, nil
	return closed, wait
}

// Flush closes the open slice.
func (t *Tap) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut()
}

func (t *Tap) record(s *Sample, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Routing != t.routing || !s.Routing.Weighted() {
		return
	}
	t.observe(s, now)
	if s.Undrawn || !t.firstOf(s.Key) {
		return
	}
	first := t.requests() == 0
	if first {
		t.opened = now
	}
	canary := s.Version == s.Routing.Additional
	side, observed := &t.open.Baseline, &t.signals.Baseline
	if canary {
		side, observed = &t.open.Canary, &t.signals.Canary
	}
	side.Requests++
	if s.Outcome.Failed() {
		side.Fail(failureSignal(s.Outcome))
	}
	if t.latency.measure(side, s, canary) {
		observed.Measured++
	}
	full := s.Outcome.Failed() || t.requests() >= t.limit()
	if full {
		t.cut()
	}
	if first || full {
		select {
		case t.notify <- struct{}{}:
		default:
		}
	}
}

func failureSignal(o serin.Outcome) evidence.Signal {
	switch o {
	case serin.OutcomeTimeout:
		return evidence.Timeouts
	case serin.OutcomeCrash:
		return evidence.Crashes
	case serin.OutcomeInitError:
		return evidence.InitFailures
	case serin.OutcomeServerError:
		return evidence.ServerErrors
	default:
		return evidence.Errors
	}
}

// requests is how many the open slice holds. The caller holds the lock, as with limit.
func (t *Tap) requests() int { return t.open.Canary.Requests + t.open.Baseline.Requests }

// limit is how many requests a slice without a failure holds.
func (t *Tap) limit() int { return max(evidence.SliceRequests, t.seen/sliceShare) }

// firstOf notes a key and reports whether its request is a draw that has not been counted yet. The caller holds the
// lock.
func (t *Tap) firstOf(key serin.KeyHash) bool {
	if key == 0 {
		return true
	}
	if _, counted := t.keys[key]; counted || len(t.keys) >= maxKeys {
		return false
	}
	if t.keys == nil {
		t.keys = map[serin.KeyHash]struct{}{}
	}
	t.keys[key] = struct{}{}
	return true
}

// cut closes the open slice. The caller holds the lock.
func (t *Tap) cut() {
	n := t.requests()
	if n == 0 {
		return
	}
	t.seen += n
	if len(t.closed) < maxClosed {
		t.open.Weight = t.routing.Weight
		t.closed = append(t.closed, t.open)
	}
	t.open = evidence.Slice{}
}
