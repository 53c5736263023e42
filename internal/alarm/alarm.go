package alarm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin"
	"serin/internal/cloudwatch"
)

// Alarm is an alarm as it is kept: one on a metric, or a composite one.
type Alarm struct {
	Name           string            `json:"name"`
	ARN            string            `json:"arn"`
	Description    *string           `json:"description,omitempty"`
	ActionsEnabled bool              `json:"actionsEnabled"`
	OK             []string          `json:"okActions,omitempty"`
	Alarm          []string          `json:"alarmActions,omitempty"`
	Insufficient   []string          `json:"insufficientDataActions,omitempty"`
	State          State             `json:"state"`
	Configured     time.Time         `json:"configured"`
	Tags           map[string]string `json:"tags,omitempty"`

	Metric    *Metric    `json:"metric,omitempty"`
	Composite *Composite `json:"composite,omitempty"`
}

// State is the state of an alarm and why it is in it.
type State struct {
	Value  types.StateValue `json:"value"`
	Reason string           `json:"reason"`
	Data   string           `json:"data,omitempty"` // JSON text
	// Updated is when it was set last, Transitioned when its value last became another.
	Updated      time.Time `json:"updated"`
	Transitioned time.Time `json:"transitioned,omitzero"`
}

// Metric is what an alarm on a metric or on metric math looks at. What was not given is nil or empty, as
// DescribeAlarms shows it.
type Metric struct {
	Namespace, MetricName     string                   `json:",omitempty"`
	Dimensions                []types.Dimension        `json:",omitempty"`
	Statistic                 types.Statistic          `json:",omitempty"`
	Extended                  string                   `json:",omitempty"`
	Unit                      types.StandardUnit       `json:",omitempty"`
	Period                    int32                    `json:",omitempty"` // seconds; 0 for metric math
	Metrics                   []types.MetricDataQuery  `json:",omitempty"`
	Comparison                types.ComparisonOperator `json:",omitempty"`
	Threshold                 float64
	Periods                   int32
	Datapoints                *int32  `json:",omitempty"`
	Treatment                 *string `json:",omitempty"`
	LowSampleCountPercentiles *string `json:",omitempty"`
}

// Composite is an alarm on the states of others.
type Composite struct {
	Rule string `json:"rule"`
}

func (a *Alarm) kind() types.AlarmType {
	if a.Composite != nil {
		return types.AlarmTypeCompositeAlarm
	}
	return types.AlarmTypeMetricAlarm
}

// actions returns what is to be done in a state.
func (a *Alarm) actions(state types.StateValue) []string {
	switch state {
	case types.StateValueOk:
		return a.OK
	case types.StateValueAlarm:
		return a.Alarm
	default:
		return a.Insufficient
	}
}

// queries returns what the alarm looks at as GetMetricData would be asked for it.
func (m *Metric) queries() []types.MetricDataQuery {
	if len(m.Metrics) > 0 {
		return m.Metrics
	}
	return []types.MetricDataQuery{{
		Id: aws.String("m1"), ReturnData: aws.Bool(true), MetricStat: &types.MetricStat{
			Metric: &types.Metric{Namespace: &m.Namespace, MetricName: &m.MetricName, Dimensions: m.Dimensions},
			Period: &m.Period, Stat: aws.String(m.stat()), Unit: m.Unit,
		},
	}}
}

func (m *Metric) stat() string { return cmp.Or(string(m.Statistic), m.Extended) }

// entry is an alarm as it is used. It never changes.
type entry struct {
	Alarm

	// Of alarms on metrics.
	watch *cloudwatch.Watch
	rule  Rule
	// Of composite ones: what the rule says, and the names of the alarms that it refers to.
	expression expression
	children   []string
}

// compile makes an alarm ready for use.
//
// Errors: those of PutMetricAlarm and PutCompositeAlarm about what the alarm looks at.
func compile(a *Alarm, place serin.Place) (*entry, error) {
	e := &entry{Alarm: *a}
	var err error
	if a.Composite != nil {
		var named []string
		if e.expression, named, err = parseExpression(a.Composite.Rule); err != nil {
			return nil, err
		}
		names := map[string]string{}
		for _, n := range named {
			names[n] = nameIn(n, place)
		}
		parsed := e.expression
		e.expression = func(state func(string) types.StateValue) bool {
			return parsed(func(written string) types.StateValue { return state(names[written]) })
		}
		e.children = slices.Compact(slices.Sorted(maps.Values(names)))
		return e, nil
	}
	if e.watch, err = cloudwatch.NewWatch(a.Metric.queries()); err != nil {
		return nil, err
	}
	e.rule = a.Metric.rule(e.watch.Period)
	return e, nil
}

func (m *Metric) rule(period time.Duration) Rule {
	r := Rule{
		Comparison: m.Comparison, Threshold: m.Threshold, Periods: int(m.Periods), Datapoints: int(aws.ToInt32(m.Datapoints)),
		Treatment: cmp.Or(aws.ToString(m.Treatment), TreatMissing), Period: period,
	}
	r.Datapoints = cmp.Or(r.Datapoints, r.Periods)
	if p, ok := strings.CutPrefix(m.Extended, "p"); ok && aws.ToString(m.LowSampleCountPercentiles) == lowSampleIgnore {
		if percentile, err := strconv.ParseFloat(p, 64); err == nil {
			r.LeastSamples = leastSamples(percentile)
		}
	}
	return r
}

// step is how often an alarm is evaluated.
func (e *entry) step() time.Duration {
	if e.watch.Period < time.Minute {
		return 10 * time.Second
	}
	return time.Minute
}

// States returns what alarms say now, in the order of their names, which may be ARNs. It does not wait for anything.
func (s *Service) States(names []string) []serin.AlarmState {
	states := make([]serin.AlarmState, len(names))
	for i, name := range names {
		states[i].Name = name
		if e, ok := s.alarm(nameIn(name, s.Place)); ok {
			states[i].State, states[i].Reason = serin.AlarmValue(e.State.Value), e.State.Reason
		}
	}
	return states
}

func arnOf(place serin.Place, name string) string {
	return fmt.Sprintf("arn:aws:cloudwatch:%s:%s:alarm:%s", place.Region, place.Account, name)
}

// nameIn returns the name of an alarm that is named by it or by its ARN.
func nameIn(s string, place serin.Place) string { return strings.TrimPrefix(s, arnOf(place, "")) }
