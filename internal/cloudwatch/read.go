package cloudwatch

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/timeseries"
)

// maxDatapoints is how many points one GetMetricStatistics returns (recorded from AWS).
const maxDatapoints = 1440

// span is what is asked for: points from a time up to another, one per period.
type span struct {
	from, to time.Time
	period   time.Duration
	sliding  bool // periods begin at from, not at multiples of the period
}

// aligned widens a span to whole periods: the first point is that of the period which from lies in.
func (s span) aligned() span {
	if s.sliding {
		return s
	}
	s.from = s.from.Truncate(s.period)
	if whole := s.to.Truncate(s.period); whole.Before(s.to) {
		s.to = whole.Add(s.period)
	}
	return s
}

func (s span) points() int64 { return int64(s.to.Sub(s.from)/s.period) + 1 }

// checkPeriod returns a period in seconds as a duration.
func checkPeriod(seconds int32, parameter string) (time.Duration, error) {
	period := time.Duration(seconds) * time.Second
	if seconds > 0 && (seconds%60 == 0 || slices.Contains([]int32{1, 5, 10, 20, 30}, seconds)) {
		return period, nil
	}
	return 0, invalidValue("The parameter %s must be 1, 5, 10, 20, 30 or a multiple of 60.", parameter)
}

// checkTimes refuses a stretch of time that is none.
func checkTimes(from, to *time.Time) error {
	switch {
	case from == nil:
		return missing("StartTime")
	case to == nil:
		return missing("EndTime")
	case !from.Before(*to):
		return invalidValue("The parameter StartTime must be less than the parameter EndTime.")
	default:
		return nil
	}
}

// point is the value of a statistic in the period that begins at a time.
type point struct {
	at    time.Time
	value float64
}

// found is what the store has of a metric.
type found struct {
	metric timeseries.Metric
	points []point // ascending
}

// read computes a statistic of exactly the named metric, one series for each unit.
func (s *Service) read(ctx context.Context, m timeseries.Metric, compute statistic, plain bool, over span) ([]found, error) {
	over = over.aligned()
	all, err := s.Store.Query(ctx, timeseries.Selector{
		Namespace: m.Namespace, Name: m.Name, Unit: m.Unit, Dimensions: m.Dimensions, Exact: true, Plain: plain,
	}, over.from, over.to, over.period)
	return computed(all, compute), err
}

// computed computes a statistic of each of several series.
func computed(all []timeseries.Series, compute statistic) []found {
	out := make([]found, 0, len(all))
	for i := range all {
		f := found{metric: all[i].Metric, points: make([]point, 0, len(all[i].Buckets))}
		for j := range all[i].Buckets {
			b := &all[i].Buckets[j]
			if v := compute(&b.Set); !math.IsNaN(v) {
				f.points = append(f.points, point{b.Start, v})
			}
		}
		out = append(out, f)
	}
	return out
}

// metricIn returns the metric that a request names.
func metricIn(namespace, name *string, unit types.StandardUnit, ds []types.Dimension) (timeseries.Metric, error) {
	switch {
	case aws.ToString(namespace) == "":
		return timeseries.Metric{}, missing("Namespace")
	case aws.ToString(name) == "":
		return timeseries.Metric{}, missing("MetricName")
	case unit != "" && !slices.Contains(unit.Values(), unit):
		return timeseries.Metric{}, invalidValue("The value %s for parameter Unit is invalid.", quoted(string(unit)))
	case len(ds) > maxDimensions:
		return timeseries.Metric{}, invalidValue("The collection Dimensions must not have a size greater than %d.", maxDimensions)
	}
	dimensions := make([]timeseries.Dimension, 0, len(ds))
	for _, d := range ds {
		if aws.ToString(d.Name) == "" || aws.ToString(d.Value) == "" {
			return timeseries.Metric{}, missing("Dimensions.member.Value")
		}
		if len(*d.Name) > maxName || len(*d.Value) > maxDimension {
			return timeseries.Metric{}, invalidValue("A dimension has a name of at most %d characters and a value of at most %d.", maxName, maxDimension)
		}
		if slices.ContainsFunc(dimensions, func(o timeseries.Dimension) bool { return o.Name == *d.Name }) {
			return timeseries.Metric{}, invalidValue("The parameter Dimensions has the name %s twice.", quoted(*d.Name))
		}
		dimensions = append(dimensions, timeseries.Dimension{Name: *d.Name, Value: *d.Value})
	}
	return timeseries.NewMetric(*namespace, *name, string(unit), dimensions...), nil
}

