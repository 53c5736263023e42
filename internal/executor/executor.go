package executor

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"serin"
	"serin/internal/egress"
	"serin/internal/sandbox"
)

// Config says how an [Executor] works. Dir is required; the zero value of everything else is usable.
type Config struct {
	// Dir is a directory that belongs to the executor alone. What it finds there of an earlier one, it removes.
	Dir string
	// Region is what functions are told to be their AWS region.
	Region string
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
	// Logs takes the log of the functions; nil discards it.
	Logs LogSink
	// MaxEnvironments limits how many environments exist, and with it how many invocations run at a time
	// (default 1000, the concurrency limit of an AWS account). When all exist, an idle one makes room.
	MaxEnvironments int
	// Limits says how many invocations of a function may run at a time. It is asked often, under the executor's
	// lock; nil leaves the limit to MaxEnvironments.
	Limits func(function string) Limits
	// QueueWait is how long an invocation beyond the limits waits for its turn before it is refused; 0 refuses it
	// at once, as AWS does.
	QueueWait time.Duration
	// IdleTimeout is how long an environment may wait for an invocation before it is stopped (default 5
	// minutes). It may wait a tenth longer.
	IdleTimeout time.Duration
	// InitTimeout limits an initialisation before the first invocation (default 10 s, as on AWS).
	InitTimeout time.Duration
	// Isolation says what happens if the kernel does not grant everything that isolates functions.
	Isolation sandbox.Isolation
	// Network says what functions may connect to; the zero value is what [egress.ParsePolicy] makes of "public".
	// Where nothing is isolated they may connect to whatever the server may.
	Network egress.Policy
	// SpareSandboxes is how many sandboxes are kept prepared for the next new environments.
	SpareSandboxes int
	// Zygotes is how many interpreters of each kind that has been used are kept started for the next new
	// environments (default 1; negative: none). Without isolation there are none.
	Zygotes int
	// FreezeAfter is how long an environment is idle before its processes are stopped until its next
	// invocation (default 100 ms; negative: never).
	FreezeAfter time.Duration
	// Interpreters names the program to use for a family of runtimes ("nodejs", "python") instead of the one on
	// the PATH.
	Interpreters map[string]string
	// Credentials are environment variables that every function gets, such as AWS_ACCESS_KEY_ID. They win
	// over the function's own.
	Credentials map[string]string
}

// Key names what an environment can serve. Two revisions of $LATEST never share one.
type Key struct{ Function, Version, Revision string }

// Spec describes one immutable function version, or one revision of $LATEST. It must not be changed
// once it has been passed to an [Executor].
type Spec struct {
	Function string
	Version  string // "$LATEST" or a number
	Revision string
	Runtime  string // a Lambda identifier
	Handler  string
	CodeDir  string // the absolute path of the unpacked package, which is not written to
	// LayersDir is the absolute path of the layers, merged, or empty. It is not written to.
	LayersDir string
	MemoryMB  int
	TmpMB     int           // size of /tmp, in MiB
	Timeout   time.Duration // of one invocation
	Env       map[string]string
	LogGroup  string
	// JSONLogs is the log format JSON instead of Text. Then the levels (TRACE to FATAL, "" for INFO) say what is left out
	// of the log: of the function's own lines, and of those of the platform.
	JSONLogs                            bool
	ApplicationLogLevel, SystemLogLevel string
}

// Key returns what environments of the version are pooled by.
func (s *Spec) Key() Key { return Key{s.Function, s.Version, s.Revision} }

