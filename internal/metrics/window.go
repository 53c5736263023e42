package metrics

import (
	"math"
	"sync/atomic"
)

// firstSeats is how many requests of a canary may be in flight before anything is known of it.
const firstSeats = 4

// window bounds how many requests of a canary are in flight, so that a version that hangs holds up few users before the
// first of them runs into its time limit. A round of as many requests as there are seats, all of which succeed,
// doubles them; a failure begins the round anew. It takes no lock.
type window struct {
	seats, taken, clean atomic.Int64
}

// maxSeats stands for no bound.
const maxSeats = math.MaxInt64 / 4

func (w *window) enter() bool {
	if w.taken.Add(1) > w.seats.Load() {
		w.taken.Add(-1)
		return false
	}
	return true
}

func (w *window) succeeded() {
	seats := w.seats.Load()
	if n := w.clean.Add(1); n >= seats && w.clean.CompareAndSwap(n, 0) {
		w.seats.CompareAndSwap(seats, min(2*seats, maxSeats))
	}
}

// Enter takes a seat among the requests that the canary may have in flight, for a request that is about to be routed
// or, without a look at its version, has just been. If there is none, the request goes to the baseline and does
// not count as evidence: its version was not drawn. Whoever has a seat calls [Tap.Leave].
func (t *Tap) Enter() bool { return t.window.enter() }

// Leave gives a seat back.
func (t *Tap) Leave() { t.window.taken.Add(-1) }

// Judged tells how a request of the canary ended, before its seat is given back.
func (t *Tap) Judged(failed bool) {
	if failed {
		t.window.clean.Store(0)
		return
	}
	t.window.succeeded()
}

// Open removes the bound on what the canary has in flight: it has been promoted.
func (t *Tap) Open() { t.window.seats.Store(maxSeats) }

// Seats returns how many requests of the canary may be in flight now.
func (t *Tap) Seats() int64 { return t.window.seats.Load() }

// Tap returns the tap on an alias, nil if no release watches it.
func (r *Recorder) Tap(function, alias string) *Tap {
	return (*r.taps.Load())[aliasKey{function, alias}]
}
