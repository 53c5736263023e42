package exposition

import (
	"iter"
	"math"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"serin/internal/metrics"
)

// families are metric families in the order in which they were begun.
type families struct{ begun []*dto.MetricFamily }

// family is one of them.
type family struct{ *dto.MetricFamily }

func (f *families) begin(name, help string, kind dto.MetricType) family {
	m := &dto.MetricFamily{Name: &name, Help: &help, Type: &kind}
	f.begun = append(f.begun, m)
	return family{m}
}

func (f *families) counter(name, help string) family {
	return f.begin(name, help, dto.MetricType_COUNTER)
}

func (f *families) gauge(name, help string) family { return f.begin(name, help, dto.MetricType_GAUGE) }

func (f *families) histogram(name, help string) family {
	return f.begin(name, help, dto.MetricType_HISTOGRAM)
}

// all returns the families that have metrics.
func (f *families) all() []*dto.MetricFamily {
	var some []*dto.MetricFamily
	for _, m := range f.begun {
		if len(m.Metric) > 0 {
			some = append(some, m)
		}
	}
	return some
}

// labels are pairs of name and value, by name.
type labels []*dto.LabelPair

// label returns labels from names and values in turn, by name.
func label(pairs ...string) labels {
	l := make(labels, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		l = append(l, &dto.LabelPair{Name: &pairs[i], Value: &pairs[i+1]})
	}
	return l
}

// add appends a value.
func (f family) add(value float64, pairs ...string) { f.with(value, label(pairs...)) }

func (f family) with(value float64, l labels) *dto.Metric {
	m := &dto.Metric{Label: l}
	if f.GetType() == dto.MetricType_COUNTER {
		m.Counter = &dto.Counter{Value: &value}
	} else {
		m.Gauge = &dto.Gauge{Value: &value}
	}
	f.Metric = append(f.Metric, m)
	return m
}

// Durations are shown in two forms. Classic buckets have the bounds of the metrics package; native ones have eight for
// each power of two. A bucket of the recorder, which is at most 1/16 of its value wide, goes where its middle belongs.
const (
	nativeSchema = 3
	nativeFactor = 1.1 // the largest growth that the schema still fulfils
	// nativeZero is what counts as no time at all, in seconds: of shorter durations the recorder knows no more than the
	// microsecond.
	nativeZero = 16e-6
	isZero     = math.MinInt32 // stands for an index
)

// places says where each bucket of the recorder goes.
var places = func() (p [metrics.BucketCount]struct {
	classic int
	native  int32
},
) {
	for b := range p {
		middle := metrics.Middle(b)
		p[b].classic = metrics.BoundOf(middle)
		if p[b].native = isZero; middle.Seconds() > nativeZero {
			p[b].native = int32(math.Ceil(math.Log2(middle.Seconds()) * (1 << nativeSchema)))
		}
	}
	return p
}()

// bounds are the classic ones in seconds.
var bounds = func() (s [len(metrics.Bounds)]float64) {
	for i, bound := range metrics.Bounds {
		s[i] = bound.Seconds()
	}
	return s
}()

// durations appends a histogram. exemplar may return nil; it may be nil.
func (f family) durations(l labels, sum time.Duration, buckets iter.Seq2[int, uint64], exemplar func(bound int) *metrics.Exemplar) {
	var classic [len(metrics.Bounds) + 1]uint64
	var native spans
	var zero, count uint64
	for b, n := range buckets {
		count += n
		classic[places[b].classic] += n
		if at := places[b].native; at == isZero {
			zero += n
		} else {
			native.add(at, n)
		}
	}
	// Native buckets may be empty altogether; a zero threshold alone marks them as native.
	h := &dto.Histogram{
		SampleCount: &count, SampleSum: new(sum.Seconds()), Schema: new(int32(nativeSchema)), ZeroThreshold: new(nativeZero), ZeroCount: &zero,
		PositiveSpan: native.spans, PositiveDelta: native.deltas, Bucket: make([]*dto.Bucket, len(classic)),
	}
	all := make([]struct {
		bucket     dto.Bucket
		bound      float64
		cumulative uint64
	}, len(classic))
	var below uint64
	for i, n := range classic {
		below += n
		at := &all[i]
		at.cumulative, at.bound = below, math.Inf(1)
		if i < len(bounds) {
			at.bound = bounds[i]
		}
		at.bucket.CumulativeCount, at.bucket.UpperBound = &at.cumulative, &at.bound
		if exemplar != nil && n > 0 {
			at.bucket.Exemplar = exampleOf(exemplar(i))
		}
		h.Bucket[i] = &at.bucket
	}
	f.Metric = append(f.Metric, &dto.Metric{Label: l, Histogram: h})
}

// spans are native buckets, which come in ascending order.
type spans struct {
	spans  []*dto.BucketSpan
	deltas []int64
	next   int32 // the index after the last bucket
	last   int64 // its count
}

func (s *spans) add(index int32, n uint64) {
	switch {
	case len(s.deltas) > 0 && index == s.next-1: // two of the recorder's are in one
		s.deltas[len(s.deltas)-1] += int64(n)
		s.last += int64(n)
		return
	case len(s.deltas) > 0 && index == s.next:
		*s.spans[len(s.spans)-1].Length++
	default:
		s.spans = append(s.spans, &dto.BucketSpan{Offset: new(index - s.next), Length: new(uint32(1))})
	}
	s.deltas = append(s.deltas, int64(n)-s.last)
	s.last, s.next = int64(n), index+1
}

func exampleOf(e *metrics.Exemplar) *dto.Exemplar {
	if e == nil {
		return nil
	}
	l := label("request_id", e.RequestID)
	if e.TraceID != "" {
		l = label("request_id", e.RequestID, "trace_id", e.TraceID)
	}
	return &dto.Exemplar{Label: l, Value: new(e.Duration.Seconds()), Timestamp: timestamppb.New(e.At)}
}
