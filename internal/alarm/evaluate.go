package alarm

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// Treatments of periods without data, as AWS names them. Missing is the default.
const (
	TreatMissing      = "missing"
	TreatIgnore       = "ignore"
	TreatBreaching    = "breaching"
	TreatNotBreaching = "notBreaching"
)

// lateness is how many periods beyond those that are evaluated may still count: the documentation's example looks at 5
// for 3.
const lateness = 2

// Rule says when the points of a series make an alarm.
type Rule struct {
	Comparison types.ComparisonOperator
	Threshold  float64
	// Of the Periods points that are looked at, at least Datapoints breach the threshold in an alarm.
	Periods, Datapoints int
	Treatment           string
	Period              time.Duration
	// LeastSamples is how many measurements all points together need for a verdict; 0 for any number. It belongs to
	// percentiles, where EvaluateLowSampleCountPercentile is "ignore".
	LeastSamples float64
}

// Range is how many periods a rule looks at.
func (r Rule) Range() int { return r.Periods + lateness }

// Point is what was measured in the period that begins at At. Count is the number of measurements, 0 if it is not known.
type Point struct {
	At           time.Time
	Value, Count float64
}

// Verdict is what a rule says of points.
type Verdict struct {
	State types.StateValue
	// Considered are the points that were looked at, oldest first, and Filled the periods without one that were
	// treated as the rule says.
	Considered []Point
	Filled     int
}

// Decide returns the state of an alarm whose last period ends at a time. points are those of [Rule.Range] periods that
// end then, oldest first; what lies outside of them does not count.
//
// If there are as many points as the rule has periods, the newest of them decide and missing ones do not matter.
// Otherwise missing ones are filled up to that number as the treatment says. Without filling, an alarm is early if all
// points breach and the oldest of them is at least Datapoints periods old (AWS documentation, "How alarm state is
// evaluated when data is missing", whose tables are the tests).
func (r Rule) Decide(before types.StateValue, points []Point, end time.Time) Verdict {
	from := end.Add(-time.Duration(r.Range()) * r.Period)
	points = slices.DeleteFunc(slices.Clone(points), func(p Point) bool { return p.At.Before(from) || !p.At.Before(end) })
	if len(points) > r.Periods {
		points = points[len(points)-r.Periods:]
	}
	v := Verdict{Considered: points, Filled: r.Periods - len(points)}
	if r.LeastSamples > 0 && len(points) > 0 && samples(points) < r.LeastSamples {
		v.State = before
		return v
	}
	v.State = r.state(before, v, end)
	return v
}

func (r Rule) state(before types.StateValue, v Verdict, end time.Time) types.StateValue {
	breaching := len(r.breaching(v.Considered))
	if v.Filled > 0 && r.Treatment == TreatBreaching {
		breaching += v.Filled
	}
	if breaching >= r.Datapoints {
		return types.StateValueAlarm
	}
	if v.Filled == 0 || r.Treatment == TreatBreaching || r.Treatment == TreatNotBreaching || breaching < len(v.Considered) {
		return types.StateValueOk
	}
	// There are fewer points than would decide, and all of them breach.
	switch {
	case r.Treatment == TreatIgnore:
		return before
	case len(v.Considered) == 0:
		return types.StateValueInsufficientData
	case !v.Considered[0].At.After(end.Add(-time.Duration(r.Datapoints) * r.Period)):
		return types.StateValueAlarm
	default:
		return types.StateValueOk
	}
}

// breaching returns the points on the wrong side of the threshold.
func (r Rule) breaching(points []Point) []Point {
	return slices.DeleteFunc(slices.Clone(points), func(p Point) bool { return !r.breaches(p.Value) })
}

func (r Rule) breaches(value float64) bool {
	switch r.Comparison {
	case types.ComparisonOperatorGreaterThanOrEqualToThreshold:
		return value >= r.Threshold
	case types.ComparisonOperatorGreaterThanThreshold:
		return value > r.Threshold
	case types.ComparisonOperatorLessThanThreshold:
		return value < r.Threshold
	default:
		return value <= r.Threshold
	}
}

func samples(points []Point) (n float64) {
	for _, p := range points {
		n += p.Count
	}
	return n
}

// leastSamples is how many measurements make a percentile mean something: 10/(1-p) for the upper half, 10/p for the
// lower one (AWS documentation).
func leastSamples(percentile float64) float64 {
	p := percentile / 100
	return math.Round(10 / cmp.Or(min(p, 1-p), 1e-3))
}
