package cloudwatchlogs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/logs"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a service with a store of its own; it keeps what would become metrics.
type world struct {
	*Service

	points []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	store, err := logs.Open(t.Context(), logs.Config{
		Dir: t.TempDir(), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Written: func(ctx context.Context, c *logs.Chunk) { w.Written(ctx, c) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.Service = New(Config{
		Place: serin.Place{Region: "us-east-1", Account: "000000000000"}, Store: store, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		PutMetricData: func(_ context.Context, in *cloudwatch.PutMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error) {
			for _, d := range in.MetricData {
				var dimensions []string
				for _, dimension := range d.Dimensions {
					dimensions = append(dimensions, *dimension.Name+"="+*dimension.Value)
				}
				w.points = append(w.points, fmt.Sprintf("%s/%s{%s} %v×%v %s", *in.Namespace, *d.MetricName, strings.Join(dimensions, ","), d.Values, d.Counts, d.Unit))
			}
			return &cloudwatch.PutMetricDataOutput{}, nil
		},
	})
	return w
}

func (w *world) write(t *testing.T, group string, lines ...string) {
	t.Helper()
	var all []logs.Line
	for _, line := range lines {
		all = append(all, logs.Line{At: now.UnixMilli(), Message: []byte(line)})
	}
	if err := w.Store.AppendAll(t.Context(), group, "2026/11/23/[1]a", all); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.points)
}

func TestMetricFiltersCountWhatMatches(t *testing.T) {
	w := newWorld(t)
	w.write(t, "g", "ERROR before the filter is there")
	for _, in := range []cloudwatchlogs.PutMetricFilterInput{
		{FilterName: aws.String("errors"), FilterPattern: aws.String("ERROR"), MetricTransformations: []types.MetricTransformation{{
			MetricNamespace: aws.String("App"), MetricName: aws.String("Errors"), MetricValue: aws.String("1"), DefaultValue: aws.Float64(0), Unit: types.StandardUnitCount,
		}}},
		{FilterName: aws.String("latency"), FilterPattern: aws.String("{ $.latency > 0 }"), MetricTransformations: []types.MetricTransformation{{
			MetricNamespace: aws.String("App"), MetricName: aws.String("Latency"), MetricValue: aws.String("$.latency"), Dimensions: map[string]string{"Route": "$.route"},
		}}},
	} {
		in.LogGroupName = aws.String("g")
		if _, err := w.PutMetricFilter(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
	}
	w.write(t, "g", "ERROR one", "ERROR two", "fine", `{"latency":12,"route":"/a"}`, `{"latency":12,"route":"/a"}`, `{"latency":3}`, `{"latency":"high","route":"/a"}`)
	w.write(t, "other", "ERROR elsewhere")
	want := []string{"App/Errors{} [0]×[5] Count", "App/Errors{} [1]×[2] Count", "App/Latency{Route=/a} [12]×[2] "}
	if diff := cmp.Diff(want, w.points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	listed, err := w.DescribeMetricFilters(t.Context(), &cloudwatchlogs.DescribeMetricFiltersInput{FilterNamePrefix: aws.String("l")})
	if err != nil || len(listed.MetricFilters) != 1 || *listed.MetricFilters[0].MetricTransformations[0].MetricValue != "$.latency" {
		t.Errorf("DescribeMetricFilters: %+v, %v", listed, err)
	}
	for _, name := range []string{"errors", "latency"} {
		if _, err := w.DeleteMetricFilter(t.Context(), &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: aws.String("g"), FilterName: &name}); err != nil {
			t.Fatal(err)
		}
	}
	w.points = nil
	if w.write(t, "g", "ERROR"); len(w.points) > 0 {
		t.Errorf("deleted filters wrote %v", w.points)
	}
}

const embeddedLine = `{"_aws":{"Timestamp":1795435200000,"CloudWatchMetrics":[{"Namespace":"App","Dimensions":[["Service"],["Service","Version"],["Missing"]],` +
	`"Metrics":[{"Name":"Orders","Unit":"Count"},{"Name":"Latency","Unit":"Milliseconds","StorageResolution":1},{"Name":"Absent"}]}]},"Service":"shop","Version":"2","Orders":1,"Latency":[4,5.5]}`

func TestEmbeddedMetricsBecomeMetrics(t *testing.T) {
	w := newWorld(t)
	w.write(t, "g", embeddedLine, `{"_aws":"nonsense"}`, `{"_aws":`, `not "_aws" at all`)
	want := []string{
		"App/Latency{Service=shop,Version=2} [4 5.5]×[] Milliseconds", "App/Latency{Service=shop} [4 5.5]×[] Milliseconds",
		"App/Orders{Service=shop,Version=2} [1]×[] Count", "App/Orders{Service=shop} [1]×[] Count",
	}
	if diff := cmp.Diff(want, w.points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
	page, err := w.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("g")})
	if err != nil || len(page.Events) != 4 {
		t.Errorf("%d lines are kept, %v", len(page.Events), err)
	}
}

func TestMetricFilterPatternsCanBeTried(t *testing.T) {
	out, err := newWorld(t).TestMetricFilter(t.Context(), &cloudwatchlogs.TestMetricFilterInput{
		FilterPattern: aws.String(`[ip, user, status = 4*]`), LogEventMessages: []string{"1.2.3.4 ann 404", "1.2.3.4 bob 200"},
	})
	if err != nil || len(out.Matches) != 1 || out.Matches[0].EventNumber != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if diff := cmp.Diff(map[string]string{"$ip": "1.2.3.4", "$user": "ann", "$status": "404"}, out.Matches[0].ExtractedValues); diff != "" {
		t.Error(diff)
	}
}

func FuzzEmbedded(f *testing.F) {
	f.Add([]byte(embeddedLine))
	f.Add([]byte(`{"_aws":{"CloudWatchMetrics":[{"Metrics":[{"Name":"a"}]}]},"a":1e999}`))
	f.Add([]byte(`{"_aws":{"CloudWatchMetrics":[null,{"Dimensions":[null,[]],"Metrics":null}]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		points := 0
		for _, data := range embedded(line, 0) {
			points += len(data)
		}
		if points > maxEmbeddedPoints {
			t.Errorf("%d points of one line", points)
		}
	})
}
