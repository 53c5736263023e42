package cloudwatch

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/timeseries"
)

// Watch is one series that is computed time and again: a metric, or an expression on metrics. It never changes.
type Watch struct {
	// Period is that of the series.
	Period  time.Duration
	queries []*query
	result  *query
}

// maxWatched is how many metrics and expressions one alarm may be of (AWS documentation: ten metrics; with as many
// expressions).
const maxWatched = 20

// NewWatch returns the watch of queries of which exactly one, not of hidden data, is the series.
//
// Errors: those of GetMetricData, and ValidationError for more or fewer series than one, for SEARCH, and for metrics of
// different periods.
func NewWatch(in []types.MetricDataQuery) (*Watch, error) {
	if len(in) > maxWatched {
		return nil, validation("The collection Metrics must not have a size greater than %d.", maxWatched)
	}
	queries, err := queriesIn(in)
	if err != nil {
		return nil, err
	}
	w := &Watch{queries: queries}
	for _, q := range queries {
		if q.period > 0 && w.Period > 0 && q.period != w.Period {
			return nil, validation("Metrics list must have the same period for all metrics and expressions.")
		}
		w.Period = max(w.Period, q.period)
		if q.expression != nil && q.expression.calls("SEARCH") {
			return nil, validation("SEARCH is not supported in the expressions of an alarm.")
		}
		if !q.hidden {
			if w.result != nil {
				return nil, validation("Metrics list must contain exactly one metric or expression with ReturnData set to true.")
			}
			w.result = q
		}
	}
	switch {
	case w.result == nil:
		return nil, validation("Metrics list must contain exactly one metric or expression with ReturnData set to true.")
	case w.Period == 0:
		return nil, validation("Metrics list must contain a metric or an expression with a Period.")
	}
	for _, q := range queries {
		if q.period == 0 {
			q.period = w.Period
		}
	}
	// Without data the types of an expression are as they are with it.
	e := &evaluation{ctx: context.Background(), queries: queries, from: time.Unix(0, 0), to: time.Unix(0, 0).Add(w.Period), done: map[string]value{}, running: map[string]bool{}, fetched: func(*query) []timeseries.Series { return nil }}
	for _, q := range queries {
		if _, err := e.of(q); err != nil {
			return nil, err
		}
	}
	if v := e.done[w.result.id]; v.scalar || !v.single {
		return nil, validation("Error in expression '%s': The result must be a single time series.", w.result.id)
	}
	return w, nil
}

// calls reports whether a function is called in an expression.
func (n *node) calls(function string) bool {
	return n.kind == nodeCall && n.text == function || slices.ContainsFunc(n.args, func(a *node) bool { return a.calls(function) })
}

// Look asks a watch for its points in a number of periods that end at a time, a multiple of a minute or of the period.
type Look struct {
	Watch   *Watch
	End     time.Time
	Periods int
}

// Seen is a point of a watch. Count is the number of measurements behind it, 0 for one that is computed of several.
type Seen struct {
	At           time.Time
	Value, Count float64
}

func (l *Look) from() time.Time { return l.End.Add(-time.Duration(l.Periods) * l.Watch.Period) }

// window is a stretch of time that metrics are read for.
type window struct {
	from, to int64 // milliseconds
	period   time.Duration
	plain    bool
}

func (l *Look) window() window {
	return window{l.from().UnixMilli(), l.End.UnixMilli(), l.Watch.Period, !slices.ContainsFunc(l.Watch.queries, func(q *query) bool {
		return q.expression == nil && !q.plain()
	})}
}

// See calls each with the points of every look, oldest first, or the error that kept it from them. Metrics of the same
// name and stretch of time are read at once.
func (s *Service) See(ctx context.Context, looks []Look, each func(i int, points []Seen, err error)) error {
	metrics := map[window][]timeseries.Metric{}
	for i := range looks {
		for _, q := range looks[i].Watch.queries {
			if q.expression == nil {
				metrics[looks[i].window()] = append(metrics[looks[i].window()], q.metric)
			}
		}
	}
	series := map[window]map[string][]timeseries.Series{}
	for w, ms := range metrics {
		all, err := s.Store.QueryAll(ctx, ms, w.plain, time.UnixMilli(w.from), time.UnixMilli(w.to), w.period)
		if err != nil {
			return err
		}
		series[w] = map[string][]timeseries.Series{}
		for _, found := range all {
			key := withoutUnit(found.Metric)
			series[w][key] = append(series[w][key], found)
		}
	}
	for i := range looks {
		points, err := s.see(ctx, &looks[i], series[looks[i].window()])
		each(i, points, err)
	}
	return nil
}

func withoutUnit(m timeseries.Metric) string {
	m.Unit = ""
	return m.Key()
}

func (s *Service) see(ctx context.Context, l *Look, series map[string][]timeseries.Series) ([]Seen, error) {
	fetched := func(q *query) []timeseries.Series {
		all := series[withoutUnit(q.metric)]
		if q.metric.Unit == "" {
			return all
		}
		return slices.DeleteFunc(slices.Clone(all), func(found timeseries.Series) bool { return found.Metric.Unit != q.metric.Unit })
	}
	if q := l.Watch.result; q.expression == nil {
		return seen(fetched(q), q.compute), nil
	}
	e := &evaluation{
		service: s, ctx: ctx, queries: l.Watch.queries, from: l.from(), to: l.End, sliding: true, fetched: fetched,
		done: map[string]value{}, running: map[string]bool{},
	}
	v, err := e.of(l.Watch.result)
	if err != nil {
		return nil, err
	}
	var points []Seen
	for _, line := range v.list {
		for _, p := range line.points {
			points = append(points, Seen{At: p.at, Value: p.value})
		}
	}
	return points, nil
}

// seen computes a statistic of a metric. Of several units the first has the say where they meet.
func seen(all []timeseries.Series, compute statistic) []Seen {
	var points []Seen
	for i := range all {
		for j := range all[i].Buckets {
			b := &all[i].Buckets[j]
			if v := compute(&b.Set); !math.IsNaN(v) {
				points = append(points, Seen{b.Start, v, b.Set.Count})
			}
		}
	}
	if len(all) > 1 {
		slices.SortStableFunc(points, func(a, b Seen) int { return a.At.Compare(b.At) })
		points = slices.CompactFunc(points, func(a, b Seen) bool { return a.At.Equal(b.At) })
	}
	return points
}
