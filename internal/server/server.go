// Package server is the composition root: it builds everything, owns every goroutine that lives as long as
// the server, and shuts all of it down in order. At the end of a server's life listeners drain first; only
// when the last invocation has been answered do the controllers, the execution environments and the store
// stop.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	cloudwatchsdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"serin"
	"serin/internal/alarm"
	"serin/internal/api"
	"serin/internal/awsapi"
	"serin/internal/bundle"
	"serin/internal/capacity"
	"serin/internal/cloudformation"
	"serin/internal/cloudwatch"
	"serin/internal/cloudwatchlogs"
	"serin/internal/codedeploy"
	"serin/internal/console"
	"serin/internal/control"
	"serin/internal/egress"
	"serin/internal/executor"
	"serin/internal/exposition"
	"serin/internal/invoke"
	"serin/internal/logs"
	"serin/internal/metrics"
	"serin/internal/notify"
	"serin/internal/overview"
	"serin/internal/recording"
	"serin/internal/release"
	"serin/internal/router"
	"serin/internal/s3"
	"serin/internal/sandbox"
	"serin/internal/store"
	"serin/internal/timeseries"
	"serin/internal/tracing"
)

// Config is how a server runs.
type Config struct {
	Listen    string // host:port; port 0 picks a free one
	Data      string // directory
	Database  string // "" for SQLite in Data, or a postgres:// URL
	Region    string
	Account   string // twelve digits
	ReadyFile string // "" for none
	Auth      string // AuthSigV4 or AuthNone
	// Concurrency is how many invocations may run at a time, as the account's limit on AWS; 0 for 1000.
	Concurrency int
	QueueWait   time.Duration // how long an invocation beyond a limit waits for its turn; 0 refuses it at once
	KeepWarm    time.Duration // how long a version that a release has replaced stays warm
	// Notify is who is told what happens to releases.
	Notify []notify.Target
	// WebhookSecret signs what alarms tell URLs; "" for no signature.
	WebhookSecret string
	// AllowUnsafeCommit accepts a PostgreSQL server that acknowledges before it has synced.
	AllowUnsafeCommit bool
	// MaxObject bounds the objects that are uploaded to S3, in bytes; 0 for 5 GiB.
	MaxObject int64
	// LogRetention is how long log events are kept unless their group says otherwise; 0 for ever.
	LogRetention time.Duration
	// LogSize bounds what all log events take on disk, in bytes; the oldest go first. 0 for no bound.
	LogSize int64
	// Isolation says what happens if the kernel does not grant everything that isolates functions.
	Isolation sandbox.Isolation
	// KeepVersions is how many of the newest versions of each function stay that nothing needs; 0 for all.
	KeepVersions int
	// Network says what functions may connect to.
	Network egress.Policy
	// LenientTemplates accepts the weights of an alias in templates also as the map of Lambda's API.
	LenientTemplates bool
	// Metrics says who may read /metrics: MetricsToken, which is the default, MetricsOpen or MetricsOff.
	Metrics string
	// OTLP says where spans and metrics are sent.
	OTLP tracing.Settings
	Log  *slog.Logger
}

// Ways to authenticate callers.
const (
	AuthSigV4 = "sigv4"
	AuthNone  = "none" // on loopback only
)

// Ready says how to reach a server that serves.
type Ready struct {
	Endpoint        string `json:"endpoint"`
	Region          string `json:"region"`
	Account         string `json:"account"`
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	PID             int    `json:"pid"`
}

// DefaultKeepWarm is how long a version that a release has replaced stays warm unless told otherwise.
const DefaultKeepWarm = 15 * time.Minute

// What is kept of logs unless told otherwise.
const (
	DefaultLogRetention = 30 * 24 * time.Hour
	DefaultLogSize      = 4 << 30 // bytes
)

const (
	// spareSandboxes hides most of what a sandbox costs from cold starts that do not come in bursts.
	spareSandboxes = 2

	defaultConcurrency = 1000 // of an AWS account
	maxConcurrency     = 100_000
	defaultMaxObject   = 5 << 30          // what S3 takes in one piece
	maxQueueWait       = 15 * time.Minute // the longest timeout of a function
)

const (
	drainFor    = 30 * time.Second // how long running invocations may go on at shutdown
	runningFile = "server.json"    // in the data directory, while a server uses it
)

