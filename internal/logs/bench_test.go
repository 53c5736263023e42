package logs

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"
)

// benchLine is like what a function logs in JSON.
func benchLine(i int) []byte {
	return fmt.Appendf(nil, `{"timestamp":"2026-11-23T12:%02d:%02d.123Z","level":"INFO","requestId":"b0f1c6e4-1111-4d0a-9d3e-%012d","message":"order accepted","amount":%d}`, i/60000%60, i/1000%60, i, i%977)
}

// BenchmarkAppend is what ingestion costs, from the sink to the disk: 50 streams, and a flush as often as a server does it.
func BenchmarkAppend(b *testing.B) {
	s := open(b, b.TempDir(), func(c *Config) { c.Now = time.Now })
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	lines := make([][]byte, 10_000)
	for i := range lines {
		lines[i] = benchLine(i)
	}
	names := make([]string, 50)
	for i := range names {
		names[i] = fmt.Sprintf("2026/11/23/[1]%032d", i)
	}
	at := start.UnixMilli()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		s.Append("/aws/lambda/f", names[i%50], Line{At: at + int64(i/50), RequestID: "b0f1c6e4-1111-4d0a-9d3e-000000000000", Message: lines[i%len(lines)]})
		i++
	}
	if err := s.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "lines/s")
	stop()
	<-done
}

// BenchmarkFilterMillion reads a million lines for the thousand that have a text.
func BenchmarkFilterMillion(b *testing.B) {
	s := open(b, b.TempDir(), nil)
	at := start.UnixMilli()
	for i := range 1_000_000 {
		s.Append("/aws/lambda/f", fmt.Sprintf("2026/11/23/[1]%032d", i%50), Line{At: at + int64(i/50), Message: benchLine(i)})
		if i%10_000 == 9_999 { // 200 ms at 50,000 lines a second
			if err := s.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	want := []byte(`"amount":42}`)
	for b.Loop() {
		p, err := s.Page(b.Context(), PageQuery{
			Query: Query{Group: "/aws/lambda/f", Match: func(e *Event) bool { return bytes.Contains(e.Message, want) }}, Limit: 10_000, MaxBytes: 1 << 20,
		})
		if err != nil || len(p.Events) != 1024 {
			b.Fatalf("%d events, %v", len(p.Events), err)
		}
	}
}
