package cloudwatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	subject "serin/internal/cloudwatch"
	"serin/internal/metrics"
	"serin/internal/timeseries"
)

// TestLambdaMetrics holds the metrics of invocations to the dimension sets that Lambda writes.
func TestLambdaMetrics(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		recorder := metrics.New(time.Now)
		for _, s := range []metrics.Sample{
			{Function: "f", Version: 3},
			{Function: "f", Qualifier: "3", Version: 3, Outcome: serin.OutcomeTimeout},
			{Function: "f", Qualifier: "live", Alias: "live", Version: 3, Outcome: serin.OutcomeServerError, Init: time.Second},
			{Function: "f", Qualifier: "live", Alias: "live", Version: 4, Outcome: serin.OutcomeFunctionError},
		} {
			s.Start, s.Duration = time.Now(), 2*time.Millisecond
			recorder.Record(s)
		}
		throttled := metrics.Sample{Function: "f", Qualifier: "live", Alias: "live", Version: 3, Start: time.Now()}
		recorder.Tally(&throttled).Throttled(&throttled)
		recorder.EventDropped("f", "live", true)
		recorder.DeadLetterFailed("f")

		store, err := timeseries.Open(t.Context(), timeseries.Config{Dir: dir, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		s := subject.New(subject.Config{Store: store, Recorder: recorder, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := store.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		all, err := store.Query(t.Context(), timeseries.Selector{Namespace: "AWS/Lambda"}, began.Add(-time.Minute), began.Add(time.Minute), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, series := range all {
			set := series.Buckets[0].Set
			name := series.Metric.Name
			for _, d := range series.Metric.Dimensions {
				name += " " + d.Value
			}
			got[name] = fmt.Sprintf("%v of %v %s", set.Sum, set.Count, series.Metric.Unit)
		}
		if err := store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		add := func(name, account, function, plain, byVersion, live, live3, live4 string) {
			for set, value := range map[string]string{
				"": account, " f": function, " f f": plain, " f f:3": byVersion, " f f:live": live, " 3 f f:live": live3, " 4 f f:live": live4,
			} {
				if value != "" {
					want[name+set] = value
				}
			}
		}
		add("Invocations", "4 of 4 Count", "4 of 4 Count", "1 of 1 Count", "1 of 1 Count", "2 of 2 Count", "1 of 1 Count", "1 of 1 Count")
		add("Errors", "2 of 4 Count", "2 of 4 Count", "0 of 1 Count", "1 of 1 Count", "1 of 2 Count", "0 of 1 Count", "1 of 1 Count")
		add("Duration", "8 of 4 Milliseconds", "8 of 4 Milliseconds", "2 of 1 Milliseconds", "2 of 1 Milliseconds", "4 of 2 Milliseconds", "2 of 1 Milliseconds", "2 of 1 Milliseconds")
		add("InitDuration", "1000 of 1 Milliseconds", "1000 of 1 Milliseconds", "", "", "1000 of 1 Milliseconds", "1000 of 1 Milliseconds", "")
		add("Throttles", "1 of 1 Count", "1 of 1 Count", "", "", "1 of 1 Count", "", "")
		add("AsyncEventsDropped", "1 of 1 Count", "1 of 1 Count", "", "", "1 of 1 Count", "", "")
		add("DeadLetterErrors", "1 of 1 Count", "1 of 1 Count", "", "", "", "", "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}
