package alarm

import (
	"context"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	own "serin/internal/cloudwatch"
)

// Limits of alarms (AWS documentation; the number of alarms is Serin's).
const (
	maxAlarms      = 50_000
	maxName        = 255
	maxDescription = 1024
	maxActions     = 5
	maxActionARN   = 1024

	lowSampleIgnore   = "ignore"
	lowSampleEvaluate = "evaluate"
)

// PutMetricAlarm creates an alarm or replaces its configuration. Its state stays.
//
// Errors: as AWS; 501 for anomaly detection, PromQL and what else Serin does not evaluate.
func (s *Service) PutMetricAlarm(ctx context.Context, in *cloudwatch.PutMetricAlarmInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricAlarmOutput, error) {
	if err := lacking(in); err != nil {
		return nil, err
	}
	m, err := metricIn(in)
	if err != nil {
		return nil, err
	}
	a := &Alarm{
		Description: in.AlarmDescription, ActionsEnabled: in.ActionsEnabled == nil || *in.ActionsEnabled,
		OK: in.OKActions, Alarm: in.AlarmActions, Insufficient: in.InsufficientDataActions, Metric: m,
	}
	return &cloudwatch.PutMetricAlarmOutput{}, s.put(ctx, in.AlarmName, a, in.Tags)
}

// lacking refuses what Serin does not evaluate.
func lacking(in *cloudwatch.PutMetricAlarmInput) error {
	bands := []types.ComparisonOperator{
		types.ComparisonOperatorGreaterThanUpperThreshold, types.ComparisonOperatorLessThanLowerThreshold,
		types.ComparisonOperatorLessThanLowerOrGreaterThanUpperThreshold,
	}
	if slices.Contains(bands, in.ComparisonOperator) {
		return lacks("anomaly detection bands, which ComparisonOperator " + string(in.ComparisonOperator) + " of the operation PutMetricAlarm needs,")
	}
	switch {
	case in.ThresholdMetricId != nil:
		return lacks("the parameter ThresholdMetricId of the operation PutMetricAlarm (anomaly detection)")
	case in.EvaluationCriteria != nil || in.EvaluationInterval != nil:
		return lacks("the parameters EvaluationCriteria and EvaluationInterval of the operation PutMetricAlarm (PromQL)")
	case in.EvaluationWindow != nil:
		return lacks("the parameter EvaluationWindow of the operation PutMetricAlarm")
	case in.WarmUpConfiguration != nil:
		return lacks("the parameter WarmUpConfiguration of the operation PutMetricAlarm")
	case in.ActionConfiguration != nil:
		return lacks("the parameter ActionConfiguration of the operation PutMetricAlarm")
	}
	for _, q := range in.Metrics {
		if q.AccountId != nil {
			return lacks("the parameter AccountId in Metrics of the operation PutMetricAlarm")
		}
		if strings.Contains(strings.ToUpper(aws.ToString(q.Expression)), "ANOMALY_DETECTION_BAND") {
			return lacks("the function ANOMALY_DETECTION_BAND, which Metrics of the operation PutMetricAlarm names,")
		}
	}
	return nil
}

// metricIn checks what an alarm is to look at.
func metricIn(in *cloudwatch.PutMetricAlarmInput) (*Metric, error) {
	m := &Metric{
		Namespace: aws.ToString(in.Namespace), MetricName: aws.ToString(in.MetricName), Dimensions: in.Dimensions, Statistic: in.Statistic,
		Extended: aws.ToString(in.ExtendedStatistic), Unit: in.Unit, Period: aws.ToInt32(in.Period), Metrics: in.Metrics, Comparison: in.ComparisonOperator,
		Threshold: aws.ToFloat64(in.Threshold), Periods: aws.ToInt32(in.EvaluationPeriods), Datapoints: in.DatapointsToAlarm, Treatment: in.TreatMissingData,
		LowSampleCountPercentiles: in.EvaluateLowSampleCountPercentile,
	}
	switch {
	case in.ComparisonOperator == "":
		return nil, missing("ComparisonOperator")
	case !slices.Contains(in.ComparisonOperator.Values(), in.ComparisonOperator):
		return nil, oneOf("comparisonOperator", string(in.ComparisonOperator), in.ComparisonOperator.Values())
	case in.EvaluationPeriods == nil:
		return nil, missing("EvaluationPeriods")
	case m.Periods < 1:
		return nil, validation("1 validation error detected: Value '%d' at 'evaluationPeriods' failed to satisfy constraint: Member must have value greater than or equal to 1", m.Periods)
	case in.DatapointsToAlarm != nil && (*in.DatapointsToAlarm < 1 || *in.DatapointsToAlarm > m.Periods):
		return nil, validation("DatapointsToAlarm must be between 1 and EvaluationPeriods.")
	case in.Threshold == nil:
		return nil, missing("Threshold")
	case math.IsNaN(m.Threshold) || math.IsInf(m.Threshold, 0):
		return nil, refuse(own.ReasonInvalidValue, "The value %v for parameter Threshold is invalid.", m.Threshold)
	case in.TreatMissingData != nil && !slices.Contains([]string{TreatBreaching, TreatNotBreaching, TreatIgnore, TreatMissing}, *in.TreatMissingData):
		return nil, validation("TreatMissingData was %s. The allowed values are: breaching, notBreaching, ignore, missing.", quoted(*in.TreatMissingData))
	}
	var err error
	if len(m.Metrics) > 0 {
		err = checkMath(in)
	} else {
		err = checkSingle(in, m)
	}
	if err != nil {
		return nil, err
	}
	watch, err := own.NewWatch(m.queries())
	if err != nil {
		return nil, err
	}
	return m, checkPeriods(m.Periods, watch.Period)
}

