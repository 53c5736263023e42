package alarm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"

	"serin"
)

// The life of an alarm: created, evaluated, in alarm, over a restart, and well again, with what it tells on the way.
func TestLifeOfAnAlarm(t *testing.T) {
	w := newWorld(t)
	in := onSum("errors", "errors", 21)
	in.AlarmActions = []string{"arn:aws:lambda:us-east-1:000000000000:function:act", "http://127.0.0.1/hook", "arn:aws:serin:us-east-1:000000000000:rollback:f:live"}
	in.OKActions = []string{"arn:aws:sns:us-east-1:000000000000:topic"}
	in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
	w.put(in)
	a := w.describe("errors")
	if a.StateValue != types.StateValueInsufficientData || *a.StateReason != "Unchecked: Initial alarm creation" || a.StateTransitionedTimestamp != nil ||
		*a.AlarmArn != "arn:aws:cloudwatch:us-east-1:000000000000:alarm:errors" || a.Dimensions == nil || a.InsufficientDataActions == nil || a.DatapointsToAlarm != nil {
		t.Errorf("created: %+v", a)
	}
	w.measure("errors", 21.5)
	w.pass(time.Minute + 4*time.Second)
	a = w.describe("errors")
	if want := "Threshold Crossed: 1 datapoint [21.5 (04/03/26 05:00:00)] was greater than the threshold (21.0)."; a.StateValue != types.StateValueAlarm || *a.StateReason != want {
		t.Errorf("in alarm: %s, %s", a.StateValue, *a.StateReason)
	}
	var data map[string]any
	w.must(json.Unmarshal([]byte(*a.StateReasonData), &data))
	if diff := cmp.Diff(map[string]any{
		"version": "1.0", "queryDate": "2026-03-04T05:01:04.000+0000", "startDate": "2026-03-04T05:00:00.000+0000", "statistic": "Sum", "period": 60.0,
		"recentDatapoints": []any{21.5}, "threshold": 21.0,
		"evaluatedDatapoints": []any{map[string]any{"timestamp": "2026-03-04T05:00:00.000+0000", "sampleCount": 1.0, "value": 21.5}},
	}, data); diff != "" {
		t.Error(diff)
	}
	w.restart()
	if a = w.describe("errors"); a.StateValue != types.StateValueAlarm {
		t.Errorf("after a restart: %s", a.StateValue)
	}
	done := w.act()
	slices.Sort(done)
	if diff := cmp.Diff([]string{
		"invoke arn:aws:lambda:us-east-1:000000000000:function:act", "post http://127.0.0.1/hook",
		"roll back f:live: alarm errors is in ALARM: " + *a.StateReason,
	}, done); diff != "" {
		t.Error(diff)
	}
	w.pass(time.Minute)
	if done := w.act(); done != nil {
		t.Errorf("acted without a change: %v", done)
	}
	w.measure("errors", 1)
	w.pass(time.Minute)
	if a = w.describe("errors"); a.StateValue != types.StateValueOk || !strings.Contains(*a.StateReason, "was not greater than the threshold (21.0)") {
		t.Errorf("well again: %s, %s", a.StateValue, *a.StateReason)
	}
	w.act()
	w.checkHistory("errors", []string{
		`Alarm "errors" created`, "Alarm updated from INSUFFICIENT_DATA to ALARM",
		"Successfully executed action arn:aws:lambda:us-east-1:000000000000:function:act", "Successfully executed action http://127.0.0.1/hook",
		"Successfully executed action arn:aws:serin:us-east-1:000000000000:rollback:f:live: release x was rolled back",
		"Alarm updated from ALARM to OK", `Failed to execute action arn:aws:sns:us-east-1:000000000000:topic. Received error: "cannot be carried out: Serin has no service sns; it acts by functions, URLs and rollbacks"`,
	})
}

