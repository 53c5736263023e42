package store_test

import (
	"bytes"
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