// server is everything that a running server is made of.
type server struct {
	Config
	key        rootKey
	store      *store.Store
	table      *router.Table
	executor   *executor.Executor
	invoker    *invoke.Invoker
	events     *invoke.Queue
	capacity   *capacity.Keeper
	control    *control.Control
	releases   *release.Controller
	notifier   *notify.Notifier
	recorder   *metrics.Recorder
	recordings *recording.Recorder
	auth       *awsapi.Authenticator
	metrics    *timeseries.Store
	cloudwatch *cloudwatch.Service
	alarms     *alarm.Service
	logs       *logs.Store
	logsAPI    *cloudwatchlogs.Service
	codedeploy *codedeploy.Service
	overview   *overview.Reader
	objects    *s3.Service
	supporting supporting
	stacks     *cloudformation.Service
	commits    *exposition.Commits
	scrape     http.Handler    // nil for nobody
	tracer     *tracing.Tracer // nil for none
	console    *console.Console
}

// Run serves until the context ends and then shuts down in order. ready, which may be nil, is called once
// requests are served.
func Run(ctx context.Context, cfg Config, ready func(Ready)) error {
	if err := cfg.check(); err != nil {
		return err
	}
	data, err := filepath.Abs(cfg.Data) // functions run in directories of their own
	if err == nil {
		err = os.MkdirAll(data, 0o700)
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	cfg.Data = data
	s := &server{Config: cfg}
	if err := s.build(ctx); err != nil {
		return errors.Join(err, s.close(ctx))
	}
	return errors.Join(s.serve(ctx, ready), s.close(ctx))
}

func (cfg *Config) check() error {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return serin.Errorf(serin.KindInvalid, "--listen %s: want host:port", cfg.Listen)
	}
	switch cfg.Isolation {
	case "", sandbox.IsolationAuto, sandbox.IsolationRequire, sandbox.IsolationNone:
	default:
		return serin.Errorf(serin.KindInvalid, "--isolation %s: want %s, %s or %s", cfg.Isolation, sandbox.IsolationAuto, sandbox.IsolationRequire, sandbox.IsolationNone)
	}
	switch cfg.Auth {
	case AuthSigV4:
	case AuthNone:
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return serin.Errorf(serin.KindInvalid, "--auth none is refused on %s: anybody who reaches that address could run code here; listen on 127.0.0.1", cfg.Listen)
		}
	default:
		return serin.Errorf(serin.KindInvalid, "--auth %s: want %s or %s", cfg.Auth, AuthSigV4, AuthNone)
	}
	if err := checkMetrics(cfg.Metrics); err != nil {
		return err
	}
	cfg.Concurrency = cmp.Or(cfg.Concurrency, defaultConcurrency)
	if cfg.Concurrency < 1 || cfg.Concurrency > maxConcurrency {
		return serin.Errorf(serin.KindInvalid, "--concurrency %d: want 1 to %d", cfg.Concurrency, maxConcurrency)
	}
	if cfg.QueueWait < 0 || cfg.QueueWait > maxQueueWait {
		return serin.Errorf(serin.KindInvalid, "--queue-wait %s: want 0s to %s", cfg.QueueWait, maxQueueWait)
	}
	if cfg.MaxObject = cmp.Or(cfg.MaxObject, defaultMaxObject); cfg.MaxObject < 0 {
		return serin.Errorf(serin.KindInvalid, "--max-object %d: want 1 or more", cfg.MaxObject)
	}
	if cfg.KeepVersions < 0 {
		return serin.Errorf(serin.KindInvalid, "--keep-versions %d: want 0 or more", cfg.KeepVersions)
	}
	if cfg.LogRetention < 0 || cfg.LogSize < 0 {
		return serin.Errorf(serin.KindInvalid, "--log-retention %s, --log-size %d: want 0 or more", cfg.LogRetention, cfg.LogSize)
	}
	if cfg.KeepWarm < 0 {
		return serin.Errorf(serin.KindInvalid, "--keep-warm %s: want 0s or more", cfg.KeepWarm)
	}
	return nil
}

