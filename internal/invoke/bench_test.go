package invoke

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"serin"
	"serin/internal/metrics"
	"serin/internal/router"
	"serin/internal/store"
)

// BenchmarkQueue sends events of 1 KB from 64 callers at a time to a function that does nothing, and waits until all
// have run: acceptance, taking and end are each on disk.
func BenchmarkQueue(b *testing.B) {
	s, err := store.Open(b.Context(), store.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	table := router.New(place)
	c := serin.Change{At: time.Now(), NewRevision: func() string { return "r" }}
	f := serin.NewFunction(c, place, "f", serin.Configuration{}, serin.Code{}, nil, 0)
	f.Settle(c, "")
	table.Apply(1, "f", f)
	q := NewQueue(QueueConfig{
		Place: place, Store: s, Table: table, Recorder: metrics.New(time.Now), Now: time.Now,
		NewID: func() string { return "id" }, Log: slog.New(slog.DiscardHandler),
	})
	invoker := New(Config{Place: place, Table: table, Queue: q})
	var ran atomic.Int64
	all := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := q.Run(ctx, func(context.Context, *Request) (*Response, error) {
			if ran.Add(1) == int64(b.N) {
				close(all)
			}
			return &Response{Payload: []byte("null")}, nil
		})
		if err != nil {
			b.Error(err)
		}
	})
	payload := make([]byte, 1024)
	for i := range payload {
		payload[i] = ' '
	}
	payload[0] = '1'
	var next atomic.Int64
	var senders sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		senders.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := invoker.Invoke(b.Context(), &Request{FunctionName: "f", Type: Event, RequestID: "id", Payload: payload}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	senders.Wait()
	accepted := b.Elapsed()
	<-all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "run/s")
	stop()
	running.Wait()
	if err := s.Close(); err != nil {
		b.Error(err)
	}
}
