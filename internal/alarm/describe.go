package alarm

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

const defaultRecords = 50

// DescribeAlarms returns alarms in the order of their names: those on metrics, unless other types are asked for.
func (s *Service) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	most, err := maxRecords(in.MaxRecords)
	if err != nil {
		return nil, err
	}
	wanted, relatives, err := s.filter(in)
	if err != nil {
		return nil, err
	}
	after := ""
	if in.NextToken != nil {
		if after, err = readToken(*in.NextToken); err != nil {
			return nil, err
		}
		if _, ok := s.alarm(after); !ok {
			return nil, badToken()
		}
	}
	out := &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{}, CompositeAlarms: []types.CompositeAlarm{}}
	n, last := 0, ""
	for _, e := range s.alarms() {
		if e.Name <= after && in.NextToken != nil || !wanted(e) {
			continue
		}
		if n == most {
			out.NextToken = aws.String(token(last))
			break
		}
		n, last = n+1, e.Name
		switch {
		case relatives && e.Composite != nil:
			out.CompositeAlarms = append(out.CompositeAlarms, relative(e).composite())
		case relatives:
			m := relative(e).metric()
			out.MetricAlarms = append(out.MetricAlarms, m)
		case e.Composite != nil:
			out.CompositeAlarms = append(out.CompositeAlarms, e.composite())
		default:
			out.MetricAlarms = append(out.MetricAlarms, e.metric())
		}
	}
	return out, nil
}

// relative is what is shown of the parents and children of an alarm: name, ARN and state.
func relative(e *entry) *Alarm {
	a := &Alarm{Name: e.Name, ARN: e.ARN, State: e.State}
	if e.Composite != nil {
		a.Composite = &Composite{}
	} else {
		a.Metric = &Metric{}
	}
	return a
}

// filter returns what an alarm must be to be described. relatives says that parents or children of an alarm are asked
// for.
func (s *Service) filter(in *cloudwatch.DescribeAlarmsInput) (wanted func(*entry) bool, relatives bool, err error) {
	switch {
	case len(in.AlarmNames) > maxNames:
		return nil, false, validation("1 validation error detected: Value at 'alarmNames' failed to satisfy constraint: Member must have length less than or equal to %d", maxNames)
	case len(in.AlarmNames) > 0 && in.AlarmNamePrefix != nil:
		return nil, false, exclusive("AlarmNames", "AlarmNamePrefix")
	case in.StateValue != "" && !slices.Contains(in.StateValue.Values(), in.StateValue):
		return nil, false, oneOf("stateValue", string(in.StateValue), []string{"INSUFFICIENT_DATA", "ALARM", "OK"})
	}
	relatives = in.ChildrenOfAlarmName != nil || in.ParentsOfAlarmName != nil
	if relatives {
		if in.ChildrenOfAlarmName != nil && in.ParentsOfAlarmName != nil || len(in.AlarmNames) > 0 || in.AlarmNamePrefix != nil ||
			in.StateValue != "" || in.ActionPrefix != nil || len(in.AlarmTypes) > 0 {
			return nil, false, validation("ChildrenOfAlarmName and ParentsOfAlarmName can be combined with MaxRecords and NextToken alone.")
		}
		wanted, err = s.related(in)
		return wanted, relatives, err
	}
	kinds, err := alarmTypes(in.AlarmTypes, types.AlarmTypeMetricAlarm)
	if err != nil {
		return nil, false, err
	}
	named := map[string]bool{}
	for _, n := range in.AlarmNames {
		named[n] = true
	}
	return func(e *entry) bool {
		return slices.Contains(kinds, e.kind()) && (len(named) == 0 || named[e.Name]) && strings.HasPrefix(e.Name, aws.ToString(in.AlarmNamePrefix)) &&
			(in.StateValue == "" || e.State.Value == in.StateValue) && (in.ActionPrefix == nil || e.acts(*in.ActionPrefix))
	}, false, nil
}

func (e *entry) acts(prefix string) bool {
	begins := func(action string) bool { return strings.HasPrefix(action, prefix) }
	return slices.ContainsFunc(e.OK, begins) || slices.ContainsFunc(e.Alarm.Alarm, begins) || slices.ContainsFunc(e.Insufficient, begins)
}

func (s *Service) related(in *cloudwatch.DescribeAlarmsInput) (func(*entry) bool, error) {
	name := aws.ToString(in.ChildrenOfAlarmName) + aws.ToString(in.ParentsOfAlarmName)
	of, ok := s.alarm(name)
	if !ok {
		return nil, notFound("")
	}
	if in.ChildrenOfAlarmName != nil {
		return func(e *entry) bool { return slices.Contains(of.children, e.Name) }, nil
	}
	return func(e *entry) bool { return slices.Contains(e.children, name) }, nil
}