// Invocation is what a function is invoked with.
type Invocation struct {
	RequestID  string
	InvokedARN string // with the qualifier that the caller used
	Payload    []byte // JSON
	// ClientContext and CognitoIdentity are JSON, or empty.
	ClientContext, CognitoIdentity string
	TraceID                        string // of X-Ray, or empty
	Tail                           bool   // the result shall carry the end of the log
	NoWait                         bool   // beyond the limits it is refused at once, whatever [Config] says
	// Stream, if set, takes a response that the function writes piece by piece, while it does so. It is called once,
	// before the first piece, and returns what the pieces are written to; both on the goroutine that called
	// [Executor.Invoke]. A Write that fails ends the interest in the response, not the function. Without Stream, and for
	// a response that is sent as a whole, the result carries all of it.
	Stream func(ResponseHead) io.Writer
}

// Result is how an invocation ended.
type Result struct {
	Payload       []byte
	Streamed      bool   // the response has gone to [Invocation.Stream]; Payload is nil or what ended it
	ContentType   string // of a response that the function has streamed, whoever collected it, or empty
	FunctionError string // "Unhandled" if the payload describes an error
	ErrorType     string // of what failed, as the platform counts it, or as the function says of a streamed response
	Outcome       serin.Outcome
	Cold          bool          // the environment was made for this invocation
	Duration      time.Duration // of the invocation
	InitDuration  time.Duration // of the initialisation before it, or 0
	BilledMillis  int64         // both, in whole milliseconds
	MaxMemoryMB   int           // the most that the runtime process has had resident so far
	Tail          []byte        // the last 4 KiB of the log, if asked for
	EnvironmentID string
	Provisioned   bool // it ran on a provisioned environment
	Spilled       bool // the version has provisioned environments, but all were in use
}

// Defaults of [Config].
const (
	defaultMaxEnvironments = 1000
	defaultIdleTimeout     = 5 * time.Minute
	defaultInitTimeout     = 10 * time.Second
	defaultFreezeAfter     = 100 * time.Millisecond
)

// defaultSettleTime is how long an invocation waits for an environment whose runtime has answered the last one but not
// asked for the next, before it takes another environment. Runtimes ask within a millisecond, unless the machine
// is busy: then another environment would make it worse.
const defaultSettleTime = 100 * time.Millisecond

// errShutdown refuses invocations while the executor closes.
var errShutdown = &serin.Error{Kind: serin.KindInternal, Message: "The server is shutting down. Retry the request."}

// Executor runs function versions in execution environments.
type Executor struct {
	cfg          Config
	log          *slog.Logger
	runtimeDir   string
	codes        codeCache
	settleTime   time.Duration
	host         *sandbox.Host
	zygotes      zygotes
	relay        *egress.Relay
	interpreters *interpreters
	stopSweep    context.CancelFunc
	background   sync.WaitGroup // sweeping, settling and the end of environments
	killing      atomic.Bool    // Close has lost patience

	mu      sync.Mutex
	closing bool
	empty   chan struct{} // closed when closing and no environment is left
	pools   map[Key]*pool
	envs    map[*environment]struct{}
	gates   map[string]*gate // by function

	unreserved int       // invocations that run on what functions without a reservation share
	queue      list.List // of those that wait for it
	waiting    int       // in all queues
}

