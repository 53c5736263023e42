package alarm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"serin/internal/timeseries"
)

// BenchmarkPass evaluates 10,000 alarms, each on the errors of a function of its own that was called in every second
// of the last minutes.
func BenchmarkPass(b *testing.B) {
	const alarms, seconds = 10_000, 300
	w := newWorld(b)
	for i := range alarms {
		in := onSum(fmt.Sprint("alarm-", i), "errors", 1000)
		in.EvaluationPeriods, in.DatapointsToAlarm = aws.Int32(3), aws.Int32(2)
		in.Dimensions = []types.Dimension{{Name: aws.String("FunctionName"), Value: aws.String(fmt.Sprint("function-", i))}}
		w.put(in)
	}
	for range seconds {
		values := make([]timeseries.Value, 0, alarms)
		for i := range alarms {
			metric := timeseries.NewMetric("app", "errors", "Count", timeseries.Dimension{Name: "FunctionName", Value: fmt.Sprint("function-", i)})
			values = append(values, timeseries.Value{Metric: metric, At: w.now, Set: timeseries.Of(0, 1)})
		}
		w.must(w.series.Add(values...))
		w.now = w.now.Add(time.Second)
		w.must(w.series.Flush(b.Context()))
	}
	w.now = w.now.Add(4 * time.Second)
	w.must(w.Pass(b.Context(), w.now)) // all of them become OK here
	b.ReportAllocs()
	for b.Loop() {
		w.now = w.now.Add(time.Minute)
		b.StopTimer()
		values := make([]timeseries.Value, 0, alarms)
		for i := range alarms {
			metric := timeseries.NewMetric("app", "errors", "Count", timeseries.Dimension{Name: "FunctionName", Value: fmt.Sprint("function-", i)})
			values = append(values, timeseries.Value{Metric: metric, At: w.now.Add(-10 * time.Second), Set: timeseries.Of(0, 1)})
		}
		w.must(w.series.Add(values...))
		w.must(w.series.Flush(b.Context()))
		b.StartTimer()
		w.must(w.Pass(b.Context(), w.now))
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/pass")
}
