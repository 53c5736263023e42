package metrics

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
)

// calls adds up the invocations of one subject that started in the present second, without a lock. It has two halves.
// Invocations are added to one of them while [Recorder.Drain] empties the other. An invocation first counts itself as
// begun in the half that the top bit of the same word names, and last as ended there, so the drain knows when the half
// that it took away is complete. (prometheus/client_golang's histogram does so too.)
type calls struct {
	begun   atomic.Uint64 // the top bit names the half
	running *gauge
	halves  [2]half
	subject Subject
	views   Views
}

const (
	halfBit  = 63
	noSecond = -1 // no invocation has started then
)

// half is what was measured of the invocations of one second.
type half struct {
	ended          atomic.Uint64
	second         int64 // milliseconds since 1970; changes only while no invocation sees it
	sum            atomic.Int64
	least, most    atomic.Int64 // nanoseconds, as sum
	failed         atomic.Uint64
	throttles      atomic.Uint64
	ofProvisioning [capacityCount]atomic.Uint64
	octaves        [octaveCount]atomic.Pointer[octave]
}

// The distribution of durations: 32 buckets per power of two of milliseconds, of which a subject has only the octaves
// that it has needed. Shorter and longer durations count in the outermost buckets.
const (
	octaveBuckets = 32
	firstOctave   = -10 // the first bucket is that of a microsecond
	octaveCount   = 30  // up to 17 minutes
)

type octave [octaveBuckets]atomic.Uint32

func secondOf(t time.Time) int64 { return t.Unix() * 1000 }

// start makes calls ready for the invocations of a subject.
func (c *calls) start(subject Subject, views Views, running *gauge, second int64) {
	c.subject, c.views, c.running = subject, views, running
	for i := range c.halves {
		c.halves[i].second = second
		c.halves[i].least.Store(math.MaxInt64)
	}
}

// enter returns where an invocation that started in a second is added, until leave; nil if the second is not the
// present one.
func (c *calls) enter(second int64) *half {
	h := &c.halves[c.begun.Add(1)>>halfBit]
	if h.second != second {
		h.leave()
		return nil
	}
	return h
}

func (h *half) leave() { h.ended.Add(1) }

func (h *half) observe(d time.Duration, failed bool, capacity Capacity) {
	d = max(d, 0)
	h.sum.Add(int64(d))
	for least := h.least.Load(); int64(d) < least && !h.least.CompareAndSwap(least, int64(d)); {
		least = h.least.Load()
	}
	for most := h.most.Load(); int64(d) > most && !h.most.CompareAndSwap(most, int64(d)); {
		most = h.most.Load()
	}
	if failed {
		h.failed.Add(1)
	}
	if capacity != OnDemand {
		h.ofProvisioning[capacity].Add(1)
	}
	b := fineBucketOf(d)
	o := h.octaves[b/octaveBuckets].Load()
	if o == nil {
		h.octaves[b/octaveBuckets].CompareAndSwap(nil, &octave{})
		o = h.octaves[b/octaveBuckets].Load()
	}
	o[b%octaveBuckets].Add(1)
}

// fineBucketOf returns the bucket of durations above 2^((b-1)/32) and up to 2^(b/32) microseconds, about.
func fineBucketOf(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	b := int(math.Ceil((math.Log2(milliseconds(d)) - firstOctave) * octaveBuckets))
	return min(max(b, 0), octaveCount*octaveBuckets-1)
}

// fineValue is the middle of a bucket in milliseconds.
func fineValue(b int) float64 {
	return math.Exp2((float64(b)-0.5)/octaveBuckets + firstOctave)
}

// drain appends what was added since the last drain. next is the second that counts from now on. There is one drain
// at a time.
func (c *calls) drain(to []Measured, next int64) []Measured {
	old := c.begun.Load() >> halfBit
	c.halves[1-old].second = next
	begun := c.begun.Swap((1-old)<<halfBit) &^ (1 << halfBit)
	h := &c.halves[old]
	for h.ended.Load() != begun {
		runtime.Gosched() // an invocation is adding itself
	}
	if begun == 0 {
		return to
	}
	h.ended.Store(0)
	return h.take(to, c)
}

// take appends what a half has, and empties it.
func (h *half) take(to []Measured, c *calls) []Measured {
	if n := h.throttles.Swap(0); n > 0 {
		subject := c.subject
		subject.Version = 0
		to = append(to, h.counted(subject, MeasureThrottle, callers, n))
	}
	for capacity, measure := range map[Capacity]Measure{Provisioned: MeasureProvisioned, Spillover: MeasureSpillover} {
		if n := h.ofProvisioning[capacity].Swap(0); n > 0 {
			to = append(to, h.counted(c.subject, measure, c.views&ownViews, n))
		}
	}
	m := Measured{
		Subject: c.subject, Measure: MeasureInvocation, Views: c.views, At: h.second, Failed: h.failed.Swap(0),
		Sum: milliseconds(time.Duration(h.sum.Swap(0))), Max: milliseconds(time.Duration(h.most.Swap(0))),
		Min: milliseconds(time.Duration(h.least.Swap(math.MaxInt64))),
	}
	for i := range h.octaves {
		o := h.octaves[i].Load()
		if o == nil {
			continue
		}
		for j := range o {
			if n := o[j].Load(); n > 0 {
				o[j].Store(0)
				m.Count += uint64(n)
				m.Buckets = append(m.Buckets, Bucket{fineValue(i*octaveBuckets + j), uint64(n)})
			}
		}
	}
	if m.Count > 0 {
		to = append(to, m)
	}
	return to
}

// counted is a number of things.
func (h *half) counted(s Subject, measure Measure, views Views, n uint64) Measured {
	return Measured{Subject: s, Measure: measure, Views: views, At: h.second, Count: n, Sum: float64(n), Min: 1, Max: 1}
}
