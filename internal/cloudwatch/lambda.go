package cloudwatch

import (
	"time"

	"serin/internal/metrics"
	"serin/internal/timeseries"
)

// lambdaNamespace is where Lambda writes; users cannot.
const lambdaNamespace = "AWS/Lambda"

// lambdaMetric says how a measure is called.
type lambdaMetric struct{ name, unit string }

// lambdaMetrics are the metrics of Lambda. Invocations and Errors come with Duration: all three have one value for
// each invocation, so that the average of Errors is the error rate. InitDuration is Serin's own.
var lambdaMetrics = map[metrics.Measure]lambdaMetric{
	metrics.MeasureInvocation:         {"Duration", unitMilliseconds},
	metrics.MeasureInit:               {"InitDuration", unitMilliseconds},
	metrics.MeasureThrottle:           {"Throttles", unitCount},
	metrics.MeasureProvisioned:        {"ProvisionedConcurrencyInvocations", unitCount},
	metrics.MeasureSpillover:          {"ProvisionedConcurrencySpilloverInvocations", unitCount},
	metrics.MeasureConcurrency:        {"ConcurrentExecutions", unitCount},
	metrics.MeasureEventReceived:      {"AsyncEventsReceived", unitCount},
	metrics.MeasureEventAge:           {"AsyncEventAge", unitMilliseconds},
	metrics.MeasureEventDropped:       {"AsyncEventsDropped", unitCount},
	metrics.MeasureDestinationFailure: {"DestinationDeliveryFailures", unitCount},
	metrics.MeasureDeadLetterFailure:  {"DeadLetterErrors", unitCount},
}

const (
	unitCount        = "Count"
	unitMilliseconds = "Milliseconds"
)

// collector aggregates what was measured in a second. It keeps what is costly to make from one second to the next.
type collector struct {
	spent  []metrics.Measured
	named  map[named]timeseries.Value
	groups map[group]*sums
}

// group is what measurements have in common that are added up.
type group struct {
	metrics.Subject

	second  int64
	measure metrics.Measure
	views   metrics.Views
}

// sums of a group. failures are those of invocations.
type sums struct{ values, failures timeseries.Set }

// named is a metric of Lambda in one of the dimension sets of a subject.
type named struct {
	metrics.Subject

	view metrics.Views
	name string
}

// maxNamed bounds the metrics that a collector remembers: more than 10,000 functions with three versions have.
const maxNamed = 1 << 20

// collect takes what was measured and returns it by metric and second.
func (c *collector) collect(r *metrics.Recorder) (values []timeseries.Value, dropped uint64) {
	if c.named == nil || len(c.named) > maxNamed {
		c.named = map[named]timeseries.Value{}
	}
	c.groups = map[group]*sums{}
	c.spent, dropped = r.Drain(c.spent)
	for i := range c.spent {
		c.add(&c.spent[i])
	}
	clear(c.spent) // or their names would be kept
	for g, s := range c.groups {
		values = c.values(values, &g, s)
	}
	return values, dropped
}

func (c *collector) add(m *metrics.Measured) {
	key := group{m.Subject, m.At / 1000 * 1000, m.Measure, m.Views}
	s, ok := c.groups[key]
	if !ok {
		s = &sums{}
		c.groups[key] = s
	}
	set := measured(m)
	s.values.Merge(&set)
	if m.Failed > 0 {
		s.failures.Add(1, float64(m.Failed))
	}
	if worked := m.Count - m.Failed; worked > 0 {
		s.failures.Add(0, float64(worked))
	}
}

// measured returns what was measured as a set.
func measured(m *metrics.Measured) timeseries.Set {
	if len(m.Buckets) == 0 {
		return timeseries.Of(m.Min, float64(m.Count))
	}
	var s timeseries.Set
	for _, b := range m.Buckets {
		s.Add(b.Value, float64(b.Count))
	}
	s.Sum, s.Min, s.Max = m.Sum, m.Min, m.Max
	return s
}

// values appends the values of a group for every dimension set that it counts for.
func (c *collector) values(to []timeseries.Value, g *group, s *sums) []timeseries.Value {
	at := time.UnixMilli(g.second)
	add := func(view metrics.Views, m lambdaMetric, set timeseries.Set) {
		v := c.value(g.Subject, view, m)
		v.At, v.Set = at, set
		to = append(to, v)
	}
	for _, view := range [...]metrics.Views{metrics.ViewAccount, metrics.ViewFunction, metrics.ViewResource, metrics.ViewVersion} {
		if g.views&view == 0 {
			continue
		}
		add(view, lambdaMetrics[g.measure], s.values)
		if g.measure == metrics.MeasureInvocation {
			add(view, lambdaMetric{"Invocations", unitCount}, timeseries.Of(1, s.values.Count))
			add(view, lambdaMetric{"Errors", unitCount}, s.failures)
		}
	}
	return to
}

// value returns a value without its set: the metric of a subject in one dimension set.
func (c *collector) value(subject metrics.Subject, view metrics.Views, m lambdaMetric) timeseries.Value {
	if view < metrics.ViewVersion {
		subject.Version = 0
	}
	if view < metrics.ViewResource {
		subject.Qualifier = ""
	}
	if view < metrics.ViewFunction {
		subject.Function = ""
	}
	key := named{subject, view, m.name}
	v, ok := c.named[key]
	if !ok {
		v.Metric = timeseries.NewMetric(lambdaNamespace, m.name, m.unit, dimensionsOf(subject, view)...)
		v.Key = v.Metric.Key()
		c.named[key] = v
	}
	return v
}

// dimensionsOf names a subject as Lambda does: the resource is a name with its qualifier, never an ARN.
func dimensionsOf(s metrics.Subject, view metrics.Views) []timeseries.Dimension {
	var ds []timeseries.Dimension
	if view >= metrics.ViewFunction {
		ds = append(ds, timeseries.Dimension{Name: "FunctionName", Value: s.Function})
	}
	if view >= metrics.ViewResource {
		resource := s.Function
		if s.Qualifier != "" {
			resource += ":" + s.Qualifier
		}
		ds = append(ds, timeseries.Dimension{Name: "Resource", Value: resource})
	}
	if view >= metrics.ViewVersion {
		ds = append(ds, timeseries.Dimension{Name: "ExecutedVersion", Value: s.Version.String()})
	}
	return ds
}
