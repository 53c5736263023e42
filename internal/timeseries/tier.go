package timeseries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/compression"
)

// tier is one database with sets of one resolution. More than one sample may lie in a step; they are added up
// when they are read.
type tier struct {
	db *tsdb.DB
}

type tierConfig struct {
	dir        string
	retention  time.Duration
	block      time.Duration // what is kept in memory before it becomes a block
	outOfOrder time.Duration
	maxBytes   int64
	log        *slog.Logger
}

func openTier(cfg tierConfig) (tier, error) {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = cfg.retention.Milliseconds()
	o.MinBlockDuration = cfg.block.Milliseconds()
	o.MaxBlockDuration = max(cfg.retention/10, cfg.block).Milliseconds()
	o.OutOfOrderTimeWindow = cfg.outOfOrder.Milliseconds()
	o.MaxBytes = cfg.maxBytes
	o.StripeSize = 1 << 10
	o.WALCompression = compression.Snappy
	db, err := tsdb.Open(cfg.dir, cfg.log, nil, o, nil)
	if err != nil {
		return tier{}, fmt.Errorf("open %s: %w", cfg.dir, err)
	}
	// A compaction of late samples changes histograms that a commit may be writing to the log: the store compacts
	// when it writes nothing.
	db.DisableCompactions()
	return tier{db}, nil
}

// sample is a set at a time, in milliseconds since 1970.
type sample struct {
	at  int64
	set Set
}

// write commits samples. Samples that are there already are left as they are.
func (t tier) write(ctx context.Context, samples func(yield func(Metric, sample) bool)) error {
	app := t.db.Appender(ctx)
	for m, s := range samples {
		if err := appendSet(app, m, s); err != nil && !errors.Is(err, storage.ErrDuplicateSampleForTimestamp) {
			return errors.Join(err, app.Rollback())
		}
	}
	return app.Commit()
}

func appendSet(app storage.Appender, m Metric, s sample) error {
	least, most := s.set.visibleExtremes()
	if least != s.set.Min {
		if _, err := app.Append(0, m.labels(partMin), s.at, s.set.Min); err != nil {
			return err
		}
	}
	if most != s.set.Max {
		if _, err := app.Append(0, m.labels(partMax), s.at, s.set.Max); err != nil {
			return err
		}
	}
	whole, fractional := s.set.histogram()
	_, err := app.AppendHistogram(0, m.labels(partSet), s.at, whole, fractional)
	return err
}

// visibleExtremes returns the outer edges of the outermost buckets: the exact extremes of counts that are 0 and 1,
// as most are. They are NaN if there are none.
func (s *Set) visibleExtremes() (least, most float64) {
	least, most = math.NaN(), math.NaN()
	if len(s.Negative) > 0 || !s.Spread() {
		return least, most
	}
	if n := len(s.Positive); n > 0 {
		least, most = edge(s.Positive[0].Index), edge(s.Positive[n-1].Index)
	}
	if s.Zero > 0 {
		least = 0
		if len(s.Positive) == 0 {
			most = 0
		}
	}
	return least, most
}

// histogram returns the set as one of whole counts, which are stored more tightly, if it can be one.
func (s *Set) histogram() (*histogram.Histogram, *histogram.FloatHistogram) {
	f := &histogram.FloatHistogram{
		CounterResetHint: histogram.GaugeType, Schema: bucketSchema, Count: s.Count, Sum: s.Sum, ZeroCount: s.Zero,
		ZeroThreshold: math.SmallestNonzeroFloat32,
	}
	f.PositiveSpans, f.PositiveBuckets = spansOf(s.Positive)
	f.NegativeSpans, f.NegativeBuckets = spansOf(s.Negative)
	if !s.whole() {
		return nil, f
	}
	h := &histogram.Histogram{
		CounterResetHint: f.CounterResetHint, Schema: f.Schema, Count: uint64(f.Count), Sum: f.Sum,
		ZeroCount: uint64(f.ZeroCount), ZeroThreshold: f.ZeroThreshold, PositiveSpans: f.PositiveSpans, NegativeSpans: f.NegativeSpans,
	}
	h.PositiveBuckets, h.NegativeBuckets = deltas(s.Positive), deltas(s.Negative)
	return h, nil
}

// whole reports whether all counts are whole numbers that add up.
func (s *Set) whole() bool {
	const most = 1 << 53
	whole := s.inBuckets() == s.Count && s.Count < most && s.Zero == math.Trunc(s.Zero)
	for _, buckets := range [...][]Bucket{s.Positive, s.Negative} {
		for _, b := range buckets {
			whole = whole && b.Count == math.Trunc(b.Count)
		}
	}
	return whole
}

func spansOf(buckets []Bucket) (spans []histogram.Span, counts []float64) {
	next := int32(0)
	for i, b := range buckets {
		if gap := b.Index - next; i == 0 || gap > 0 {
			spans = append(spans, histogram.Span{Offset: gap})
		}
		spans[len(spans)-1].Length++
		counts = append(counts, b.Count)
		next = b.Index + 1
	}
	return spans, counts
}

