package metrics

import (
	"maps"
	"sync"
	"time"

	"serin"
	"serin/internal/evidence"
)

// The size of a block: whichever comes first (EVIDENCE: about 20 finished requests or 50 ms).
const (
	BlockRequests = 20
	BlockAge      = 50 * time.Millisecond
)

// maxClosed bounds the memory of a tap that nobody drains. What is dropped beyond it is dropped without
// looking at versions or outcomes, so the evidence stays valid.
const maxClosed = 1 << 16

// maxKeys bounds how many routing keys a tap tells apart. Requests of keys beyond it do not count, whatever their
// versions and outcomes are, so the evidence stays valid.
const maxKeys = 1 << 20

// Block is a closed block and the canary's share, 0 to 1, under which its requests were routed.
type Block struct {
	Weight float64
	evidence.Block
}

// Tap cuts the finished requests of one alias into label-blind blocks for one release. A block holds only
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
	open    evidence.Block
	opened  time.Time
	closed  []Block
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
// additional version. An open block is closed under the routing that it was filled by.
func (t *Tap) Expect(routing serin.Routing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.routing != routing {
		t.cut()
		t.routing = routing
	}
}

// Ready is signalled when a block has closed or the first request of a new block has come in; in the
// second case the block is due after [BlockAge].
func (t *Tap) Ready() <-chan struct{} { return t.notify }

// Drain returns the closed blocks, oldest first, and for how long the open block still waits for requests;
// 0 means that there is none. It closes a block of age [BlockAge].
func (t *Tap) Drain(now time.Time) (blocks []Block, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open != (evidence.Block{}) {
		if wait = t.opened.Add(BlockAge).Sub(now); wait <= 0 {
			t.cut()
			wait = 0
		}
	}
	blocks, t.closed = t.closed, nil
	return blocks, wait
}

func (t *Tap) record(s Sample, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Routing != t.routing || !s.Routing.Weighted() {
		return
	}
	t.observe(s, now)
	if s.Undrawn || !t.firstOf(s.Key) {
		return
	}
	first := t.open == (evidence.Block{})
	if first {
		t.opened = now
	}
	one := evidence.Block{BaselineRequests: 1}
	if s.Version == s.Routing.Additional {
		one = evidence.Block{CanaryRequests: 1}
	}
	if s.Outcome.Failed() {
		one.BaselineErrors, one.CanaryErrors = one.BaselineRequests, one.CanaryRequests
	}
	t.open = t.open.Add(one)
	full := t.open.BaselineRequests+t.open.CanaryRequests >= BlockRequests
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

// cut closes the open block. The caller holds the lock.
func (t *Tap) cut() {
	if t.open == (evidence.Block{}) {
		return
	}
	if len(t.closed) < maxClosed {
		t.closed = append(t.closed, Block{Weight: t.routing.Weight, Block: t.open})
	}
	t.open = evidence.Block{}
}