// DescribeAlarmsForMetric returns the alarms that look at exactly one metric, by what is given of statistic, period and
// unit.
func (s *Service) DescribeAlarmsForMetric(_ context.Context, in *cloudwatch.DescribeAlarmsForMetricInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsForMetricOutput, error) {
	switch {
	case in.MetricName == nil:
		return nil, missing("MetricName")
	case in.Namespace == nil:
		return nil, missing("Namespace")
	case in.Statistic != "" && !slices.Contains(in.Statistic.Values(), in.Statistic):
		return nil, oneOf("statistic", string(in.Statistic), in.Statistic.Values())
	}
	out := &cloudwatch.DescribeAlarmsForMetricOutput{MetricAlarms: []types.MetricAlarm{}}
	for _, e := range s.alarms() {
		m := e.Metric
		if m == nil || m.Namespace != *in.Namespace || m.MetricName != *in.MetricName || !sameDimensions(m.Dimensions, in.Dimensions) ||
			in.Statistic != "" && m.Statistic != in.Statistic || in.ExtendedStatistic != nil && m.Extended != *in.ExtendedStatistic ||
			in.Period != nil && m.Period != *in.Period || in.Unit != "" && m.Unit != in.Unit {
			continue
		}
		out.MetricAlarms = append(out.MetricAlarms, e.metric())
	}
	return out, nil
}

func sameDimensions(a, b []types.Dimension) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(d types.Dimension) bool {
		return !slices.ContainsFunc(b, func(o types.Dimension) bool {
			return aws.ToString(o.Name) == aws.ToString(d.Name) && aws.ToString(o.Value) == aws.ToString(d.Value)
		})
	})
}

// metric is the alarm as AWS shows one on a metric. Lists are there also if they are empty.
func (a *Alarm) metric() types.MetricAlarm {
	m := a.Metric
	out := types.MetricAlarm{
		AlarmName: &a.Name, AlarmArn: &a.ARN, AlarmDescription: a.Description, ActionsEnabled: &a.ActionsEnabled,
		OKActions: list(a.OK), AlarmActions: list(a.Alarm), InsufficientDataActions: list(a.Insufficient), Dimensions: m.Dimensions,
		StateValue: a.State.Value, StateReason: &a.State.Reason, StateReasonData: given(a.State.Data), StateUpdatedTimestamp: &a.State.Updated,
		ComparisonOperator: m.Comparison, DatapointsToAlarm: m.Datapoints, TreatMissingData: m.Treatment,
		EvaluateLowSampleCountPercentile: m.LowSampleCountPercentiles, ExtendedStatistic: given(m.Extended), Statistic: m.Statistic, Unit: m.Unit,
		MetricName: given(m.MetricName), Namespace: given(m.Namespace), Metrics: m.Metrics,
	}
	if out.Dimensions == nil {
		out.Dimensions = []types.Dimension{}
	}
	if m.Periods > 0 {
		out.EvaluationPeriods, out.Threshold = &m.Periods, &m.Threshold
	}
	if m.Period > 0 {
		out.Period = &m.Period
	}
	if !a.Configured.IsZero() {
		out.AlarmConfigurationUpdatedTimestamp = &a.Configured
	}
	if !a.State.Transitioned.IsZero() {
		out.StateTransitionedTimestamp = &a.State.Transitioned
	}
	return out
}

// composite is the alarm as AWS shows a composite one.
func (a *Alarm) composite() types.CompositeAlarm {
	out := types.CompositeAlarm{
		AlarmName: &a.Name, AlarmArn: &a.ARN, AlarmDescription: a.Description, ActionsEnabled: &a.ActionsEnabled,
		OKActions: list(a.OK), AlarmActions: list(a.Alarm), InsufficientDataActions: list(a.Insufficient), AlarmRule: given(a.Composite.Rule),
		StateValue: a.State.Value, StateReason: &a.State.Reason, StateReasonData: given(a.State.Data), StateUpdatedTimestamp: &a.State.Updated,
	}
	if !a.Configured.IsZero() {
		out.AlarmConfigurationUpdatedTimestamp = &a.Configured
	}
	if !a.State.Transitioned.IsZero() {
		out.StateTransitionedTimestamp = &a.State.Transitioned
	}
	return out
}

func list(s []string) []string { return append([]string{}, s...) }

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