func checkMath(in *cloudwatch.PutMetricAlarmInput) error {
	for name, given := range map[string]bool{
		"MetricName": in.MetricName != nil, "Namespace": in.Namespace != nil, "Dimensions": len(in.Dimensions) > 0, "Period": in.Period != nil,
		"Unit": in.Unit != "", "Statistic": in.Statistic != "", "ExtendedStatistic": in.ExtendedStatistic != nil,
	} {
		if given {
			return validation("The parameter %s must not be specified with the parameter Metrics.", name)
		}
	}
	return nil
}

func checkSingle(in *cloudwatch.PutMetricAlarmInput, m *Metric) error {
	switch {
	case m.MetricName == "":
		return missing("MetricName")
	case m.Namespace == "":
		return missing("Namespace")
	case in.Period == nil:
		return missing("Period")
	case in.Statistic != "" && in.ExtendedStatistic != nil:
		return exclusive("Statistic", "ExtendedStatistic")
	case in.Statistic == "" && in.ExtendedStatistic == nil:
		return refuse(own.ReasonMissing, "Exactly one of the parameters Statistic and ExtendedStatistic must be specified.")
	case in.Statistic != "" && !slices.Contains(in.Statistic.Values(), in.Statistic):
		return oneOf("statistic", string(in.Statistic), in.Statistic.Values())
	case in.ExtendedStatistic != nil && slices.Contains(types.Statistic("").Values(), types.Statistic(m.Extended)):
		return refuse(own.ReasonInvalidValue, "The value %s for parameter ExtendedStatistic is not supported.", m.Extended)
	}
	if low := in.EvaluateLowSampleCountPercentile; low != nil {
		if *low != lowSampleIgnore && *low != lowSampleEvaluate {
			return validation("Option %s is not supported for EvaluateLowSampleCountPercentile. Supported options are evaluate and ignore.", quoted(*low))
		}
		if !strings.HasPrefix(m.Extended, "p") {
			return validation("EvaluateLowSampleCountPercentile may be specified only for alarms on percentiles.")
		}
	}
	return nil
}

// checkPeriods refuses alarms that look back too far.
func checkPeriods(n int32, period time.Duration) error {
	const day, week = 24 * time.Hour, 7 * 24 * time.Hour
	switch total := time.Duration(n) * period; {
	case period == time.Second || period == 5*time.Second:
		return refuse(own.ReasonInvalidValue, "The parameter Period of an alarm must be 10, 20, 30 or a multiple of 60.")
	case period < time.Hour && (total > day || int64(n) > int64(day/period)):
		return validation("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).")
	case total > week || int64(n) > int64(week/period):
		return validation("Metrics cannot be checked across more than seven days (EvaluationPeriods * Period must be <= 604800).")
	default:
		return nil
	}
}

func oneOf[T ~string](member, value string, set []T) error {
	names := make([]string, 0, len(set))
	for _, s := range set {
		names = append(names, string(s))
	}
	return validation("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", quoted(value), member, strings.Join(names, ", "))
}

// PutCompositeAlarm creates an alarm on the states of others or replaces its configuration.
//
// Errors: as AWS; ValidationError for a rule that leads back to the alarm; 501 for an actions suppressor.
func (s *Service) PutCompositeAlarm(ctx context.Context, in *cloudwatch.PutCompositeAlarmInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutCompositeAlarmOutput, error) {
	switch {
	case in.AlarmRule == nil:
		return nil, missing("AlarmRule")
	case in.ActionsSuppressor != nil || in.ActionsSuppressorWaitPeriod != nil || in.ActionsSuppressorExtensionPeriod != nil:
		return nil, lacks("the parameter ActionsSuppressor of the operation PutCompositeAlarm")
	case in.ActionConfiguration != nil:
		return nil, lacks("the parameter ActionConfiguration of the operation PutCompositeAlarm")
	}
	a := &Alarm{
		Description: in.AlarmDescription, ActionsEnabled: in.ActionsEnabled == nil || *in.ActionsEnabled,
		OK: in.OKActions, Alarm: in.AlarmActions, Insufficient: in.InsufficientDataActions, Composite: &Composite{Rule: *in.AlarmRule},
	}
	return &cloudwatch.PutCompositeAlarmOutput{}, s.put(ctx, in.AlarmName, a, in.Tags)
}

