package store_test

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"serin/internal/store"
)

// BenchmarkEnqueue accepts events of 1 KB from 64 writers at a time.
func BenchmarkEnqueue(b *testing.B) {
	onBoth(b, benchEnqueue)
}

func benchEnqueue(b *testing.B, d database) {
	b.Helper()
	s := open(b, d.config(b))
	payload := bytes.Repeat([]byte("x"), 1024)
	var all durations
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range writers {
		group.Go(func() {
			for next.Add(1) <= int64(b.N) {
				all.measure(func() {
					e := store.Event{Lane: "f", Due: time.Now(), Document: `{"requestId":"2f0a0d0e-1111-4222-8333-444455556666","function":"f"}`, Payload: payload}
					if err := s.Enqueue(b.Context(), e); err != nil {
						b.Error(err)
					}
				})
			}
		})
	}
	group.Wait()
	b.StopTimer()
	all.report(b)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEventLanes looks for what is due in a queue of 100,000 events in 10, and in 10,000 lanes.
func BenchmarkEventLanes(b *testing.B) {
	onBoth(b, func(b *testing.B, d database) {
		b.Helper()
		for _, lanes := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) { benchEventLanes(b, d, lanes) })
		}
	})
}

func benchEventLanes(b *testing.B, d database, lanes int) {
	b.Helper()
	s := open(b, d.config(b))
	if err := together(func(w int) error {
		for i := w; i < 100_000; i += writers {
			if err := s.Enqueue(b.Context(), store.Event{Lane: fmt.Sprint("function-", i%lanes), Due: time.Now(), Document: "{}"}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		all, err := s.EventLanes(b.Context())
		if err != nil || len(all) != lanes {
			b.Fatalf("%d lanes, %v", len(all), err)
		}
	}
}