// build makes the parts, bottom up.
func (s *server) build(ctx context.Context) (err error) {
	place := serin.Place{Region: s.Region, Account: s.Account}
	s.commits = exposition.NewCommits()
	if s.tracer, err = tracing.Start(ctx, s.OTLP, place, s.Log); err != nil {
		return err
	}
	s.store, err = store.Open(ctx, store.Config{
		Dir: s.Data, Database: s.Database, AllowUnsafeCommit: s.AllowUnsafeCommit, Committed: s.commits.Observe, Log: s.Log,
	})
	if err != nil {
		return err
	}
	if s.key, err = loadKey(s.Data); err != nil {
		return err
	}
	packages, err := bundle.Open(filepath.Join(s.Data, "packages"), s.blob)
	if err != nil {
		return fmt.Errorf("unpacked packages: %w", err)
	}
	s.logs, err = logs.Open(ctx, logs.Config{
		Dir: filepath.Join(s.Data, "logs"), Retention: s.LogRetention, MaxBytes: s.LogSize, Now: time.Now, Log: s.Log,
		Written: func(ctx context.Context, c *logs.Chunk) { s.logsAPI.Written(ctx, c) },
	})
	if err != nil {
		return err
	}
	s.logsAPI = cloudwatchlogs.New(cloudwatchlogs.Config{
		Place: place, Store: s.logs, Now: time.Now, Log: s.Log,
		PutMetricData: func(ctx context.Context, in *cloudwatchsdk.PutMetricDataInput, _ ...func(*cloudwatchsdk.Options)) (*cloudwatchsdk.PutMetricDataOutput, error) {
			return s.cloudwatch.PutMetricData(ctx, in) // made later
		},
	})
	s.executor, err = executor.New(executor.Config{
		Dir: filepath.Join(s.Data, "run"), Region: s.Region, Isolation: s.Isolation, Network: s.Network, Logs: s.logsAPI.Sink,
		SpareSandboxes: spareSandboxes, Log: s.Log,
		MaxEnvironments: s.Concurrency, Limits: s.limits, QueueWait: s.QueueWait,
	})
	if err != nil {
		return err
	}
	s.table = router.New(place)
	s.recorder = metrics.New(time.Now)
	s.events = invoke.NewQueue(invoke.QueueConfig{
		Place: place, Store: s.store, Table: s.table, Recorder: s.recorder, Now: time.Now, NewID: uuid.NewString, Log: s.Log,
	})
	if s.recordings, err = recording.Open(recording.Dir(s.Data), time.Now, s.Log); err != nil {
		return err
	}
	s.invoker = invoke.New(invoke.Config{
		Place: place, Table: s.table, Executor: s.executor, Recorder: s.recorder, Queue: s.events, CodeDir: packages.Dir, LayersDir: packages.Layers, Log: s.Log,
		Tracer: s.tracer, ReleaseOf: s.releaseOf,
		Recordings: s.recordings,
	})
	s.capacity = capacity.New(capacity.Config{
		Table: s.table, Executor: s.executor, Spec: s.invoker.Spec, KeepWarm: s.KeepWarm, Log: s.Log,
	})
	if s.supporting, err = newSupporting(place, s.store, s.key, s.apiEndpoint); err != nil {
		return err
	}
	s.auth = awsapi.NewAuthenticator(awsapi.AuthConfig{
		Credentials: s.secret, Session: s.supporting.identity.Session, Name: s.nameOf, Region: s.Region, Now: time.Now, NoAuth: s.Auth == AuthNone,
	})
	s.objects, err = s3.Open(ctx, s3.Config{
		Dir: filepath.Join(s.Data, "objects"), Store: s.store, Region: s.Region, MaxObject: s.MaxObject, Now: time.Now, Log: s.Log,
	})
	if err != nil {
		return err
	}
	s.control = control.New(control.Config{
		Place: place, Store: s.store, Table: s.table, Executor: s.executor, Recorder: s.recorder, Retire: s.retire,
		MountsLayers: s.executor.Isolates(), CodeURL: s.codeURL, ReadObject: s.objects.ReadObject, FunctionURL: s.functionURL, Provisioned: s.capacity.Provisioned, Changed: s.capacity.Changed,
		Concurrency: s.Concurrency, Now: time.Now, NewID: uuid.NewString, Log: s.Log,
	})
	s.notifier = notify.New(notify.Config{Store: s.store, Targets: s.Notify, Now: time.Now, Log: s.Log})
	var told []string
	for _, t := range s.Notify {
		told = append(told, t.Name)
	}
	s.releases = release.New(release.Config{
		Store: s.store, Aliases: s.control, Recorder: s.recorder, Warmer: s.capacity, Now: time.Now, NewID: uuid.NewString, Log: s.Log,
		Invoke: s.invokeForCheck, VersionARN: place.FunctionARN, Notify: told, Saved: s.notifier.Wake, Moved: s.tracer.Release,
		Alarms: func(names []string) []serin.AlarmState { return s.alarms.States(names) },
		Await:  s.await,
	})
	s.metrics, err = timeseries.Open(ctx, timeseries.Config{Dir: filepath.Join(s.Data, "metrics"), Now: time.Now, Log: s.Log})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.overview = &overview.Reader{Control: s.control, Releases: s.releases, Recorder: s.recorder, Now: time.Now, Log: s.Log}
	s.cloudwatch = cloudwatch.New(cloudwatch.Config{Store: s.metrics, Recorder: s.recorder, Now: time.Now, Log: s.Log})
	if err := s.expose(ctx); err != nil {
		return err
	}
	s.alarms = s.newAlarms(place)
	s.stacks = s.newStacks(place)
	if err := s.alarms.Load(ctx); err != nil {
		return fmt.Errorf("alarms: %w", err)
	}
	s.codedeploy = s.newCodeDeploy(place)
	if err := s.control.Load(ctx); err != nil {
		return err
	}
	if claims := s.table.Claims(); claims >= s.Concurrency {
		s.Log.WarnContext(ctx, "functions without reserved concurrency cannot run: others claim all of it", "concurrency", s.Concurrency, "claims", claims)
	}
	return nil
}

