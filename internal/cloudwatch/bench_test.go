package cloudwatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	subject "serin/internal/cloudwatch"
	"serin/internal/timeseries"
)

// BenchmarkGetMetricData asks for a day by the minute of the durations of 100 functions, in percentiles and as sums. It
// also reports the bytes on disk for each set of a minute.
func BenchmarkGetMetricData(b *testing.B) {
	const functions, day = 100, 24 * time.Hour
	end := time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)
	now, dir := end.Add(-day), b.TempDir()
	store, err := timeseries.Open(context.Background(), timeseries.Config{Dir: dir, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	s := subject.New(subject.Config{Store: store, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	random := rand.New(rand.NewPCG(1, 2))
	sets := 0
	for ; now.Before(end.Add(2 * time.Minute)); now = now.Add(time.Minute) {
		for f := range functions {
			var duration, errors timeseries.Set
			calls := 1 + random.IntN(30)
			for range calls {
				duration.Add(math.Round(1000*20*math.Exp(random.NormFloat64()/4))/1000, 1)
				errors.Add(map[bool]float64{true: 1}[random.IntN(100) == 0], 1)
			}
			name := timeseries.Dimension{Name: "FunctionName", Value: fmt.Sprint("function-", f)}
			err := store.Add(
				timeseries.Value{Metric: timeseries.NewMetric("AWS/Lambda", "Duration", "Milliseconds", name), At: now, Set: duration},
				timeseries.Value{Metric: timeseries.NewMetric("AWS/Lambda", "Errors", "Count", name), At: now, Set: errors},
				timeseries.Value{Metric: timeseries.NewMetric("AWS/Lambda", "Invocations", "Count", name), At: now, Set: timeseries.Of(1, float64(calls))},
			)
			if err != nil {
				b.Fatal(err)
			}
			sets += 3
		}
		if err := store.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	defer func() {
		if err := store.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	for _, bench := range []struct{ metric, stat string }{{"Invocations", "Sum"}, {"Duration", "p99"}} {
		in := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(end.Add(-day)), EndTime: &end}
		for f := range functions {
			in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{Id: aws.String(fmt.Sprint("m", f)), MetricStat: &types.MetricStat{
				Metric: &types.Metric{Namespace: aws.String("AWS/Lambda"), MetricName: &bench.metric, Dimensions: []types.Dimension{
					{Name: aws.String("FunctionName"), Value: aws.String(fmt.Sprint("function-", f))},
				}}, Period: aws.Int32(60), Stat: &bench.stat,
			}})
		}
		b.Run(bench.metric+" "+bench.stat, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				points := 0
				for in.NextToken = nil; ; { // a page has fewer points than that
					out, err := s.GetMetricData(b.Context(), in)
					if err != nil {
						b.Fatal(err)
					}
					for _, r := range out.MetricDataResults {
						points += len(r.Values)
					}
					if in.NextToken = out.NextToken; in.NextToken == nil {
						break
					}
				}
				if points != functions*24*60 {
					b.Fatalf("%d points", points)
				}
			}
			b.ReportMetric(float64(blocks(b, dir))/float64(sets), "bytes/set")
		})
	}
}

// blocks returns the size of what has been compacted of the tier of minutes.
func blocks(b *testing.B, dir string) (size int64) {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "minutes.tsdb", "*", "chunks", "*"))
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			b.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
