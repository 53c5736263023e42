package metrics_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin/internal/metrics"
)

func TestEvents(t *testing.T) {
	r := metrics.New(time.Now)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				r.EventReceived("f", "live")
				r.EventStarted("f", "live", time.Second)
			}
			r.EventDropped("f", "live", true)
			r.EventDropped("f", "", false)
			r.DestinationFailed("f")
			r.DeadLetterFailed("g")
			r.DeadLetterFailed("g")
		})
	}
	all.Wait()
	age := metrics.Durations{Count: 800, Mean: time.Second, P50: time.Second, P95: time.Second, P99: time.Second, Max: time.Second}
	for function, want := range map[string]metrics.EventStats{
		"f": {Received: 800, Age: age, Dropped: 16, Lost: 8, DestinationFailures: 8},
		"g": {DeadLetterFailures: 16},
		"h": {},
	} {
		if diff := cmp.Diff(want, r.Events(function)); diff != "" {
			t.Errorf("%s: %s", function, diff)
		}
	}
	r.Forget("f")
	if diff := cmp.Diff(metrics.EventStats{}, r.Events("f")); diff != "" {
		t.Errorf("after Forget: %s", diff)
	}
	if r.Events("g").DeadLetterFailures != 16 {
		t.Error("Forget took another function's counts")
	}
}
