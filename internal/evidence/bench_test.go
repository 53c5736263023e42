package evidence

import (
	"fmt"
	"testing"
)

// BenchmarkAddBlock adds blocks of 20 requests at weight 10 %, and CloudWatch minutes.
func BenchmarkAddBlock(b *testing.B) {
	for _, rate := range []float64{0.001, 0.01, 0.5} {
		b.Run(fmt.Sprintf("20 requests, %g%% errors", 100*rate), func(b *testing.B) {
			traffic := newTraffic(1, 0.1, rate, rate)
			blocks := make([]Block, 4096)
			for i := range blocks {
				blocks[i] = traffic.block()
			}
			benchmarkAdd(b, blocks, 20)
		})
	}
	for _, minute := range []Block{{1000, 10, 9000, 90}, {100_000, 5000, 900_000, 45_000}, {MaxBlockRequests, 5e7, MaxBlockRequests, 5e7}} {
		requests := minute.CanaryRequests + minute.BaselineRequests
		b.Run(fmt.Sprintf("%d requests", requests), func(b *testing.B) {
			benchmarkAdd(b, []Block{minute}, requests)
		})
	}
}

func benchmarkAdd(b *testing.B, blocks []Block, requests int) {
	b.Helper()
	b.ReportAllocs()
	var e Evidence
	i := 0
	for b.Loop() {
		if e.Add(0.1, blocks[i%len(blocks)]) != nil {
			e = Evidence{}
		}
		i++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(requests), "ns/request")
}

func BenchmarkHarmExcluded(b *testing.B) {
	e := rampEvidence(b)
	b.ReportAllocs()
	for b.Loop() {
		e.HarmExcluded(DefaultPromoteAlpha)
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, delta := range []float64{0.0001, 0.05} { // not enough evidence, no worse
		b.Run(fmt.Sprintf("delta %g", delta), func(b *testing.B) {
			e := rampEvidence(b)
			b.ReportAllocs()
			for b.Loop() {
				e.Judge(Criteria{DefaultAlpha, DefaultPromoteAlpha, delta})
			}
		})
	}
}

// rampEvidence is what a good version has shown when it has gone through all steps.
func rampEvidence(b *testing.B) *Evidence {
	b.Helper()
	e, err := New(Config{History: 0.001})
	if err != nil {
		b.Fatal(err)
	}
	traffic := newTraffic(1, 0, 0.001, 0.001)
	for _, weight := range []float64{0.01, 0.05, 0.25, 0.5} {
		traffic.weight = weight
		for range 50 {
			if err := e.Add(weight, traffic.block()); err != nil {
				b.Fatal(err)
			}
		}
	}
	return e
}
