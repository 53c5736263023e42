package alarm_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin"
	"serin/internal/alarm"
	metrics "serin/internal/cloudwatch"
	"serin/internal/store"
	"serin/internal/timeseries"
)

// world is a service with a store, metrics and a clock that stands still, and what its alarms have done.
type world struct {
	*alarm.Service

	tb      testing.TB
	store   *store.Store
	series  *timeseries.Store
	metrics *metrics.Service

	mu    sync.Mutex
	now   time.Time
	acted []string
	event []byte // of the last action
	fail  error  // what functions answer
}

var place = serin.Place{Region: "us-east-1", Account: "000000000000"}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, now: time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)}
	var err error
	if w.store, err = store.Open(context.Background(), store.Config{Dir: tb.TempDir()}); err != nil {
		tb.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if w.series, err = timeseries.Open(context.Background(), timeseries.Config{Dir: tb.TempDir(), Now: w.clock, Log: log}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(w.series.Close(context.Background()), w.store.Close()); err != nil {
			tb.Error(err)
		}
	})
	w.metrics = metrics.New(metrics.Config{Store: w.series, Now: w.clock, Log: log})
	w.restart()
	return w
}

// restart makes the service anew from what is stored.
func (w *world) restart() {
	w.tb.Helper()
	w.Service = alarm.New(alarm.Config{
		Place: place, Store: w.store, Metrics: w.metrics, Now: w.clock, Log: slog.New(slog.DiscardHandler),
		Invoke: func(_ context.Context, _, function string, event []byte) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.acted, w.event = append(w.acted, "invoke "+function), event
			return w.fail
		},
		Post: func(_ context.Context, url, _ string, event []byte) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.acted, w.event = append(w.acted, "post "+url), event
			return nil
		},
		RollBack: func(_ context.Context, function, alias, reason string) (string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.acted = append(w.acted, "roll back "+function+":"+alias+": "+reason)
			return "release x was rolled back", nil
		},
	})
	w.must(w.Load(w.tb.Context()))
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

// measure puts a value of a metric without dimensions at the present time.
func (w *world) measure(name string, value float64) {
	w.tb.Helper()
	w.must(w.series.Add(timeseries.Value{Metric: timeseries.NewMetric("app", name, "Count"), At: w.clock(), Set: timeseries.Of(value, 1)}))
}

// pass lets time go by, writes what was measured, and evaluates.
func (w *world) pass(d time.Duration) {
	w.tb.Helper()
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.must(w.series.Flush(w.tb.Context()))
	w.must(w.Pass(w.tb.Context(), w.clock()))
}

// act carries out what is due, and returns what was done since the last call.
func (w *world) act() []string {
	w.tb.Helper()
	w.must(w.ActOnce(w.tb.Context()))
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.acted
	w.acted = nil
	return done
}

func (w *world) put(in *cloudwatch.PutMetricAlarmInput) {
	w.tb.Helper()
	_, err := w.PutMetricAlarm(w.tb.Context(), in)
	w.must(err)
}

func (w *world) describe(name string) types.MetricAlarm {
	w.tb.Helper()
	out, err := w.DescribeAlarms(w.tb.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}})
	w.must(err)
	if len(out.MetricAlarms) != 1 {
		w.tb.Fatalf("%d alarms %s", len(out.MetricAlarms), name)
	}
	return out.MetricAlarms[0]
}

func (w *world) describeComposite(name string) types.CompositeAlarm {
	w.tb.Helper()
	out, err := w.DescribeAlarms(w.tb.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}, AlarmTypes: []types.AlarmType{types.AlarmTypeCompositeAlarm}})
	w.must(err)
	if len(out.CompositeAlarms) != 1 {
		w.tb.Fatalf("%d alarms %s", len(out.CompositeAlarms), name)
	}
	return out.CompositeAlarms[0]
}

// onSum is an alarm on the sum of a metric per minute above a threshold.
func onSum(name, metric string, threshold float64) *cloudwatch.PutMetricAlarmInput {
	return &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, Namespace: aws.String("app"), MetricName: &metric, Statistic: types.StatisticSum, Period: aws.Int32(60),
		EvaluationPeriods: aws.Int32(1), Threshold: &threshold, ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
	}
}