func (s *server) blob(ctx context.Context, sha256hex string) (io.ReaderAt, int64, io.Closer, error) {
	b, err := s.store.OpenBlob(ctx, sha256hex)
	if err != nil {
		return nil, 0, nil, err
	}
	return b, b.Size(), b, nil
}

func (s *server) secret(accessKeyID string) (string, bool) {
	return s.key.SecretAccessKey, accessKeyID == s.key.AccessKeyID
}

// limits says how many invocations of a function may run at a time.
func (s *server) limits(function string) executor.Limits {
	l := executor.Limits{Unreserved: s.Concurrency - s.table.Claims()}
	if f, ok := s.table.Function(function); ok {
		l.Reserved = f.Reserved
	}
	return l
}

func (s *server) nameOf(accessKeyID string) string {
	if accessKeyID != s.key.AccessKeyID {
		return ""
	}
	return s.key.Name
}

func (s *server) retire(keep func(executor.Key) bool) {
	s.executor.Retire(keep)
	s.invoker.Forget(keep)
}

// serve listens, runs the long-lived goroutines, and drains when the context ends.
func (s *server) serve(ctx context.Context, ready func(Ready)) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.Listen = listener.Addr().String() // the port may have been 0
	// The second life cycle: it outlasts the listener's.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, inner := errgroup.WithContext(inner)
	group.Go(func() error { return s.control.Follow(inner) })
	group.Go(func() error { return s.capacity.Run(inner) })
	group.Go(func() error { return s.releases.Run(inner) })
	group.Go(func() error { return s.codedeploy.Run(inner) })
	group.Go(func() error { return s.notifier.Run(inner) })
	group.Go(func() error { return s.keepPruning(inner) })
	group.Go(func() error { return s.recordings.Run(inner) })
	group.Go(func() error { return s.metrics.Run(inner) })
	group.Go(func() error { return s.logs.Run(inner) })
	group.Go(func() error { return s.cloudwatch.Run(inner) })
	group.Go(func() error { return s.alarms.Run(inner) })
	group.Go(func() error { return s.stacks.Run(inner) })
	group.Go(func() error { return s.events.Run(inner, s.invoker.Invoke) })

	if err := s.newConsole(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	group.Go(func() error { return s.console.Run(inner) })

	front := &http.Server{
		Handler: s.routes(ctx), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- front.Serve(listener) }()
	if err = s.announce(ready); err == nil {
		s.Log.InfoContext(ctx, "serving", "endpoint", s.endpoint(), "data", s.Data)
		select {
		case <-ctx.Done():
			s.Log.InfoContext(inner, "shutting down", "cause", context.Cause(ctx))
		case err = <-failed:
		case <-inner.Done():
		}
	}
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	if late := front.Shutdown(drained); late != nil {
		// Who is slow to take a streamed response would hold up what follows for as long as the function may run.
		err = errors.Join(err, late, front.Close())
	}
	stop()
	// What runs now are events, and the queue waits for them. One that is cut off runs again when the server is back.
	if cut := s.executor.Close(drained); cut != nil {
		s.Log.WarnContext(inner, "ended execution environments that were still running", "error", cut)
	}
	return errors.Join(err, group.Wait())
}

