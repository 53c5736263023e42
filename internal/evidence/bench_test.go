package evidence

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchSlices are slices of 20 requests about all signals, cut at failures, at weight 10 %.
func benchSlices(rate float64) (slices []Slice, requests int) {
	random := rand.New(rand.NewPCG(1, 9))
	for range 4096 {
		s := Slice{Weight: 0.1}
		for !s.Due() {
			side := &s.Baseline
			if random.Float64() < s.Weight {
				side = &s.Canary
			}
			observeRequest(side, random.Float64() < rate, normalLevel(random.NormFloat64()))
			requests++
		}
		slices = append(slices, s)
	}
	return slices, requests
}

func observeRequest(side *Tally, failed bool, level int) {
	side.Requests++
	if failed {
		side.Fail(ServerErrors)
	}
	side.Measure(Latency, level)
}

// BenchmarkTally counts one request: what happens on the invoke path.
func BenchmarkTally(b *testing.B) {
	b.ReportAllocs()
	thresholds := Thresholds{1, 2, 3, 4, 5}
	s, i := Slice{Weight: 0.1}, 0
	for b.Loop() {
		i++
		side := &s.Baseline
		if i%10 == 0 {
			side = &s.Canary
		}
		observeRequest(side, i%1000 == 0, thresholds.Level(float64(i%32)/8))
		if s.Due() {
			s = Slice{Weight: 0.1}
		}
	}
}

// BenchmarkObserve observes and judges slice after slice, as a release does: what happens beside the invoke
// path. At 100 requests per second, 1,000 releases together cost 100,000 times ns/request each second.
func BenchmarkObserve(b *testing.B) {
	for _, rate := range []float64{0.001, 0.01, 0.5} {
		b.Run(fmt.Sprintf("%g%% errors", 100*rate), func(b *testing.B) {
			slices, requests := benchSlices(rate)
			criteria := Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: 1e-6, NoSlower: true}
			e, i := newEvidence(b, Config{History: 0.001}), 0
			b.ReportAllocs()
			for b.Loop() {
				if e.Observe(&slices[i%len(slices)]) != nil || e.Judge(criteria) != NotEnough {
					e = newEvidence(b, Config{History: 0.001})
				}
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)*float64(len(slices))/float64(requests), "ns/request")
		})
	}
}

// BenchmarkAddMinutes adds blocks as large as CloudWatch minutes.
func BenchmarkAddMinutes(b *testing.B) {
	for _, minute := range []Block{{1000, 10, 9000, 90}, {100_000, 5000, 900_000, 45_000}, {MaxBlockRequests, 5e7, MaxBlockRequests, 5e7}} {
		b.Run(fmt.Sprintf("%d requests", minute.CanaryRequests+minute.BaselineRequests), func(b *testing.B) {
			e := newEvidence(b, Config{})
			for b.Loop() {
				if e.Add(0.1, minute) != nil || e.worse {
					e = newEvidence(b, Config{})
				}
			}
		})
	}
}

// rampEvidence is what a good version has shown when it has gone through all steps.
func rampEvidence(b *testing.B) *Evidence {
	b.Helper()
	e := newEvidence(b, Config{History: 0.001})
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

func BenchmarkHarmExcluded(b *testing.B) {
	e := rampEvidence(b)
	b.ReportAllocs()
	for b.Loop() {
		e.HarmExcluded(DefaultPromoteAlpha)
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, tolerated := range []float64{0.0001, 0.05} { // not enough evidence, no worse
		b.Run(fmt.Sprintf("tolerated %g", tolerated), func(b *testing.B) {
			e := rampEvidence(b)
			b.ReportAllocs()
			for b.Loop() {
				e.Judge(Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: tolerated})
			}
		})
	}
}

// BenchmarkReplay restores a release of a million requests from its certificate.
func BenchmarkReplay(b *testing.B) {
	e := newEvidence(b, Config{})
	slices, _ := benchSlices(0.01)
	for range 15 {
		for i := range slices {
			if err := e.Observe(&slices[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
	record := e.Record(Criteria{PromoteAlpha: DefaultPromoteAlpha, Tolerated: 0.01})
	for b.Loop() {
		if _, err := Replay(record); err != nil {
			b.Fatal(err)
		}
	}
}
