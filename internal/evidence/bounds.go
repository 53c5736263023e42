package evidence

import "math"

// KL returns the relative entropy in nats of a coin with probability p from one with probability q,
// 0 <= p, q <= 1: +Inf if q rules out what p allows.
func KL(p, q float64) float64 {
	kl := 0.0
	if p > 0 {
		kl += p * math.Log(p/q)
	}
	if p < 1 {
		kl += (1 - p) * (math.Log1p(-p) - math.Log1p(-q))
	}
	return kl
}

// BoundKnown returns the least mean number of canary requests with which any test can find that the canary
// fails at rate p1 when the baseline's rate p0 is known for certain. The test may roll back a good canary
// with probability alpha and miss the bad one with probability beta (Wald). It is +Inf if p1 <= p0.
func BoundKnown(p0, p1, alpha, beta float64) float64 {
	if p1 <= p0 {
		return math.Inf(1)
	}
	return KL(1-beta, alpha) / KL(p1, p0)
}

// Bound is [BoundKnown] for a baseline whose rate is known only through the share 1-w of the same traffic:
// the least mean number of canary requests of any test that compares the two streams, 0 < w < 1. It is +Inf
// if p1 <= p0.
func Bound(p0, p1, w, alpha, beta float64) float64 {
	if p1 <= p0 {
		return math.Inf(1)
	}
	same := w*p1 + (1-w)*p0
	return w * KL(1-beta, alpha) / (w*KL(p1, same) + (1-w)*KL(p0, same))
}

// NeededCanaryRequests returns the least mean number of canary requests with which any test can exclude that
// the canary is worse by delta when both versions fail at rate b, 0 <= b < 1, at canary weight w, 0 < w < 1:
// the length of a release before it starts. The test may accept a canary that is worse by delta with
// probability alpha and miss a good one with probability beta. [Safety] needs about 1.1 to 1.5 times as
// many. It is +Inf unless 0 < delta < 1.
func NeededCanaryRequests(b, w, delta, alpha, beta float64) float64 {
	if !(delta > 0 && delta < 1) {
		return math.Inf(1)
	}
	b0 := nearestNull(b, b, w, delta)
	return w * KL(1-beta, alpha) / (w*KL(b, b0+delta) + (1-w)*KL(b, b0))
}
