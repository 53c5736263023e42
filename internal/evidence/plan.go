package evidence

import (
	"math"
	"time"
)

// Efficiency is about how many times the canary requests of [Bound] a rollback takes on average with all signals
// watched: the simulations measure 1.3 to 1.5, and up to 1.9 for canaries that fail at every other request.
const Efficiency = 1.5

// SmallestVisible returns the smallest error rate of a canary that is found worse on average within the given
// number of canary requests, at baseline rate p0, 0 <= p0 < 1, canary weight w, 0 < w < 1, and alpha: what a
// release cannot see stays below it. It is 1 if not even a canary that always fails would be found.
func SmallestVisible(p0, w, canaryRequests, alpha float64) float64 {
	const missed, steps = 0.01, 60
	found := func(p1 float64) bool { return Efficiency*Bound(p0, p1, w, alpha, missed) <= canaryRequests }
	low, high := p0, 1.0
	if !found(high) {
		return 1
	}
	for range steps {
		if middle := (low + high) / 2; found(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// ETA returns how long it takes until the canary has served the requests, at the canary weight w of the given
// requests per second of both versions. It is the longest duration if that is never, or no duration can say.
func ETA(canaryRequests, w, perSecond float64) time.Duration {
	seconds := canaryRequests / (w * perSecond)
	if !(w > 0 && perSecond > 0) || !(seconds < math.MaxInt64/1e9) {
		return math.MaxInt64
	}
	return time.Duration(seconds * 1e9)
}