// checkHistory compares the summaries of an alarm's history without regard to the order of those of one moment.
func (w *world) checkHistory(name string, want []string) {
	w.tb.Helper()
	out, err := w.DescribeAlarmHistory(w.tb.Context(), &cloudwatch.DescribeAlarmHistoryInput{AlarmName: &name, ScanBy: types.ScanByTimestampAscending})
	w.must(err)
	var got []string
	for i, h := range out.AlarmHistoryItems {
		got = append(got, *h.HistorySummary)
		if i > 0 && h.Timestamp.Before(*out.AlarmHistoryItems[i-1].Timestamp) || !json.Valid([]byte(*h.HistoryData)) {
			w.tb.Errorf("%+v", h)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		w.tb.Error(diff)
	}
}

// A function gets the event that it would get from AWS.
func TestEventForFunctions(t *testing.T) {
	w := newWorld(t)
	in := onSum("a", "m", 1)
	in.AlarmDescription = aws.String("why")
	in.Dimensions = []types.Dimension{{Name: aws.String("d"), Value: aws.String("v")}}
	in.AlarmActions = []string{"arn:aws:lambda:us-east-1:000000000000:function:act"}
	w.put(in)
	_, err := w.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{
		AlarmName: aws.String("a"), StateValue: types.StateValueAlarm, StateReason: aws.String("told so"), StateReasonData: aws.String(`{"x":1}`),
	})
	w.must(err)
	w.act()
	var got any
	w.must(json.Unmarshal(w.event, &got))
	want := map[string]any{
		"source": "aws.cloudwatch", "alarmArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a", "accountId": "000000000000", "region": "us-east-1",
		"time": "2026-03-04T05:00:00.000+0000", "alarmData": map[string]any{
			"alarmName":     "a",
			"state":         map[string]any{"value": "ALARM", "reason": "told so", "reasonData": `{"x":1}`, "timestamp": "2026-03-04T05:00:00.000+0000"},
			"previousState": map[string]any{"value": "INSUFFICIENT_DATA", "reason": "Unchecked: Initial alarm creation", "timestamp": "2026-03-04T05:00:00.000+0000"},
			"configuration": map[string]any{"description": "why", "metrics": []any{map[string]any{
				"id": "m1", "returnData": true, "metricStat": map[string]any{
					"metric": map[string]any{"namespace": "app", "name": "m", "dimensions": map[string]any{"d": "v"}}, "period": 60.0, "stat": "Sum",
				},
			}}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What cannot be done now is done later, also by the next server; what never will be is given up and told.
func TestActionsAreTriedAgain(t *testing.T) {
	w := newWorld(t)
	in := onSum("a", "m", 1)
	in.AlarmActions = []string{"arn:aws:lambda:us-east-1:000000000000:function:act"}
	w.put(in)
	w.fail = errors.New("not now")
	w.set("a", types.StateValueAlarm)
	if done := w.act(); len(done) != 1 {
		t.Errorf("tried: %v", done)
	}
	if done := w.act(); len(done) != 0 {
		t.Errorf("tried again at once: %v", done)
	}
	w.restart()
	w.now, w.fail = w.now.Add(time.Hour), nil
	if done := w.act(); len(done) != 1 {
		t.Errorf("tried again: %v", done)
	}
	w.fail = serin.Errorf(serin.KindDenied, "not allowed")
	w.set("a", types.StateValueOk)
	w.set("a", types.StateValueAlarm)
	w.act()
	w.now = w.now.Add(time.Hour)
	if done := w.act(); len(done) != 0 {
		t.Errorf("what is denied was tried again: %v", done)
	}
}

func (w *world) set(name string, state types.StateValue) {
	w.tb.Helper()
	_, err := w.SetAlarmState(w.tb.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: state, StateReason: aws.String("test")})
	w.must(err)
}

// A state that was set lasts until the next evaluation; an update keeps the state and the tags.
func TestStatesThatAreSet(t *testing.T) {
	w := newWorld(t)
	w.put(onSum("a", "m", 1))
	w.measure("m", 0)
	w.pass(time.Minute + 4*time.Second)
	w.set("a", types.StateValueAlarm)
	w.put(onSum("a", "m", 2))
	if a := w.describe("a"); a.StateValue != types.StateValueAlarm || *a.StateReason != "test" || *a.Threshold != 2 {
		t.Errorf("set and updated: %+v", a)
	}
	w.measure("m", 0)
	w.pass(time.Minute)
	if a := w.describe("a"); a.StateValue != types.StateValueOk {
		t.Errorf("evaluated: %+v", a)
	}
	_, err := w.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("x"), StateValue: types.StateValueOk, StateReason: aws.String("")})
	if serin.KindOf(err) != serin.KindNotFound || err.Error() != "" {
		t.Errorf("an alarm that there is not: %v", err)
	}
}

// Expressions are evaluated, over windows that slide by the minute.
func TestMetricMathSlides(t *testing.T) {
	w := newWorld(t)
	stat := func(name string) *types.MetricStat {
		return &types.MetricStat{Metric: &types.Metric{Namespace: aws.String("app"), MetricName: &name}, Period: aws.Int32(300), Stat: aws.String("Sum")}
	}
	w.put(&cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("rate"), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(5), ComparisonOperator: types.ComparisonOperatorGreaterThanOrEqualToThreshold,
		TreatMissingData: aws.String("notBreaching"),
		Metrics: []types.MetricDataQuery{
			{Id: aws.String("e"), MetricStat: stat("errors"), ReturnData: aws.Bool(false)},
			{Id: aws.String("n"), MetricStat: stat("calls"), ReturnData: aws.Bool(false)},
			{Id: aws.String("rate"), Expression: aws.String("IF(n > 1, e, 0)"), Label: aws.String("rate")},
		},
	})
	w.now = w.now.Add(2 * time.Minute) // 05:02, so that no window begins at a multiple of five minutes
	for range 5 {
		w.measure("calls", 10)
		w.measure("errors", 1)
		w.pass(time.Minute)
	}
	w.pass(4 * time.Second)
	a := w.describe("rate")
	if want := "Threshold Crossed: 1 datapoint [5.0 (04/03/26 05:02:00)] was greater than or equal to the threshold (5.0)."; a.StateValue != types.StateValueAlarm || *a.StateReason != want {
		t.Errorf("%s: %s", a.StateValue, *a.StateReason)
	}
	w.pass(10 * time.Minute)
	w.pass(10 * time.Minute)
	a = w.describe("rate")
	if want := "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching]."; a.StateValue != types.StateValueOk || *a.StateReason != want {
		t.Errorf("%s: %s", a.StateValue, *a.StateReason)
	}
}

