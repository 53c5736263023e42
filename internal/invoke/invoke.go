// Package invoke carries out one invocation: route it, run it in an execution environment of the version
// that the route names, and record what happened. Invocations of type Event wait in the [Queue] before.
package invoke

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"serin"
	"serin/internal/executor"
	"serin/internal/metrics"
	"serin/internal/recording"
	"serin/internal/router"
	"serin/internal/tracing"
)

// Config is what an [Invoker] works with.
type Config struct {
	Place    serin.Place
	Table    *router.Table
	Executor *executor.Executor
	Recorder *metrics.Recorder
	Queue    *Queue // takes invocations of type Event
	// Recordings takes part of what aliases are asked; nil for none.
	Recordings *recording.Recorder
	// CodeDir returns the directory with the unpacked package of a SHA-256 in hexadecimal.
	CodeDir func(ctx context.Context, sha256hex string) (string, error)
	// LayersDir returns the directory with the contents of several packages, laid over each other.
	LayersDir func(ctx context.Context, sha256hex ...string) (string, error)
	Log       *slog.Logger
	// Tracer is nil unless invocations are traced. ReleaseOf then says which release watches an alias, "" for none.
	Tracer    *tracing.Tracer
	ReleaseOf func(function, alias string) string
}

// Invoker runs invocations. It is safe for concurrent use.
type Invoker struct {
	Config
	specs sync.Map // *serin.Version → *executor.Spec; versions are immutable and shared
}

// New returns an Invoker.
func New(cfg Config) *Invoker { return &Invoker{Config: cfg} }

// Type says what is asked for.
type Type string

// Types of invocation, as AWS names them.
const (
	RequestResponse Type = "RequestResponse"
	DryRun          Type = "DryRun"
	Event           Type = "Event"
)

// Request is one invocation. FunctionName is spelt in any of the forms of AWS.
type Request struct {
	FunctionName  string
	Qualifier     string
	Type          Type
	Tail          bool   // return the last 4 KB of the log
	ClientContext string // a JSON object in text, or ""
	TraceID       string
	RequestID     string
	Payload       []byte // JSON; empty stands for {}
	NoWait        bool   // is refused at once if too many run, because the caller knows how to wait itself
	// Header is that of the HTTP request which asks for the invocation, where the routing key and the version that it
	// is pinned to may be; nil for none. Anonymous says that nobody has signed that request.
	Header    http.Header
	Anonymous bool
	Key       serin.KeyHash // if it is known already: that of an event is found when it is accepted
	// Judge, if set, looks at the answer of a function that has reported no error. If it returns an error, the
	// invocation counts as one that failed for its user, like a statusCode of 500.
	Judge func(*Response) error
	// Stream, if set, takes an answer that the function writes piece by piece, while it does so: it is called once,
	// before the first piece, and returns what the pieces are written to. Both happen on the goroutine that called
	// Invoke, before it returns. A Write must not take longer than until the deadline of the function; one that fails ends
	// the interest in the answer, not the function.
	Stream func(version, contentType string, deadline time.Time) io.Writer
}

// Response is the answer to an invocation.
type Response struct {
	ExecutedVersion string
	FunctionError   string // "" or "Unhandled"
	Streamed        bool   // the answer has gone to [Request.Stream]; Payload is nil or the error that ended it
	ContentType     string // of an answer that the function has streamed, whoever collected it, or ""
	ErrorType       string // of FunctionError, as the platform or the function calls it
	Payload         []byte
	Tail            []byte
}