func deltas(buckets []Bucket) []int64 {
	var ds []int64
	last := int64(0)
	for _, b := range buckets {
		ds = append(ds, int64(b.Count)-last)
		last = int64(b.Count)
	}
	return ds
}

func bucketsOf(to []Bucket, spans []histogram.Span, counts []float64) []Bucket {
	index, n := int32(0), 0
	for _, s := range spans {
		index += s.Offset
		for range s.Length {
			if counts[n] != 0 {
				to = append(to, Bucket{index, counts[n]})
			}
			index++
			n++
		}
	}
	return to
}

// read calls each with every selected metric, and what that returns with its samples from one time up to another, in
// milliseconds, in their order. The set is only valid during the call. Where each returns nil the samples are skipped.
func (t tier) read(ctx context.Context, sels []Selector, from, to int64, each func(Metric) func(int64, *Set)) error {
	q, err := t.db.Querier(from, to-1)
	if err != nil {
		return err
	}
	defer q.Close()
	for _, sel := range sels {
		if err := readSets(ctx, q, sel, each); err != nil {
			return err
		}
	}
	return nil
}

func readSets(ctx context.Context, q storage.Querier, sel Selector, each func(Metric) func(int64, *Set)) error {
	extremes := map[string]map[int64]float64{}
	for _, part := range [...]string{partMin, partMax} {
		if err := readExtremes(ctx, q, sel.matchers(part), extremes, part); err != nil {
			return err
		}
	}
	var it chunkenc.Iterator
	var f histogram.FloatHistogram
	all := q.Select(ctx, false, nil, sel.matchers(partSet)...)
	for all.Next() {
		m := metricOf(all.At().Labels())
		take := each(m)
		if take == nil {
			continue
		}
		key := m.Key()
		leasts, mosts := extremes[partMin+key], extremes[partMax+key]
		it = all.At().Iterator(it)
		var set Set
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			at, h := it.AtFloatHistogram(&f)
			if sel.Plain {
				set = plainSet(h)
			} else {
				set = Set{
					Count: h.Count, Sum: h.Sum, Zero: h.ZeroCount,
					Positive: bucketsOf(set.Positive[:0], h.PositiveSpans, h.PositiveBuckets),
					Negative: bucketsOf(set.Negative[:0], h.NegativeSpans, h.NegativeBuckets),
				}
				set.Min, set.Max = set.visibleExtremes()
			}
			if v, ok := leasts[at]; ok {
				set.Min = v
			}
			if v, ok := mosts[at]; ok {
				set.Max = v
			}
			take(at, &set)
		}
		if err := it.Err(); err != nil {
			return err
		}
	}
	return all.Err()
}

// plainSet is a set without its distribution, whose visible extremes it has.
func plainSet(h *histogram.FloatHistogram) Set {
	outer := Set{Count: h.Count, Zero: h.ZeroCount}
	var room [2]Bucket
	outer.Positive = outermost(room[:0], h.PositiveSpans, h.PositiveBuckets)
	negative := outermost(nil, h.NegativeSpans, h.NegativeBuckets)
	outer.Negative = negative
	set := Set{Count: h.Count, Sum: h.Sum}
	set.Min, set.Max = outer.visibleExtremes()
	return set
}

// outermost returns the first and the last bucket, which counts all but the first.
func outermost(to []Bucket, spans []histogram.Span, counts []float64) []Bucket {
	index, n := int32(0), 0
	for _, s := range spans {
		index += s.Offset
		for range s.Length {
			switch c := counts[n]; {
			case c == 0:
			case len(to) < 2:
				to = append(to, Bucket{index, c})
			default:
				to[1] = Bucket{index, to[1].Count + c}
			}
			index++
			n++
		}
	}
	return to
}

func readExtremes(ctx context.Context, q storage.Querier, ms []*labels.Matcher, into map[string]map[int64]float64, part string) error {
	var it chunkenc.Iterator
	all := q.Select(ctx, false, nil, ms...)
	for all.Next() {
		m := metricOf(all.At().Labels())
		values := map[int64]float64{}
		it = all.At().Iterator(it)
		for it.Next() != chunkenc.ValNone {
			at, v := it.At()
			values[at] = v
		}
		if err := it.Err(); err != nil {
			return err
		}
		into[part+m.Key()] = values
	}
	return all.Err()
}

// metrics calls each with every metric that has samples near the stretch of time.
func (t tier) metrics(ctx context.Context, sel Selector, from, to int64, each func(Metric)) error {
	q, err := t.db.Querier(from, to-1)
	if err != nil {
		return err
	}
	defer q.Close()
	all := q.Select(ctx, false, &storage.SelectHints{Start: from, End: to, Func: "series"}, sel.matchers(partSet)...)
	for all.Next() {
		m := metricOf(all.At().Labels())
		each(m)
	}
	return all.Err()
}