func TestHighResolution(t *testing.T) {
	w := newWorld(t)
	in := onSum("fast", "m", 1)
	in.Period, in.EvaluationPeriods, in.DatapointsToAlarm = aws.Int32(10), aws.Int32(3), aws.Int32(2)
	w.put(in)
	for range 2 {
		w.measure("m", 5)
		w.pass(10 * time.Second)
	}
	w.pass(3 * time.Second)
	a := w.describe("fast")
	if want := "Threshold Crossed: 2 out of the last 3 datapoints [5.0 (04/03/26 05:00:00), 5.0 (04/03/26 05:00:10)] were greater than the threshold (1.0) (minimum 2 datapoints for OK -> ALARM transition)."; *a.StateReason != want {
		t.Errorf("%s", *a.StateReason)
	}
}

func TestCompositeAlarms(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	put := func(name, rule string) error {
		_, err := w.PutCompositeAlarm(ctx, &cloudwatch.PutCompositeAlarmInput{
			AlarmName: &name, AlarmRule: &rule, AlarmActions: []string{"arn:aws:lambda:us-east-1:000000000000:function:" + name},
		})
		return err
	}
	if err := put("both", "ALARM(a) AND ALARM(b)"); err == nil || err.Error() != "Could not save the composite alarm as alarms [a, b] in the alarm rule do not exist" {
		t.Errorf("alarms that there are not: %v", err)
	}
	w.put(onSum("a", "m", 1))
	w.put(onSum("b", "m", 1))
	w.must(put("both", "ALARM(a) AND ALARM(arn:aws:cloudwatch:us-east-1:000000000000:alarm:b)"))
	w.must(put("top", "ALARM(both) OR FALSE"))
	for _, rule := range []string{"ALARM(top)", "ALARM(both)"} {
		if err := put("both", rule); serin.KindOf(err) != serin.KindValidation {
			t.Errorf("a circle, %s: %v", rule, err)
		}
	}
	if err := put("a", "TRUE"); serin.KindOf(err) != serin.KindValidation {
		t.Errorf("a composite alarm in place of another: %v", err)
	}
	w.pass(4 * time.Second)
	if c := w.describeComposite("both"); c.StateValue != types.StateValueOk {
		t.Errorf("at first: %s", c.StateValue)
	}
	w.set("a", types.StateValueAlarm)
	w.set("b", types.StateValueAlarm)
	w.pass(0)
	c := w.describeComposite("both")
	if c.StateValue != types.StateValueAlarm || !strings.HasPrefix(*c.StateReason, "arn:aws:cloudwatch:us-east-1:000000000000:alarm:b transitioned to ALARM at Wednesday 04 March, 2026") &&
		!strings.HasPrefix(*c.StateReason, "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a transitioned to ALARM at Wednesday 04 March, 2026") {
		t.Errorf("both in alarm: %s, %s", c.StateValue, *c.StateReason)
	}
	if c := w.describeComposite("top"); c.StateValue != types.StateValueAlarm {
		t.Errorf("top: %s", c.StateValue)
	}
	done := w.act()
	slices.Sort(done)
	if diff := cmp.Diff([]string{"invoke arn:aws:lambda:us-east-1:000000000000:function:both", "invoke arn:aws:lambda:us-east-1:000000000000:function:top"}, done); diff != "" {
		t.Error(diff)
	}
	for of, want := range map[string]string{"ChildrenOf both": "a b", "ParentsOf a": "both", "ParentsOf both": "top"} {
		in := &cloudwatch.DescribeAlarmsInput{}
		kind, name, _ := strings.Cut(of, " ")
		if kind == "ChildrenOf" {
			in.ChildrenOfAlarmName = &name
		} else {
			in.ParentsOfAlarmName = &name
		}
		out, err := w.DescribeAlarms(ctx, in)
		w.must(err)
		if got := namesOf(out); got != want {
			t.Errorf("%s: %s", of, got)
		}
	}
	if _, err := w.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}}); err == nil || err.Error() != "Cannot delete a as there are composite alarm(s) depending on it." {
		t.Errorf("a child: %v", err)
	}
	_, err := w.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"top", "a", "both"}})
	w.must(err)
}