// Invoke runs one invocation and returns when the function has answered, or, for type Event, when the event is on
// disk.
//
// Errors: KindNotFound, KindContent for a payload that is not JSON, KindInvalid, KindDenied for a pin that is not
// allowed, KindConflict for a version that is not active, KindThrottled, KindTooLarge for an event. A function that fails is no error: see
// [Response.FunctionError].
func (i *Invoker) Invoke(ctx context.Context, in *Request) (*Response, error) {
	ref, err := i.Place.ParseRef(in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	route, err := i.route(in, ref)
	if err != nil {
		return nil, err
	}
	if err := invocable(route.Version); err != nil {
		return nil, err
	}
	if in.Type == DryRun {
		return &Response{}, nil
	}
	call, err := invocation(in, route, ref.Qualifier)
	if err != nil {
		return nil, err
	}
	if in.Type == Event {
		return &Response{}, i.Queue.accept(ctx, route, ref.Qualifier, in, call.Payload)
	}
	return i.run(ctx, route, ref.Qualifier, call, in)
}

func invocable(v *serin.Version) error {
	if v.State == serin.StateActive {
		return nil
	}
	return serin.Errorf(serin.KindConflict, "The operation cannot be performed at this time. The function is currently in the following state: %s. %s", v.State, v.StateReason)
}

func invocation(in *Request, route router.Route, qualifier string) (*executor.Invocation, error) {
	call := &executor.Invocation{
		RequestID: in.RequestID, InvokedARN: route.Function.ARN, ClientContext: in.ClientContext, TraceID: in.TraceID,
		Tail: in.Tail, Payload: in.Payload, NoWait: in.NoWait,
	}
	if qualifier != "" {
		call.InvokedARN = route.Function.QualifiedARN(qualifier)
	}
	if len(call.Payload) == 0 {
		call.Payload = []byte("{}")
	} else if !json.Valid(call.Payload) {
		return nil, serin.Errorf(serin.KindContent, "Could not parse request body into json: Could not parse payload into json: %s", syntaxError(call.Payload))
	}
	return call, nil
}

func syntaxError(payload []byte) string {
	var v any
	if err := json.Unmarshal(payload, &v); err != nil {
		return err.Error()
	}
	return "invalid"
}

func (i *Invoker) run(ctx context.Context, route router.Route, qualifier string, call *executor.Invocation, in *Request) (*Response, error) {
	seat := i.seat(&route)
	defer seat.leave()
	spec, err := i.spec(ctx, route)
	if err != nil {
		return nil, err
	}
	if in.Stream != nil {
		call.Stream = func(h executor.ResponseHead) io.Writer { return in.Stream(spec.Version, h.ContentType, h.Deadline) }
	}
	sample := metrics.Sample{
		Function: route.Function.Name, Qualifier: qualifier, Start: time.Now(), Version: route.Version.Number, Key: route.Key,
		RequestID: call.RequestID,
	}
	if route.Alias != nil {
		sample.Alias, sample.Routing = route.Alias.Name, route.Alias.Routing
	}
	var span tracing.Span
	if i.Tracer != nil {
		span = i.trace(&sample, call)
	}
	tally := i.Recorder.Tally(&sample)
	tally.Started()
	result, err := i.Executor.Invoke(ctx, spec, call)
	tally.Ended(serin.KindOf(err) != serin.KindThrottled)
	if err != nil {
		if serin.KindOf(err) == serin.KindThrottled {
			tally.Throttled(&sample)
		}
		span.Refuse(err)
		return nil, err
	}
	sample.Outcome, sample.Duration = result.Outcome, result.Duration
	if result.Cold {
		sample.Init = result.InitDuration
	}
	sample.Capacity = capacityOf(result)
	out := &Response{
		ExecutedVersion: spec.Version, FunctionError: result.FunctionError, Payload: result.Payload, Tail: result.Tail,
		Streamed: result.Streamed, ContentType: result.ContentType, ErrorType: result.ErrorType,
	}
	if sample.Outcome == serin.OutcomeOK {
		sample.Outcome = judged(out, in.Judge)
	}
	seat.judge(&sample, result.Payload, in.Header, in.Judge != nil)
	tally.Record(&sample)
	if i.Tracer != nil {
		span.End(ended(&sample, result))
	}
	if i.Recordings.On() && route.Alias != nil {
		i.record(&sample, call, out, in)
	}
	return out, nil
}

// record offers an invocation by an alias to the recordings. What a program has made up is none that anybody wants again.
func (i *Invoker) record(sample *metrics.Sample, call *executor.Invocation, out *Response, in *Request) {
	if len(in.Header[serin.SyntheticHeader]) > 0 {
		return
	}
	i.Recordings.Observe(sample.Function, sample.Alias, &recording.Call{
		Start: sample.Start, Duration: sample.Duration, Version: out.ExecutedVersion, Event: call.Payload, Answer: out.Payload, Error: out.FunctionError,
	})
}

// judged is the outcome of an invocation whose function has reported no error.
func judged(out *Response, judge func(*Response) error) serin.Outcome {
	if judge != nil && judge(out) != nil || serverError(out.Payload) {
		return serin.OutcomeServerError
	}
	return serin.OutcomeOK
}

func capacityOf(r *executor.Result) metrics.Capacity {
	switch {
	case r.Provisioned:
		return metrics.Provisioned
	case r.Spilled:
		return metrics.Spillover
	default:
		return metrics.OnDemand
	}
}

// spec returns what the executor has to know about a version; it is made once per version.
func (i *Invoker) spec(ctx context.Context, route router.Route) (*executor.Spec, error) {
	if s, ok := i.specs.Load(route.Version); ok {
		return s.(*executor.Spec), nil
	}
	v := route.Version
	dir, layers, err := i.code(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("code of %s:%s: %w", route.Function.Name, v.Number, err)
	}
	s := &executor.Spec{
		Function: route.Function.Name, Version: v.Number.String(), Revision: v.RevisionID,
		Runtime: v.Config.Runtime, Handler: v.Config.Handler, CodeDir: dir, LayersDir: layers,
		MemoryMB: v.Config.MemorySize, TmpMB: v.Config.EphemeralStorage, Timeout: time.Duration(v.Config.Timeout) * time.Second,
		Env: v.Config.Environment, LogGroup: v.Config.Logging.Group,
		JSONLogs: v.Config.Logging.Format == "JSON", ApplicationLogLevel: v.Config.Logging.ApplicationLevel, SystemLogLevel: v.Config.Logging.SystemLevel,
	}
	i.specs.Store(v, s)
	return s, nil
}

// code returns the directories of a version's package and of its layers; the latter is empty if it has none.
func (i *Invoker) code(ctx context.Context, v *serin.Version) (dir, layers string, err error) {
	name, err := digest(v.Code)
	if err != nil {
		return "", "", err
	}
	if dir, err = i.CodeDir(ctx, name); err != nil || len(v.Config.Layers) == 0 {
		return dir, "", err
	}
	var names []string
	for _, l := range v.Config.Layers {
		name, err := digest(l.Code)
		if err != nil {
			return "", "", fmt.Errorf("layer %s: %w", l.ARN, err)
		}
		names = append(names, name)
	}
	layers, err = i.LayersDir(ctx, names...)
	return dir, layers, err
}

// digest returns the SHA-256 of a package in hexadecimal.
func digest(c serin.Code) (string, error) {
	sha, err := base64.StdEncoding.DecodeString(c.SHA256)
	return hex.EncodeToString(sha), err
}

// Forget drops what was kept of versions that nobody can invoke any more.
func (i *Invoker) Forget(keep func(executor.Key) bool) {
	i.specs.Range(func(version, spec any) bool {
		if s := spec.(*executor.Spec); !keep(executor.Key{Function: s.Function, Version: s.Version, Revision: s.Revision}) {
			i.specs.Delete(version)
		}
		return true
	})
}

// Spec returns what the executor has to know about a version.
func (i *Invoker) Spec(ctx context.Context, f *serin.Function, v *serin.Version) (*executor.Spec, error) {
	return i.spec(ctx, router.Route{Function: f, Version: v})
}