// put saves an alarm's configuration. The tags of an alarm that exists stay as they are.
func (s *Service) put(ctx context.Context, name *string, a *Alarm, tags []types.Tag) error {
	if err := s.checkCommon(name, a); err != nil {
		return err
	}
	given, err := tagsIn(nil, tags)
	if err != nil {
		return err
	}
	a.Name, a.ARN = *name, arnOf(s.Place, *name)
	return s.update(ctx, []string{a.Name}, func(_ string, before *Alarm) (*write, error) {
		now := s.Now().UTC()
		next := *a
		next.Configured = now
		if before == nil {
			if len(s.alarms()) >= maxAlarms {
				return nil, refuse(reasonLimit, "The maximum limit of %d alarms has been exceeded.", maxAlarms)
			}
			next.Tags = given
			next.State = State{Value: types.StateValueInsufficientData, Reason: initialReason, Updated: now}
		} else {
			if before.kind() != next.kind() {
				return nil, validation("An alarm with the name %s and the type %s exists already.", quoted(a.Name), before.kind())
			}
			next.Tags, next.State = before.Tags, before.State
		}
		if next.Composite != nil {
			if err := s.checkChildren(&next); err != nil {
				return nil, err
			}
		}
		return &write{alarm: &next, history: []history{next.configurationUpdate(before, now)}}, nil
	})
}

func (s *Service) checkCommon(name *string, a *Alarm) error {
	switch {
	case name == nil:
		return missing("AlarmName")
	case *name == "" || len(*name) > maxName:
		return validation("1 validation error detected: Value '%s' at 'alarmName' failed to satisfy constraint: Member must have length between 1 and %d", quoted(*name), maxName)
	case !utf8.ValidString(*name) || strings.ContainsFunc(*name, unicode.IsControl):
		return validation("AlarmName must be text without control characters.")
	case len(aws.ToString(a.Description)) > maxDescription:
		return validation("1 validation error detected: Value at 'alarmDescription' failed to satisfy constraint: Member must have length less than or equal to %d", maxDescription)
	}
	for member, actions := range map[string][]string{"OKActions": a.OK, "AlarmActions": a.Alarm, "InsufficientDataActions": a.Insufficient} {
		if len(actions) > maxActions {
			return validation("The collection %s must not have a size greater than %d.", member, maxActions)
		}
		for _, action := range actions {
			if err := checkAction(action); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkAction accepts the ARN of anything, as AWS does, and beyond that http and https URLs.
func checkAction(action string) error {
	if len(action) > maxActionARN {
		return validation("An action must not be longer than %d characters.", maxActionARN)
	}
	if strings.HasPrefix(action, "http://") || strings.HasPrefix(action, "https://") {
		if u, err := url.Parse(action); err != nil || u.Host == "" || u.User != nil {
			return validation("The action %s is not a URL with a host and without credentials.", quoted(action))
		}
		return nil
	}
	a, err := arn.Parse(action)
	if err != nil || a.Service == "" || a.Resource == "" {
		return validation("Invalid arn syntax: %s", quoted(action))
	}
	if a.Service == releaseService {
		if _, _, ok := releaseTarget(action); !ok {
			return validation("Invalid arn syntax: %s; the ARN of a rollback is arn:aws:serin:REGION:ACCOUNT:rollback:FUNCTION:ALIAS", quoted(action))
		}
	}
	return nil
}

// checkChildren refuses rules that refer to alarms that there are not, and to the alarm itself by any way.
func (s *Service) checkChildren(a *Alarm) error {
	e, err := compile(a, s.Place)
	if err != nil {
		return err
	}
	var gone []string
	seen := map[string]bool{}
	var reaches func(name string) bool
	reaches = func(name string) bool {
		if name == a.Name {
			return true
		}
		child, ok := s.alarm(name)
		if !ok || seen[name] {
			return false
		}
		seen[name] = true
		return slices.ContainsFunc(child.children, reaches)
	}
	for _, name := range e.children {
		if _, ok := s.alarm(name); !ok && name != a.Name {
			gone = append(gone, quoted(name))
		}
		if reaches(name) {
			return validation("Could not save the composite alarm as its rule refers to itself through the alarm %s.", quoted(name))
		}
	}
	if len(gone) > 0 {
		return validation("Could not save the composite alarm as alarms [%s] in the alarm rule do not exist", strings.Join(gone, ", "))
	}
	return nil
}