func namesOf(out *cloudwatch.DescribeAlarmsOutput) string {
	var names []string
	for _, m := range out.MetricAlarms {
		names = append(names, *m.AlarmName)
	}
	for _, c := range out.CompositeAlarms {
		names = append(names, *c.AlarmName)
	}
	return strings.Join(names, " ")
}

func TestDescribeAlarms(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for i := range 7 {
		in := onSum(fmt.Sprint("a", i), "m", 1)
		if i%2 == 0 {
			in.OKActions = []string{"arn:aws:sns:us-east-1:000000000000:even"}
		}
		w.put(in)
	}
	w.put(onSum("b", "other", 1))
	w.set("a3", types.StateValueOk)
	_, err := w.PutCompositeAlarm(ctx, &cloudwatch.PutCompositeAlarmInput{AlarmName: aws.String("c"), AlarmRule: aws.String("OK(a3)")})
	w.must(err)
	for _, test := range []struct {
		in   cloudwatch.DescribeAlarmsInput
		want string
	}{
		{cloudwatch.DescribeAlarmsInput{}, "a0 a1 a2 a3 a4 a5 a6 b"},
		{cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"b", "a2", "gone"}}, "a2 b"},
		{cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("a")}, "a0 a1 a2 a3 a4 a5 a6"},
		{cloudwatch.DescribeAlarmsInput{StateValue: types.StateValueOk}, "a3"},
		{cloudwatch.DescribeAlarmsInput{ActionPrefix: aws.String("arn:aws:sns")}, "a0 a2 a4 a6"},
		{cloudwatch.DescribeAlarmsInput{AlarmTypes: []types.AlarmType{types.AlarmTypeCompositeAlarm}}, "c"},
		{cloudwatch.DescribeAlarmsInput{AlarmTypes: types.AlarmType("").Values(), MaxRecords: aws.Int32(2)}, "a0 a1|a2 a3|a4 a5|a6 b|c"},
	} {
		var pages []string
		for {
			out, err := w.DescribeAlarms(ctx, &test.in)
			w.must(err)
			pages = append(pages, namesOf(out))
			if test.in.NextToken = out.NextToken; out.NextToken == nil {
				break
			}
		}
		if got := strings.Join(pages, "|"); got != test.want {
			t.Errorf("%+v: %s", test.in, got)
		}
	}
	for _, in := range []cloudwatch.DescribeAlarmsInput{
		{AlarmNames: []string{"a"}, AlarmNamePrefix: aws.String("a")},
		{StateValue: "BAD"},
		{MaxRecords: aws.Int32(0)},
		{MaxRecords: aws.Int32(101)},
		{NextToken: aws.String("%")},
		{NextToken: aws.String("Z29uZQ")},
		{AlarmNames: make([]string, 101)},
		{AlarmTypes: []types.AlarmType{"x"}},
		{ChildrenOfAlarmName: aws.String("c"), ParentsOfAlarmName: aws.String("c")},
	} {
		if _, err := w.DescribeAlarms(ctx, &in); err == nil {
			t.Errorf("%+v was answered", in)
		}
	}
	out, err := w.DescribeAlarmsForMetric(ctx, &cloudwatch.DescribeAlarmsForMetricInput{Namespace: aws.String("app"), MetricName: aws.String("other"), Period: aws.Int32(60)})
	w.must(err)
	if len(out.MetricAlarms) != 1 || *out.MetricAlarms[0].AlarmName != "b" {
		t.Errorf("for a metric: %+v", out.MetricAlarms)
	}
}