// New prepares an executor: it writes the bootstraps and finds out what the kernel offers.
func New(cfg Config) (*Executor, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxEnvironments == 0 {
		cfg.MaxEnvironments = defaultMaxEnvironments
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdleTimeout
	}
	if cfg.InitTimeout == 0 {
		cfg.InitTimeout = defaultInitTimeout
	}
	if cfg.Zygotes == 0 {
		cfg.Zygotes = 1
	}
	if cfg.FreezeAfter == 0 {
		cfg.FreezeAfter = defaultFreezeAfter
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil || cfg.Dir == "" {
		return nil, fmt.Errorf("executor: bad directory %q", cfg.Dir)
	}
	cfg.Dir = dir
	e := &Executor{
		cfg:          cfg,
		log:          cfg.Log,
		runtimeDir:   filepath.Join(dir, "runtime"),
		codes:        codeCache{dir: filepath.Join(dir, "code"), visited: map[string]bool{}},
		settleTime:   defaultSettleTime,
		interpreters: newInterpreters(cfg.Interpreters),
		zygotes:      zygotes{ready: map[string][]*zygote{}, making: map[string]int{}},
		empty:        make(chan struct{}),
		pools:        map[Key]*pool{},
		envs:         map[*environment]struct{}{},
		gates:        map[string]*gate{},
	}
	if err := e.writeRuntime(); err != nil {
		return nil, fmt.Errorf("executor: %w", err)
	}
	if err := e.openHost(); err != nil {
		return nil, fmt.Errorf("executor: %w", err)
	}
	if err := e.NoNetwork(); err != nil {
		e.log.Warn("functions cannot reach the network", "error", err)
	}
	if missing := sandbox.Missing(e.host.Protections()); missing != "" {
		e.log.Warn("functions are not fully isolated", "missing", missing)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.stopSweep = cancel
	e.background.Go(func() { e.sweep(ctx) })
	if cfg.FreezeAfter > 0 {
		e.background.Go(func() { e.freezeIdle(ctx) })
	}
	return e, nil
}

// openHost finds out what sandboxes the machine grants, and how they reach the network.
func (e *Executor) openHost() (err error) {
	cfg := sandbox.Config{
		Dir: filepath.Join(e.cfg.Dir, "sandboxes"), Runtime: e.runtimeDir, Isolation: e.cfg.Isolation, Spare: e.cfg.SpareSandboxes,
		ResolvConf: egress.ResolvConf, Log: e.log,
	}
	if e.cfg.Network.Mode() != egress.None {
		mask := netip.AddrFrom4([4]byte(net.CIDRMask(egress.PrefixLen, 32)))
		cfg.Link = &sandbox.Link{
			Name: egress.DeviceName, Address: egress.FunctionAddr(), Mask: mask, Gateway: egress.GatewayAddr(), MTU: egress.MTU,
		}
		e.relay = egress.New(egress.Config{Policy: e.cfg.Network})
	}
	e.host, err = sandbox.Open(cfg)
	return err
}

// connect carries the packets of a sandbox to the network for as long as it exists.
func (e *Executor) connect(place *sandbox.Sandbox, s *Spec) {
	if place.Tun == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.background.Go(func() {
		<-place.Done()
		cancel()
	})
	e.background.Go(func() {
		err := e.relay.Serve(ctx, place.Tun, e.log.With("function", s.Function, "version", s.Version))
		if err != nil && ctx.Err() == nil {
			e.log.Warn("an execution environment has lost its network", "function", s.Function, "version", s.Version, "error", err)
		}
	})
}

// NoNetwork says why functions cannot reach the network although they may; it is nil if they can.
func (e *Executor) NoNetwork() error { return e.host.NoLink() }

// writeRuntime prepares the directory.
func (e *Executor) writeRuntime() error {
	if err := errors.Join(os.RemoveAll(e.runtimeDir), os.MkdirAll(e.runtimeDir, 0o755)); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(e.runtimeDir, "bootstrap.cjs"), nodeBootstrap, 0o644),
		os.WriteFile(filepath.Join(e.runtimeDir, "streaming.cjs"), nodeStreaming, 0o644),
		os.WriteFile(filepath.Join(e.runtimeDir, "zygote.cjs"), nodeZygote, 0o644),
		os.WriteFile(filepath.Join(e.runtimeDir, "compile.cjs"), nodeCompile, 0o644),
		os.WriteFile(filepath.Join(e.runtimeDir, "code.cjs"), nodeCode, 0o644),
		os.WriteFile(filepath.Join(e.runtimeDir, "bootstrap.py"), pythonBootstrap, 0o644),
	)
}

// Isolates reports whether functions see files of their own, with the code at /var/task and layers at /opt.
func (e *Executor) Isolates() bool {
	return slices.ContainsFunc(e.Protections(), func(p sandbox.Protection) bool { return p.Name == sandbox.ProtectFiles && p.On })
}