// close stops what build has made, top down.
func (s *server) close(ctx context.Context) error {
	var err error
	if s.executor != nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
		defer cancel()
		err = s.executor.Close(bounded)
	}
	if s.logs != nil {
		err = errors.Join(err, s.logs.Close(ctx))
	}
	if s.metrics != nil {
		err = errors.Join(err, s.metrics.Close(ctx))
	}
	if late := s.tracer.Close(ctx); late != nil { // it is away; that is no reason to have failed
		s.Log.WarnContext(ctx, "the last spans and metrics could not be sent", "error", late)
	}
	if s.store != nil {
		err = errors.Join(err, s.retract(), s.store.Close())
	}
	return err
}

func (s *server) endpoint() string { return "http://" + s.Listen }

// routes is everything that the one port answers. stopping ends when the server begins to shut down.
func (s *server) routes(stopping context.Context) http.Handler {
	own := http.NewServeMux()
	own.HandleFunc("GET "+healthPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	own.Handle(api.Prefix, s.auth.Wrap(api.New(api.Config{Reader: s.overview, Recordings: s.recordings, Stopping: stopping}), maxAPIBody))
	own.HandleFunc("POST "+consoleLinkPath, s.serveConsoleLink)
	own.Handle("GET "+codePath+"{sha256}", s.auth.Wrap(http.HandlerFunc(s.serveCode), 0))
	aws := awsapi.New(awsapi.Config{
		Auth: s.auth, Lambda: s.control, Invoke: s.invoke, CloudFormation: s.stacks, CloudWatch: s.cloudwatch, CodeDeploy: s.codedeploy, Alarms: s.alarms, Logs: s.logsAPI, S3: s.objects.Handler(),
		Parameters: s.supporting.parameters, Identity: s.supporting.identity, Repositories: s.supporting.repositories, HTTPAPIs: s.supporting.apis, Log: s.Log,
	})
	if s.scrape != nil {
		own.Handle("GET "+metricsPath, s.scrape)
	}
	urls := s.functionURLs()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The host decides first: a function URL has all paths to itself.
		if urls.Serves(r) {
			urls.ServeHTTP(w, r)
			return
		}
		if showsConsole(r) {
			s.serveConsole(w, r)
			return
		}
		// A ServeMux redirects paths that it finds unclean; a path with an ARN in it may look like that.
		if r.URL.Path == healthPath || r.URL.Path == metricsPath || strings.HasPrefix(r.URL.Path, api.Prefix) {
			own.ServeHTTP(w, r)
			return
		}
		aws.ServeHTTP(w, r)
	})
}

const healthPath = "/healthz"

const maxAPIBody = 1 << 20

func (s *server) invoke(ctx context.Context, in awsapi.InvokeRequest) (awsapi.InvokeResponse, error) {
	if err := control.CheckInvoked(in.FunctionName, in.Qualifier); err != nil {
		return awsapi.InvokeResponse{}, err
	}
	out, err := s.invoker.Invoke(ctx, &invoke.Request{
		FunctionName: in.FunctionName, Qualifier: in.Qualifier, Type: invoke.Type(in.InvocationType), Tail: in.LogType == "Tail",
		ClientContext: in.ClientContext, TraceID: in.TraceID, RequestID: in.RequestID, Payload: in.Payload,
		Header: in.Header, Stream: in.Stream,
	})
	if err != nil {
		return awsapi.InvokeResponse{}, err
	}
	return awsapi.InvokeResponse{
		ExecutedVersion: out.ExecutedVersion, FunctionError: out.FunctionError, LogResult: out.Tail, Payload: out.Payload,
		Streamed: out.Streamed, ErrorType: out.ErrorType,
	}, nil
}
