// Package exposition shows what the server has counted to Prometheus and to whoever reads its formats: text,
// OpenMetrics with exemplars that name a request, and protobuf with native histograms.
//
// Invocations know nothing of it. A scrape reads the sums that the metrics recorder keeps anyway and writes metric
// families directly, because the checks that client_golang makes of every sample of every scrape would cost more
// than all the rest with tens of thousands of versions; a test makes them instead.
//
// Cardinality is bounded by what is in use: a version is shown while an alias routes to it and for an hour after
// its last invocation; a release while it is active; environments by version while there are some.
package exposition

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"serin/internal/executor"
	"serin/internal/invoke"
	"serin/internal/metrics"
	"serin/internal/release"
	"serin/internal/router"
)

// Config is what an exposition reads.
type Config struct {
	Table       *router.Table
	Recorder    *metrics.Recorder
	Executor    *executor.Executor
	Releases    *release.Controller
	Events      *invoke.Queue
	Commits     *Commits
	Concurrency int // how many invocations may run at a time
	Now         func() time.Time
	Log         *slog.Logger
}

const (
	// shownFor is how long a version that no alias routes to is shown after its last invocation.
	shownFor = time.Hour
	// maxScrapes is how many scrapes are answered at a time: each holds all that it shows in memory.
	maxScrapes = 2
	// scrapeTimeout is how long a scrape may take, and reading the queue within it.
	scrapeTimeout = 30 * time.Second
)

// Commits measures how long writers wait for the store.
type Commits struct{ histogram prometheus.Histogram }

// NewCommits returns a measure without measurements.
func NewCommits() *Commits {
	return &Commits{prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "serin_store_commit_duration_seconds",
		Help:    "How long writers waited until what they wrote was on disk.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}, NativeHistogramBucketFactor: nativeFactor,
	})}
}

// Observe counts a commit.
func (c *Commits) Observe(d time.Duration) { c.histogram.Observe(d.Seconds()) }

// Exposition gathers everything.
type Exposition struct {
	Config
	process *prometheus.Registry // what client_golang collects: the process, Go, the store
}

// New returns an exposition.
func New(cfg Config) *Exposition {
	e := &Exposition{Config: cfg, process: prometheus.NewRegistry()}
	e.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build())
	if cfg.Commits != nil {
		e.process.MustRegister(cfg.Commits.histogram)
	}
	return e
}

// Handler returns the handler of /metrics. It does not authenticate.
func (e *Exposition) Handler() http.Handler {
	return promhttp.HandlerFor(e, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(e.Log.Handler(), slog.LevelError), ErrorHandling: promhttp.HTTPErrorOnError,
		EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout,
	})
}

func build() prometheus.Collector {
	version, commit := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = cmp.Or(info.Main.Version, version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "serin_build_info", Help: "The build of the server; the value is 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": runtime.Version()},
	})
	g.Set(1)
	return g
}

// Gather returns all metric families, by name. It implements the Gatherer of client_golang.
func (e *Exposition) Gather() ([]*dto.MetricFamily, error) {
	all, err := e.process.Gather()
	if err != nil {
		return nil, err
	}
	var f families
	now := e.Now()
	e.aliases(&f, e.invocations(&f, now))
	e.concurrency(&f)
	e.events(&f)
	if err := e.backlog(&f); err != nil {
		return nil, err
	}
	e.releases(&f)
	all = append(all, f.all()...)
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return all, nil
}

func (e *Exposition) backlog(f *families) error {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	b, err := e.Events.Backlog(ctx)
	if err != nil {
		return err
	}
	f.gauge("serin_event_queue_events", "Asynchronous events in the queue, of all servers that share the store.").add(float64(b.Events))
	f.gauge("serin_event_queue_due_events", "Those of them that are due and that nobody has taken yet.").add(float64(b.Due))
	f.gauge("serin_event_queue_oldest_age_seconds", "Since the oldest event of the queue was accepted; 0 for none.").add(b.Age.Seconds())
	return nil
}
