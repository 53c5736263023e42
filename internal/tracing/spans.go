package tracing

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"serin"
)

// ids makes the ids of spans. A context may say what a root span is called.
type ids struct{}

type rootKey struct{}

// root is what a span without a parent is called; a zero span id stands for any.
type root struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements the SDK's IDGenerator.
func (i ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	r, _ := ctx.Value(rootKey{}).(root)
	for !r.trace.IsValid() {
		_, _ = rand.Read(r.trace[:]) // never fails
	}
	if !r.span.IsValid() {
		r.span = i.NewSpanID(ctx, r.trace)
	}
	return r.trace, r.span
}

// NewSpanID implements the SDK's IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		_, _ = rand.Read(id[:]) // never fails
	}
	return id
}

// Call is an invocation that is traced.
type Call struct {
	Context   string // what it takes part in, in the form of X-Ray, or ""
	RequestID string
	ARN       string // as it was invoked
	Function  string
	Version   string
	Alias     string // "" for none
	Release   string // that watches the alias, "" for none
	Start     time.Time
}

// Span is an invocation that runs. The zero value is one that is not traced.
type Span struct {
	tracer trace.Tracer
	span   trace.Span
	start  time.Time
}

// Invocation begins the span of an invocation.
func (t *Tracer) Invocation(c *Call) Span {
	ctx, x := context.Background(), parseXRay(c.Context)
	switch {
	case x.root.IsValid() && x.parent.IsValid():
		var flags trace.TraceFlags
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: x.root, SpanID: x.parent, TraceFlags: flags.WithSampled(x.sampled != "0"), Remote: true,
		}))
	case x.root.IsValid() && x.sampled == "0": // a trace that others have decided against
		return Span{}
	case x.root.IsValid(): // a load balancer names traces, but has no spans
		ctx = context.WithValue(ctx, rootKey{}, root{trace: x.root})
	}
	attributes := []attribute.KeyValue{
		semconv.FaaSName(c.Function), semconv.FaaSVersion(c.Version), semconv.FaaSInvocationID(c.RequestID), semconv.AWSLambdaInvokedARN(c.ARN),
	}
	if c.Alias != "" {
		attributes = append(attributes, attributeAlias.String(c.Alias))
	}
	if c.Release != "" {
		attributes = append(attributes, attributeRelease.String(c.Release))
	}
	_, span := t.sampled.Start(ctx, c.Function, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(c.Start), trace.WithAttributes(attributes...))
	return Span{t.sampled, span, c.Start}
}

// Context is what the function takes part in, in the form of X-Ray; otherwise unless it is traced.
func (s Span) Context(otherwise string) string {
	if s.span == nil || !s.span.SpanContext().IsValid() {
		return otherwise
	}
	return format(s.span.SpanContext())
}

// TraceID is the trace that keeps the invocation, "" if none does.
func (s Span) TraceID() string {
	if s.span == nil || !s.span.SpanContext().IsSampled() {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// Ended is how an invocation has ended. Its handler ran last, the initialisation before it.
type Ended struct {
	Outcome        serin.Outcome
	ErrorType      string // as the function calls it, "" for none
	Cold           bool
	Init, Duration time.Duration
}

// End ends the span of an invocation that ran.
func (s Span) End(e Ended) {
	if s.span == nil {
		return
	}
	now := time.Now()
	s.span.SetAttributes(semconv.FaaSColdstart(e.Cold))
	if e.Cold && e.Init > 0 {
		from := now.Add(-e.Duration - e.Init)
		if from.Before(s.start) {
			from = s.start
		}
		_, init := s.tracer.Start(trace.ContextWithSpan(context.Background(), s.span), "init", trace.WithTimestamp(from))
		if e.Outcome == serin.OutcomeInitError {
			init.SetStatus(codes.Error, e.Outcome.String())
		}
		init.End(trace.WithTimestamp(from.Add(e.Init)))
	}
	if e.Outcome.Failed() {
		s.fail(e.Outcome.String(), e.ErrorType)
	}
	s.span.End(trace.WithTimestamp(now))
}

// Refuse ends the span of an invocation that did not run.
func (s Span) Refuse(err error) {
	if s.span == nil {
		return
	}
	kind := ""
	if serin.KindOf(err) == serin.KindThrottled {
		kind = "throttled"
	}
	s.fail(err.Error(), kind)
	s.span.End()
}

func (s Span) fail(description, kind string) {
	s.span.SetStatus(codes.Error, description)
	if kind == "" {
		kind = description
	}
	s.span.SetAttributes(semconv.ErrorTypeKey.String(kind))
}

// Release sends a span for each step that a release has left between two of its saved states, and one of all of it when
// it has ended. They are in a trace of their own, which the id of the release names, so that they find together however
// often the server restarts.
func (t *Tracer) Release(before, after *serin.Release) {
	if t == nil {
		return
	}
	sum := sha256.Sum256([]byte(after.ID))
	r := root{trace: trace.TraceID(sum[:16]), span: trace.SpanID(sum[16:24])}
	under := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: r.trace, SpanID: r.span, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	for i := range after.Steps {
		if s := &after.Steps[i]; !s.EndedAt.IsZero() && (i >= len(before.Steps) || before.Steps[i].EndedAt.IsZero()) {
			t.step(under, after, s)
		}
	}
	if after.Active() || !before.Active() {
		return
	}
	_, span := t.always.Start(context.WithValue(context.Background(), rootKey{}, r), "release "+after.Function+":"+after.Alias,
		trace.WithTimestamp(after.StartedAt), trace.WithAttributes(describe(after)...))
	span.SetAttributes(
		attribute.String("serin.release.verdict", string(after.Verdict)), attribute.String("serin.release.ending", string(after.Ending)),
		attribute.String("serin.release.reason", after.Reason))
	if after.Ending != serin.EndingPromoted {
		span.SetStatus(codes.Error, after.Reason)
	}
	span.End(trace.WithTimestamp(after.EndedAt))
}

func (t *Tracer) step(under context.Context, r *serin.Release, s *serin.Step) {
	_, span := t.always.Start(under, "step", trace.WithTimestamp(s.StartedAt), trace.WithAttributes(describe(r)...))
	span.SetAttributes(
		attribute.Float64("serin.release.weight", s.Weight/100), attribute.String("serin.release.reason", s.Reason),
		attribute.Int("serin.release.baseline.requests", s.Baseline.Requests), attribute.Int("serin.release.baseline.errors", s.Baseline.Errors),
		attribute.Int("serin.release.canary.requests", s.Canary.Requests), attribute.Int("serin.release.canary.errors", s.Canary.Errors))
	span.End(trace.WithTimestamp(s.EndedAt))
}

func describe(r *serin.Release) []attribute.KeyValue {
	return []attribute.KeyValue{
		attributeRelease.String(r.ID), semconv.FaaSName(r.Function), attributeAlias.String(r.Alias),
		attribute.String("serin.release.baseline", r.Baseline.String()), attribute.String("serin.release.canary", r.Canary.String()),
	}
}
