package exposition

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"serin"
	"serin/internal/executor"
	"serin/internal/invoke"
	"serin/internal/metrics"
	"serin/internal/release"
	"serin/internal/router"
	"serin/internal/store"
)

var place = serin.Place{Region: "us-east-1", Account: "000000000000"}

// world is an exposition and what it reads.
func world(tb testing.TB, now func() time.Time) *Exposition {
	tb.Helper()
	commits := NewCommits()
	s, err := store.Open(tb.Context(), store.Config{Dir: tb.TempDir(), Committed: commits.Observe})
	must(tb, err)
	tb.Cleanup(func() { must(tb, s.Close()) })
	ex, err := executor.New(executor.Config{Dir: tb.TempDir(), Region: "us-east-1", Isolation: "none", Zygotes: -1})
	must(tb, err)
	tb.Cleanup(func() { must(tb, ex.Close(context.Background())) })
	recorder, table := metrics.New(now), router.New(place)
	return &Exposition{
		Config: Config{
			Table: table, Recorder: recorder, Executor: ex, Commits: commits, Concurrency: 1000, Now: now, Log: slog.New(slog.DiscardHandler),
			Releases: release.New(release.Config{Store: s, Recorder: recorder, Now: now, Log: slog.New(slog.DiscardHandler)}),
			Events:   invoke.NewQueue(invoke.QueueConfig{Place: place, Store: s, Table: table, Recorder: recorder, Now: now}),
		},
		process: prometheus.NewRegistry(),
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// apply puts a function with an alias into the table.
func (e *Exposition) apply(name string, routing serin.Routing) {
	c := serin.Change{At: e.Now(), NewRevision: func() string { return "r" }}
	f := serin.NewFunction(c, place, name, serin.Configuration{}, serin.Code{}, nil, 0)
	f.Aliases["live"] = &serin.Alias{Name: "live", Routing: routing}
	e.Table.Apply(1, name, f)
}

var split = serin.Routing{Version: 1, Additional: 2, Weight: 0.1}

func sample(function string, version serin.VersionNumber, at time.Time) metrics.Sample {
	return metrics.Sample{
		Function: function, Qualifier: "live", Alias: "live", Routing: split, Version: version, Start: at,
		Duration: 3 * time.Millisecond, RequestID: "8c2b0f1e-2b7c-4a57-9d4c-1f0a7c1b3d11",
	}
}

// page is what a scraper gets, without what is about the process.
func (e *Exposition) page(tb testing.TB) string {
	tb.Helper()
	all, err := e.Gather()
	must(tb, err)
	var b strings.Builder
	encoder := expfmt.NewEncoder(&b, expfmt.NewFormat(expfmt.TypeOpenMetrics))
	for _, f := range all {
		must(tb, encoder.Encode(f))
	}
	return b.String()
}

func TestPage(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	e := world(t, func() time.Time { return now })
	e.apply("shop", split)
	for i := range 10 {
		s := sample("shop", serin.VersionNumber(1+i/9), now)
		if i == 9 {
			s.Outcome, s.Init, s.TraceID = serin.OutcomeTimeout, 80*time.Millisecond, "4bf92f3577b34da6a3ce929d0e0e4736"
			s.Duration = 3 * time.Second
		}
		e.Recorder.Record(s)
	}
	throttled := sample("shop", 2, now)
	e.Recorder.Tally(&throttled).Throttled(&throttled)
	e.Recorder.EventReceived("shop", "live")
	e.Recorder.EventStarted("shop", "live", 2*time.Second)
	e.Recorder.EventDropped("shop", "live", true)
	page := e.page(t)
	for _, want := range []string{
		`serin_invocations_total{alias="live",function="shop",version="1"} 9.0`,
		`serin_invocation_errors_total{alias="live",function="shop",kind="5xx",version="1"} 0.0`,
		`serin_invocation_errors_total{alias="live",function="shop",kind="timeout",version="2"} 1.0 # {request_id="8c2b0f1e-2b7c-4a57-9d4c-1f0a7c1b3d11",trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 3.0 1.8e+09`,
		`serin_invocation_duration_seconds_bucket{alias="live",function="shop",version="1",le="0.0025"} 0`,
		`serin_invocation_duration_seconds_bucket{alias="live",function="shop",version="1",le="0.005"} 9 # {request_id="8c2b0f1e-2b7c-4a57-9d4c-1f0a7c1b3d11"} 0.003 1.8e+09`,
		`serin_invocation_duration_seconds_count{alias="live",function="shop",version="1"} 9`,
		`serin_invocation_duration_seconds_sum{alias="live",function="shop",version="1"} 0.027`,
		`serin_init_duration_seconds_count{alias="live",function="shop",version="2"} 1`,
		`serin_throttles_total{alias="live",function="shop",version="2"} 1.0`,
		`serin_alias_weight_ratio{alias="live",function="shop",version="2"} 0.1`,
		`serin_alias_observed_ratio{alias="live",function="shop",version="2"} 0.1`,
		`serin_concurrency_limit 1000.0`,
		`serin_environments{state="idle"} 0.0`,
		`serin_events_lost_total{function="shop"} 1.0`,
		`serin_event_age_seconds_count{function="shop"} 1`,
		`serin_event_queue_events 0.0`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks: %s", want)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
	// What client_golang would check of each metric, and its advice on names.
	if _, err := (prometheus.Gatherers{prometheus.Gatherer(e)}).Gather(); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(prometheus.Gatherer(e))
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A version that nobody uses any more is not shown for ever, and neither is a function that is gone.
func TestOnlyWhatIsInUse(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	e := world(t, func() time.Time { return now })
	e.apply("shop", split)
	for v := range serin.VersionNumber(4) {
		e.Recorder.Record(sample("shop", v+1, now))
	}
	e.Recorder.Record(sample("gone", 1, now))
	now = now.Add(59 * time.Minute)
	e.Recorder.Record(sample("shop", 4, now))
	shown := func() (versions []string) {
		for line := range strings.Lines(e.page(t)) {
			if rest, ok := strings.CutPrefix(line, `serin_invocations_total{alias="live",function="`); ok {
				name, rest, _ := strings.Cut(rest, `",version="`)
				versions = append(versions, name+":"+rest[:1])
			}
		}
		slices.Sort(versions)
		return versions
	}
	if diff := cmp.Diff([]string{"shop:1", "shop:2", "shop:3", "shop:4"}, shown()); diff != "" {
		t.Error(diff)
	}
	now = now.Add(2 * time.Minute)
	if diff := cmp.Diff([]string{"shop:1", "shop:2", "shop:4"}, shown()); diff != "" {
		t.Error(diff)
	}
}

// Both forms of a histogram hold every duration, not far from where it belongs.
func TestDurations(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		d := time.Duration(math.Exp(random.Float64()*math.Log(float64(20*time.Minute)))) + 17*time.Microsecond
		now := time.Unix(1_800_000_000, 0)
		r := metrics.New(func() time.Time { return now })
		s := sample("shop", 1, now)
		s.Duration = d
		r.Record(s)
		for reading := range r.Readings() {
			var f families
			sum, buckets := reading.Duration()
			f.histogram("d", "").durations(nil, sum, buckets, nil)
			h := f.begun[0].Metric[0].Histogram
			if h.GetSampleCount() != 1 || sum != d {
				t.Fatalf("%s: count %d, sum %s", d, h.GetSampleCount(), sum)
			}
			checkBounds(t, d.Seconds(), h)
		}
	}
}

func checkBounds(t *testing.T, seconds float64, h *dto.Histogram) {
	t.Helper()
	const near = 1 + 1.0/16
	index := h.PositiveSpan[0].GetOffset()
	if low, high := math.Exp2(float64(index-1)/8), math.Exp2(float64(index)/8); seconds < low/near || seconds > high*near {
		t.Errorf("%v s lies in the native bucket from %v to %v", seconds, low, high)
	}
	below := 0.0
	for _, b := range h.Bucket {
		if b.GetCumulativeCount() == 1 {
			if seconds < below/near || seconds > b.GetUpperBound()*near {
				t.Errorf("%v s lies in the bucket from %v to %v", seconds, below, b.GetUpperBound())
			}
			return
		}
		below = b.GetUpperBound()
	}
	t.Errorf("%v s lies in no bucket", seconds)
}

// Native buckets are written as differences, with gaps between spans.
func TestSpans(t *testing.T) {
	want := map[int32]int64{-12: 3, -11: 1, -3: 7, -2: 7, 40: 2}
	var s spans
	for _, index := range []int32{-12, -11, -3, -2, 40} {
		for range want[index] { // one at a time, as buckets of the recorder that fall together
			s.add(index, 1)
		}
	}
	got := map[int32]int64{}
	var index int32
	var count int64
	deltas := s.deltas
	for _, span := range s.spans {
		index += span.GetOffset()
		for range span.GetLength() {
			count += deltas[0]
			deltas = deltas[1:]
			got[index] = count
			index++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkScrape scrapes 10,000 functions with three versions each that have had traffic through one alias, as
// Prometheus does: OpenMetrics, compressed.
func BenchmarkScrape(b *testing.B) {
	now := time.Unix(1_800_000_000, 0)
	e := world(b, func() time.Time { return now })
	for i := range 10_000 {
		name := fmt.Sprintf("function-%d", i)
		e.apply(name, split)
		for v := range serin.VersionNumber(3) {
			for range 5 {
				s := sample(name, v+1, now)
				s.Duration = time.Duration(rand.ExpFloat64() * float64(50*time.Millisecond))
				e.Recorder.Record(s)
			}
		}
	}
	handler := New(e.Config).Handler()
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			var size, sent int64
			for b.Loop() {
				req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", http.NoBody)
				req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
				req.Header.Set("Accept-Encoding", encoding)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, req)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body.String())
				}
				sent, size = int64(w.Body.Len()), int64(w.Body.Len())
				if encoding == "gzip" {
					b.StopTimer()
					z, err := gzip.NewReader(w.Body)
					must(b, err)
					size, err = io.Copy(io.Discard, z)
					must(b, err)
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(size)/1e6, "MB/page")
			b.ReportMetric(float64(sent)/1e6, "MB/sent")
		})
	}
}