// GetMetricStatistics returns statistics of one metric.
func (s *Service) GetMetricStatistics(ctx context.Context, in *cloudwatch.GetMetricStatisticsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricStatisticsOutput, error) {
	metric, err := metricIn(in.Namespace, in.MetricName, in.Unit, in.Dimensions)
	if err != nil {
		return nil, err
	}
	if err := checkTimes(in.StartTime, in.EndTime); err != nil {
		return nil, err
	}
	if in.Period == nil {
		return nil, missing("Period")
	}
	period, err := checkPeriod(*in.Period, "Period")
	if err != nil {
		return nil, err
	}
	over := span{from: *in.StartTime, to: *in.EndTime, period: period}
	if n := int64(over.to.Sub(over.from) / period); n > maxDatapoints {
		return nil, invalidCombination("You have requested up to %d datapoints, which exceeds the limit of %d. "+
			"You may reduce the datapoints requested by increasing Period, or decreasing the time range.", n, maxDatapoints)
	}
	asked, err := statisticsIn(in)
	if err != nil {
		return nil, err
	}
	over = over.aligned()
	all, err := s.Store.Query(ctx, timeseries.Selector{
		Namespace: metric.Namespace, Name: metric.Name, Unit: metric.Unit, Dimensions: metric.Dimensions, Exact: true, Plain: len(in.ExtendedStatistics) == 0,
	}, over.from, over.to, over.period)
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []types.Datapoint{}}
	for i := range all {
		for j := range all[i].Buckets {
			if d, ok := datapoint(&all[i].Buckets[j], asked); ok {
				d.Unit = types.StandardUnit(all[i].Metric.Unit)
				out.Datapoints = append(out.Datapoints, d)
			}
		}
	}
	return out, nil
}

// statisticsIn returns the statistics that are asked for, by name.
func statisticsIn(in *cloudwatch.GetMetricStatisticsInput) (map[string]statistic, error) {
	if len(in.Statistics) == 0 && len(in.ExtendedStatistics) == 0 {
		return nil, invalidCombination("At least one of the parameters Statistics and ExtendedStatistics must be specified.")
	}
	if len(in.Statistics) > 5 || len(in.ExtendedStatistics) > 10 {
		return nil, invalidValue("At most 5 Statistics and 10 ExtendedStatistics may be asked for.")
	}
	asked := map[string]statistic{}
	for _, name := range in.Statistics {
		if asked[string(name)] = standardStatistics[string(name)]; asked[string(name)] == nil {
			return nil, invalidValue("The value %s for parameter Statistics is invalid.", quoted(string(name)))
		}
	}
	for _, name := range in.ExtendedStatistics {
		compute, ok := parseStatistic(name)
		if _, standard := standardStatistics[name]; !ok || standard {
			return nil, invalidValue("The value %s for parameter ExtendedStatistics is not supported.", quoted(name))
		}
		asked[name] = compute
	}
	return asked, nil
}

// datapoint computes what is asked for. ok is false if the set shows none of it.
func datapoint(b *timeseries.Interval, asked map[string]statistic) (d types.Datapoint, ok bool) {
	d.Timestamp = &b.Start
	for name, compute := range asked {
		v := compute(&b.Set)
		if math.IsNaN(v) {
			continue
		}
		ok = true
		switch name {
		case "SampleCount":
			d.SampleCount = &v
		case "Sum":
			d.Sum = &v
		case "Average":
			d.Average = &v
		case "Minimum":
			d.Minimum = &v
		case "Maximum":
			d.Maximum = &v
		default:
			if d.ExtendedStatistics == nil {
				d.ExtendedStatistics = map[string]float64{}
			}
			d.ExtendedStatistics[name] = v
		}
	}
	return d, ok
}