func TestTagsAndActionsOfAlarms(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	in := onSum("a", "m", 1)
	in.Tags = []types.Tag{{Key: aws.String("b"), Value: aws.String("1")}}
	w.put(in)
	arn := w.describe("a").AlarmArn
	_, err := w.TagResource(ctx, &cloudwatch.TagResourceInput{ResourceARN: arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("2")}, {Key: aws.String("c"), Value: aws.String("")}}})
	w.must(err)
	_, err = w.UntagResource(ctx, &cloudwatch.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"c", "d"}})
	w.must(err)
	out, err := w.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: arn})
	w.must(err)
	got := ""
	for _, tag := range out.Tags {
		got += *tag.Key + "=" + *tag.Value + " "
	}
	if got != "a=2 b=1 " {
		t.Errorf("tags: %s", got)
	}
	if _, err = w.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: aws.String(*arn + "x")}); err == nil {
		t.Error("tags of an alarm that there is not")
	}
	_, err = w.DisableAlarmActions(ctx, &cloudwatch.DisableAlarmActionsInput{AlarmNames: []string{"a", "gone"}})
	w.must(err)
	if a := w.describe("a"); *a.ActionsEnabled {
		t.Error("actions are enabled")
	}
	_, err = w.EnableAlarmActions(ctx, &cloudwatch.EnableAlarmActionsInput{AlarmNames: []string{"a"}})
	w.must(err)
	if a := w.describe("a"); !*a.ActionsEnabled {
		t.Error("actions are disabled")
	}
	if _, err = w.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a", "gone"}}); serin.KindOf(err) != serin.KindNotFound {
		t.Errorf("deleted with one that there is not: %v", err)
	}
	_, err = w.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}})
	w.must(err)
	w.checkHistory("a", []string{`Alarm "a" created`, `Alarm "a" updated`, `Alarm "a" updated`, `Alarm "a" deleted`})
}

