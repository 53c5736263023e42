package cloudwatch

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/timeseries"
)

// Limits of PutMetricData (AWS documentation).
const (
	maxData       = 1000
	maxValues     = 150
	maxDimensions = 30
	maxName       = 255
	maxDimension  = 1024 // characters of a dimension's value
)

// largest is the bound on the magnitude of values, 2^360.
var largest = math.Exp2(360)

// PutMetricData takes values of metrics. They can be read after a second.
//
// Errors: as AWS; KindThrottled if more is put than can be written.
func (s *Service) PutMetricData(_ context.Context, in *cloudwatch.PutMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error) {
	namespace := aws.ToString(in.Namespace)
	data := in.MetricData
	for _, e := range in.EntityMetricData {
		data = append(data, e.MetricData...)
	}
	switch {
	case namespace == "":
		return nil, missing("Namespace")
	case strings.HasPrefix(namespace, "AWS/"):
		return nil, invalidValue("The value AWS/ for parameter Namespace is invalid.")
	case len(namespace) > maxName || strings.HasPrefix(namespace, ":") || !plain(namespace):
		return nil, validation("1 validation error detected: Value '%s' at 'namespace' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:].* and be of 1 to %d ASCII characters", quoted(namespace), maxName)
	case len(data) == 0:
		return nil, missing("MetricData")
	case len(data) > maxData:
		return nil, invalidValue("The collection MetricData must not have a size greater than %d.", maxData)
	}
	now := s.Now()
	values := make([]timeseries.Value, 0, len(data))
	for i := range data {
		v, err := valueOf(namespace, &data[i], i+1, now)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	if err := s.Store.Add(values...); err != nil {
		return nil, err
	}
	return &cloudwatch.PutMetricDataOutput{}, nil
}

// valueOf checks the nth datum, from 1, as errors name it.
func valueOf(namespace string, d *types.MetricDatum, n int, now time.Time) (timeseries.Value, error) {
	var v timeseries.Value
	name := aws.ToString(d.MetricName)
	if name == "" {
		return v, refuse(ReasonMissing, "The parameter MetricData.member.%d.MetricName is required.", n)
	}
	if len(name) > maxName || !plain(name) {
		return v, invalidValue("The parameter MetricData.member.%d.MetricName must be 1 to %d ASCII characters.", n, maxName)
	}
	unit := string(d.Unit)
	if unit == "" {
		unit = string(types.StandardUnitNone)
	}
	if !slices.Contains(types.StandardUnit("").Values(), types.StandardUnit(unit)) {
		return v, invalidValue("The parameter MetricData.member.%d.Unit must be a value in the set %v.", n, types.StandardUnit("").Values())
	}
	if r := d.StorageResolution; r != nil && *r != 1 && *r != 60 {
		return v, invalidValue("The parameter MetricData.member.%d.StorageResolution must be 1 or 60.", n)
	}
	dimensions, err := dimensionsIn(d.Dimensions, n)
	if err != nil {
		return v, err
	}
	v.At = now
	if d.Timestamp != nil {
		v.At = *d.Timestamp
	}
	if v.At.Before(now.Add(-timeseries.Past)) || v.At.After(now.Add(timeseries.Future)) {
		return v, invalidValue("The parameter MetricData.member.%d.Timestamp must specify a time within the past two weeks and no more than two hours in the future.", n)
	}
	v.Metric = timeseries.NewMetric(namespace, name, unit, dimensions...)
	v.Set, err = setOf(d, n)
	return v, err
}

func dimensionsIn(ds []types.Dimension, n int) ([]timeseries.Dimension, error) {
	if len(ds) > maxDimensions {
		return nil, invalidValue("The collection MetricData.member.%d.Dimensions must not have a size greater than %d.", n, maxDimensions)
	}
	out := make([]timeseries.Dimension, 0, len(ds))
	for i, d := range ds {
		name, value := aws.ToString(d.Name), aws.ToString(d.Value)
		switch {
		case name == "":
			return nil, refuse(ReasonMissing, "The parameter MetricData.member.%d.Dimensions.member.%d.Name is required.", n, i+1)
		case strings.TrimSpace(value) == "":
			return nil, refuse(ReasonMissing, "The parameter MetricData.member.%d.Dimensions.member.%d.Value is required.", n, i+1)
		case len(name) > maxName || strings.HasPrefix(name, ":") || !plain(name):
			return nil, invalidValue("The parameter MetricData.member.%d.Dimensions.member.%d.Name must be 1 to %d ASCII characters and not begin with a colon.", n, i+1, maxName)
		case len(value) > maxDimension || !plain(value):
			return nil, invalidValue("The parameter MetricData.member.%d.Dimensions.member.%d.Value must be 1 to %d ASCII characters.", n, i+1, maxDimension)
		case slices.ContainsFunc(out, func(o timeseries.Dimension) bool { return o.Name == name }):
			return nil, invalidValue("The parameter MetricData.member.%d.Dimensions has the name %s twice.", n, quoted(name))
		}
		out = append(out, timeseries.Dimension{Name: name, Value: value})
	}
	return out, nil
}

// plain reports whether a text is of printable ASCII.
func plain(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func setOf(d *types.MetricDatum, n int) (timeseries.Set, error) {
	forms := 0
	for _, given := range [...]bool{d.Value != nil, d.StatisticValues != nil, len(d.Values) > 0} {
		if given {
			forms++
		}
	}
	switch {
	case forms == 0:
		return timeseries.Set{}, refuse(ReasonMissing, "The parameter MetricData.member.%d.Value is required.", n)
	case forms > 1:
		return timeseries.Set{}, invalidCombination("The parameters MetricData.member.%[1]d.Value and MetricData.member.%[1]d.StatisticValues and MetricData.member.%[1]d.Values are mutually exclusive and you have specified more than one.", n)
	case len(d.Counts) > 0 && len(d.Values) == 0:
		return timeseries.Set{}, invalidCombination("The parameter MetricData.member.%d.Counts needs the parameter Values.", n)
	case d.Value != nil:
		return timeseries.Of(*d.Value, 1), finite(n, "Value", *d.Value)
	case d.StatisticValues != nil:
		return summaryOf(d.StatisticValues, n)
	default:
		return countsOf(d, n)
	}
}

func summaryOf(v *types.StatisticSet, n int) (timeseries.Set, error) {
	if v.SampleCount == nil || v.Sum == nil || v.Minimum == nil || v.Maximum == nil {
		return timeseries.Set{}, refuse(ReasonMissing, "The parameter MetricData.member.%d.StatisticValues needs SampleCount, Sum, Minimum and Maximum.", n)
	}
	count, sum, least, most := *v.SampleCount, *v.Sum, *v.Minimum, *v.Maximum
	if err := finite(n, "StatisticValues", count, sum, least, most); err != nil {
		return timeseries.Set{}, err
	}
	if least > most {
		return timeseries.Set{}, invalidValue("The parameter MetricData.member.%[1]d.StatisticValues.Maximum must be greater than MetricData.member.%[1]d.StatisticValues.Minimum.", n)
	}
	if count <= 0 {
		return timeseries.Set{}, invalidValue("The parameter MetricData.member.%d.StatisticValues.SampleCount must be greater than 0.", n)
	}
	return timeseries.Summary(count, sum, least, most), nil
}

func countsOf(d *types.MetricDatum, n int) (timeseries.Set, error) {
	var set timeseries.Set
	if len(d.Values) > maxValues {
		return set, invalidValue("The collection MetricData.member.%d.Values must not have a size greater than %d.", n, maxValues)
	}
	if len(d.Counts) > 0 && len(d.Counts) != len(d.Values) {
		return set, invalidValue("The parameters MetricData.member.%[1]d.Values and MetricData.member.%[1]d.Counts must be of the same size.", n)
	}
	if err := finite(n, "Values", d.Values...); err != nil {
		return set, err
	}
	if err := finite(n, "Counts", d.Counts...); err != nil {
		return set, err
	}
	for i, value := range d.Values {
		count := 1.0
		if len(d.Counts) > 0 {
			count = d.Counts[i]
		}
		if count < 0 {
			return set, invalidValue("The parameter MetricData.member.%d.Counts.member.%d must not be negative.", n, i+1)
		}
		if count > 0 {
			set.Add(value, count)
		}
	}
	if set.Count == 0 {
		return set, invalidValue("The parameter MetricData.member.%d.Counts counts nothing.", n)
	}
	return set, nil
}

// finite refuses values that CloudWatch has no place for.
func finite(n int, member string, values ...float64) error {
	for _, v := range values {
		if math.IsNaN(v) || math.Abs(v) > largest {
			return invalidValue("The value %v for parameter MetricData.member.%d.%s is invalid.", v, n, member)
		}
	}
	return nil
}
