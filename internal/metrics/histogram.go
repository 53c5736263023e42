package metrics

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in logarithmic buckets with 16 sub-buckets per power of two, so that a
// quantile is off by at most 1/16 of its value. It takes concurrent observations without a lock.
type histogram struct {
	sum     atomic.Int64 // nanoseconds
	max     atomic.Int64
	buckets [bucketCount]atomic.Uint32
}

const (
	subBits     = 4
	subCount    = 1 << subBits
	unit        = time.Microsecond // finer differences are noise
	bucketCount = (40 - subBits + 1) * subCount
)

func (h *histogram) observe(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
	for {
		old := h.max.Load()
		if int64(d) <= old || h.max.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func bucketOf(d time.Duration) int {
	v := uint64(d / unit)
	if v < subCount {
		return int(v)
	}
	exp := bits.Len64(v) - subBits - 1
	return min(exp*subCount+int(v>>exp), bucketCount-1)
}

// upperEdge is the largest duration that falls into a bucket.
func upperEdge(b int) time.Duration {
	if b < subCount {
		return time.Duration(b+1)*unit - 1
	}
	exp := b/subCount - 1
	return time.Duration((uint64(b%subCount+subCount)+1)<<exp)*unit - 1
}

// summary reads the histogram; concurrent observations may be half counted.
func (h *histogram) summary() Durations {
	var n uint64
	for b := range h.buckets {
		n += uint64(h.buckets[b].Load())
	}
	if n == 0 {
		return Durations{}
	}
	d := Durations{
		Count: int(n), Mean: time.Duration(h.sum.Load() / int64(n)), Max: time.Duration(h.max.Load()),
	}
	targets := []struct {
		rank  uint64
		value *time.Duration
	}{{rank(n, 0.50), &d.P50}, {rank(n, 0.95), &d.P95}, {rank(n, 0.99), &d.P99}}
	var seen uint64
	for b := range h.buckets {
		seen += uint64(h.buckets[b].Load())
		for len(targets) > 0 && seen >= targets[0].rank {
			*targets[0].value = min(upperEdge(b), d.Max)
			targets = targets[1:]
		}
	}
	return d
}

func rank(n uint64, q float64) uint64 { return max(1, uint64(math.Ceil(q*float64(n)))) }

// Durations summarises observed durations. Quantiles are upper bounds, at most 1/16 too high.
type Durations struct {
	Count               int
	Mean, P50, P95, P99 time.Duration
	Max                 time.Duration
}