// Every mistake in an alarm is refused, and nothing is saved.
func TestAlarmsThatAreNone(t *testing.T) {
	w := newWorld(t)
	for what, spoil := range map[string]func(*cloudwatch.PutMetricAlarmInput){
		"no name":              func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = nil },
		"empty name":           func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = aws.String("") },
		"long name":            func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = aws.String(strings.Repeat("a", 256)) },
		"name with a line":     func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = aws.String("a\nb") },
		"name that is no text": func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmName = aws.String("a\xff") },
		"long description":     func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmDescription = aws.String(strings.Repeat("a", 1025)) },
		"no comparison":        func(in *cloudwatch.PutMetricAlarmInput) { in.ComparisonOperator = "" },
		"unknown comparison":   func(in *cloudwatch.PutMetricAlarmInput) { in.ComparisonOperator = "Equal" },
		"anomaly band": func(in *cloudwatch.PutMetricAlarmInput) {
			in.ComparisonOperator = types.ComparisonOperatorGreaterThanUpperThreshold
		},
		"no periods":              func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluationPeriods = nil },
		"zero periods":            func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluationPeriods = aws.Int32(0) },
		"too many points":         func(in *cloudwatch.PutMetricAlarmInput) { in.DatapointsToAlarm = aws.Int32(2) },
		"no threshold":            func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold = nil },
		"threshold not a number":  func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold = aws.Float64(math.NaN()) },
		"infinite threshold":      func(in *cloudwatch.PutMetricAlarmInput) { in.Threshold = aws.Float64(math.Inf(1)) },
		"unknown treatment":       func(in *cloudwatch.PutMetricAlarmInput) { in.TreatMissingData = aws.String("none") },
		"no metric":               func(in *cloudwatch.PutMetricAlarmInput) { in.MetricName = nil },
		"no namespace":            func(in *cloudwatch.PutMetricAlarmInput) { in.Namespace = nil },
		"no period":               func(in *cloudwatch.PutMetricAlarmInput) { in.Period = nil },
		"a period of 5 s":         func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(5) },
		"a period of 61 s":        func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(61) },
		"negative period":         func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(-60) },
		"more than a day":         func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluationPeriods = aws.Int32(1441) },
		"more periods than exist": func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluationPeriods = aws.Int32(math.MaxInt32) },
		"more than a week": func(in *cloudwatch.PutMetricAlarmInput) {
			in.Period, in.EvaluationPeriods = aws.Int32(3600), aws.Int32(169)
		},
		"two statistics":     func(in *cloudwatch.PutMetricAlarmInput) { in.ExtendedStatistic = aws.String("p99") },
		"no statistic":       func(in *cloudwatch.PutMetricAlarmInput) { in.Statistic = "" },
		"unknown statistic":  func(in *cloudwatch.PutMetricAlarmInput) { in.Statistic = "Median" },
		"unknown percentile": func(in *cloudwatch.PutMetricAlarmInput) { in.Statistic, in.ExtendedStatistic = "", aws.String("p101") },
		"samples of a sum":   func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluateLowSampleCountPercentile = aws.String("ignore") },
		"metric and metrics": func(in *cloudwatch.PutMetricAlarmInput) {
			in.Metrics = []types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("1")}}
		},
		"too many actions":       func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = slices.Repeat([]string{"http://a/"}, 6) },
		"action that is no ARN":  func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = []string{"x"} },
		"action with a password": func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = []string{"http://a:b@c/"} },
		"rollback of nothing": func(in *cloudwatch.PutMetricAlarmInput) {
			in.AlarmActions = []string{"arn:aws:serin:us-east-1:000000000000:rollback:f"}
		},
		"dimension without value": func(in *cloudwatch.PutMetricAlarmInput) { in.Dimensions = []types.Dimension{{Name: aws.String("a")}} },
		"unknown unit":            func(in *cloudwatch.PutMetricAlarmInput) { in.Unit = "Ducks" },
		"reserved tag": func(in *cloudwatch.PutMetricAlarmInput) {
			in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}
		},
		"search": func(in *cloudwatch.PutMetricAlarmInput) {
			in.MetricName, in.Namespace, in.Period, in.Statistic = nil, nil, nil, ""
			in.Metrics = []types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("SUM(SEARCH('x', 'Sum', 60))"), Period: aws.Int32(60)}}
		},
		"no time series": func(in *cloudwatch.PutMetricAlarmInput) {
			in.MetricName, in.Namespace, in.Period, in.Statistic = nil, nil, nil, ""
			in.Metrics = []types.MetricDataQuery{{Id: aws.String("a"), Expression: aws.String("1 + 1"), Period: aws.Int32(60)}}
		},
	} {
		in := onSum("bad", "m", 1)
		spoil(in)
		if _, err := w.PutMetricAlarm(t.Context(), in); err == nil || serin.KindOf(err) == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	out, err := w.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	w.must(err)
	if len(out.MetricAlarms) > 0 {
		t.Errorf("saved: %s", namesOf(out))
	}
}
