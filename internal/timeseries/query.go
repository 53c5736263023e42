package timeseries

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Series is what a query returns of one metric.
type Series struct {
	Metric  Metric
	Buckets []Interval // ascending
}

// Interval is a stretch of time that begins at Start and the values in it.
type Interval struct {
	Start time.Time
	Set   Set
}

// Query returns what the selected metrics measured from a time up to another, in intervals of a period that start
// at multiples of it. An interval without values is left out. Periods below a minute see the last hours ([Fine]) alone;
// others must be whole minutes.
func (s *Store) Query(ctx context.Context, sel Selector, from, to time.Time, period time.Duration) ([]Series, error) {
	return s.query(ctx, []Selector{sel}, func(Metric) bool { return true }, from, to, 0, period)
}

type metricName struct{ namespace, name string }

// groupFrom is how many metrics of one name are cheaper to read by one lookup of all that have the name.
const groupFrom = 16

// QueryAll is [Store.Query] for exactly the given metrics, of any unit: theirs is not looked at. Its intervals follow each
// other from the first time on. Plain sets are without their distributions.
func (s *Store) QueryAll(ctx context.Context, metrics []Metric, plain bool, from, to time.Time, period time.Duration) ([]Series, error) {
	groups, wanted := map[metricName][]Metric{}, map[string]bool{}
	for _, m := range metrics {
		m.Unit = ""
		if key := m.Key(); !wanted[key] {
			wanted[key] = true
			named := metricName{m.Namespace, m.Name}
			groups[named] = append(groups[named], m)
		}
	}
	var sels []Selector
	for named, group := range groups {
		if len(group) >= groupFrom {
			sels = append(sels, Selector{Namespace: named.namespace, Name: named.name, Plain: plain})
			continue
		}
		for _, m := range group {
			sels = append(sels, Selector{Namespace: m.Namespace, Name: m.Name, Dimensions: m.Dimensions, Exact: true, Plain: plain})
		}
	}
	return s.query(ctx, sels, func(m Metric) bool {
		m.Unit = ""
		return wanted[m.Key()]
	}, from, to, from.UnixMilli(), period)
}

func (s *Store) query(ctx context.Context, sels []Selector, wanted func(Metric) bool, from, to time.Time, origin int64, period time.Duration) ([]Series, error) {
	start, end, step := from.UnixMilli(), to.UnixMilli(), period.Milliseconds()
	sums := map[string]*Series{}
	collect := func(m Metric) func(int64, *Set) {
		if !wanted(m) {
			return nil
		}
		key := m.Key()
		series, ok := sums[key]
		if !ok {
			series = &Series{Metric: m}
			sums[key] = series
		}
		return func(at int64, set *Set) { series.add(time.UnixMilli(origin+(at-origin)/step*step).UTC(), set) }
	}
	s.tiers.RLock()
	defer s.tiers.RUnlock()
	var err error
	if step < minute {
		err = s.seconds.read(ctx, sels, start, end, collect)
	} else {
		if err = s.minutes.read(ctx, sels, start, end, collect); err == nil && end > s.rolledUp {
			err = s.seconds.read(ctx, sels, max(start, s.rolledUp), end, collect)
		}
	}
	if err != nil {
		return nil, err
	}
	all := make([]Series, 0, len(sums))
	for _, series := range sums {
		if len(series.Buckets) > 0 {
			slices.SortFunc(series.Buckets, func(a, b Interval) int { return a.Start.Compare(b.Start) })
			all = append(all, *series)
		}
	}
	slices.SortFunc(all, func(a, b Series) int { return a.Metric.Compare(b.Metric) })
	return all, nil
}

// add merges a set into the interval that starts at a time. Samples come almost in order.
func (s *Series) add(start time.Time, set *Set) {
	for i := len(s.Buckets) - 1; i >= 0; i-- {
		switch s.Buckets[i].Start.Compare(start) {
		case 0:
			s.Buckets[i].Set.Merge(set)
			return
		case 1:
			continue
		}
		break
	}
	s.Buckets = append(s.Buckets, Interval{Start: start})
	s.Buckets[len(s.Buckets)-1].Set.Merge(set)
}

// Metrics returns the selected metrics that have values in about the stretch of time, in order.
func (s *Store) Metrics(ctx context.Context, sel Selector, from, to time.Time) ([]Metric, error) {
	found := map[string]Metric{}
	collect := func(m Metric) { found[m.Key()] = m }
	s.tiers.RLock()
	defer s.tiers.RUnlock()
	for _, t := range [...]tier{s.seconds, s.minutes} {
		if err := t.metrics(ctx, sel, from.UnixMilli(), to.UnixMilli(), collect); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Values(found), Metric.Compare), nil
}