// Protections lists what functions are protected by from each other, and what is missing.
func (e *Executor) Protections() []sandbox.Protection { return e.host.Protections() }

// Invoke runs one invocation of a version and returns how it ended, which may be an error of the function. The
// error is a [serin.Error] if the platform could not run it: too many invocations at a time, a runtime that the
// machine does not have, a shutdown. It is the cause of ctx if ctx has ended before anything was done; an
// invocation that has begun runs to its end whatever becomes of ctx, as on AWS.
func (e *Executor) Invoke(ctx context.Context, s *Spec, in *Invocation) (*Result, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		env, err := e.acquire(ctx, s, in.NoWait)
		if err != nil {
			return nil, err
		}
		if env.isNew() {
			return e.invokeCold(context.WithoutCancel(ctx), env, in)
		}
		if err := env.thaw(); err != nil {
			e.log.WarnContext(ctx, "cannot thaw an execution environment", "function", s.Function, "error", err)
			e.discard(env)
			continue
		}
		switch err := env.awaitReady(time.Now().Add(e.settleTime)); {
		case err == nil:
			return e.complete(env, env.invoke(in, time.Now(), &Result{}))
		case errors.Is(err, errTime):
			e.unused(env)
			e.background.Go(func() { e.settle(env) })
		default:
			e.discard(env)
		}
	}
}

// invokeCold runs the first invocation of an environment.
func (e *Executor) invokeCold(ctx context.Context, env *environment, in *Invocation) (*Result, error) {
	r := &Result{Cold: true}
	failure, took, err := env.initialise(ctx, e.cfg.InitTimeout, "init")
	if err != nil {
		e.discard(env)
		return nil, err
	}
	e.busy(env)
	start := time.Now()
	if failure == nil {
		r.InitDuration = took
		return e.complete(env, env.invoke(in, start, r))
	}
	// The invocation repeats the initialisation, within its own time.
	env.beginLog(in, start)
	if failure.repeatable {
		if failure, _, err = env.initialise(ctx, env.spec.Timeout, "invoke"); err != nil {
			e.discard(env)
			return nil, err
		}
	}
	if failure != nil {
		env.fail(in, start, r, failure)
		return e.complete(env, r)
	}
	return e.complete(env, env.answerOf(in, start, r))
}

// complete gives the environment back, or ends it if the invocation has left it unusable.
func (e *Executor) complete(env *environment, r *Result) (*Result, error) {
	r.EnvironmentID, r.Provisioned, r.Spilled = env.id, env.provisioned, env.spilled
	switch r.Outcome {
	case serin.OutcomeTimeout, serin.OutcomeCrash, serin.OutcomeInitError:
		env.reason = endFailure
		if r.Outcome == serin.OutcomeTimeout {
			env.reason = endTimeout
		}
		e.discard(env)
		if e.killing.Load() {
			return nil, errShutdown
		}
	default:
		env.api.acknowledge()
		e.release(env)
	}
	return r, nil
}

// settle waits for a runtime that is busy although it has answered: until the time of its last invocation is over.
func (e *Executor) settle(env *environment) {
	if err := env.awaitReady(env.deadline); err != nil {
		env.reason = endFailure
		if errors.Is(err, errTime) {
			env.reason = endTimeout
		}
		e.discard(env)
		return
	}
	e.release(env)
}

// Close refuses new invocations, waits until the running ones have ended or ctx has, then ends
// everything. No process is left when it returns. The error is the cause of ctx if invocations were cut off.
func (e *Executor) Close(ctx context.Context) error {
	e.shut()
	var err error
	select {
	case <-e.empty:
	case <-ctx.Done():
		err = context.Cause(ctx)
		e.killAll()
		<-e.empty
	}
	e.stopSweep()
	e.closeZygotes()
	e.background.Wait()
	return errors.Join(err, e.host.Close())
}
