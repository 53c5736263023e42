// Package tracing sends spans and metrics to an OpenTelemetry collector by OTLP over HTTP: a span for each invocation
// and for each step of a release. Without a collector there is no [Tracer], and invocations pay one comparison.
//
// Within the server a trace context has the form of X-Ray (Root=…;Parent=…;Sampled=…), because that is what
// functions get and what events keep; [FromHeader] brings the form of W3C into it. Settings are OpenTelemetry's own
// environment variables, which the SDK reads; here is only what it leaves open.
package tracing

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"serin"
)

// Settings say where spans and metrics go. The zero value sends nothing.
type Settings struct {
	// URL is that of a collector, such as http://127.0.0.1:4318; "" for what the environment says.
	URL string
	// Getenv reads OTEL_* variables; nil for none. The SDK reads more of them from the process itself.
	Getenv func(string) string
}

const (
	envDisabled = "OTEL_SDK_DISABLED"
	envEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTraces   = "OTEL_TRACES_EXPORTER"
	envMetrics  = "OTEL_METRICS_EXPORTER"
	envName     = "OTEL_SERVICE_NAME"

	envTracesEndpoint  = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envMetricsEndpoint = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
)

func (s Settings) get(name string) string {
	if s.Getenv == nil {
		return ""
	}
	return s.Getenv(name)
}

// sends reports whether what the variables are for is sent.
func (s Settings) sends(endpoint, exporter string) bool {
	switch {
	case strings.EqualFold(s.get(envDisabled), "true"), s.get(exporter) == "none":
		return false
	default:
		return s.URL != "" || s.get(envEndpoint) != "" || s.get(endpoint) != ""
	}
}

// Tracer sends spans. A nil Tracer sends none.
type Tracer struct {
	settings  Settings
	resource  *resource.Resource
	processor sdk.SpanProcessor
	sampled   trace.Tracer // as OTEL_TRACES_SAMPLER says
	always    trace.Tracer
	metrics   *metric.MeterProvider // nil until Export
}

// Start returns a tracer, or nil if nothing is to be sent.
//
// Errors: KindInvalid for settings.
func Start(ctx context.Context, s Settings, place serin.Place, log *slog.Logger) (*Tracer, error) {
	if !s.sends(envTracesEndpoint, envTraces) && !s.sends(envMetricsEndpoint, envMetrics) {
		return nil, nil
	}
	if p := s.get(envProtocol); s.URL == "" && p != "" && p != "http/protobuf" {
		return nil, serin.Errorf(serin.KindInvalid, "%s=%s: Serin speaks http/protobuf, which every collector takes on port 4318", envProtocol, p)
	}
	if s.URL != "" && !strings.HasPrefix(s.URL, "http://") && !strings.HasPrefix(s.URL, "https://") {
		return nil, serin.Errorf(serin.KindInvalid, "--otlp %s: want the URL of a collector, such as http://127.0.0.1:4318", s.URL)
	}
	otel.SetErrorHandler(newErrorLog(log)) // the SDK knows no other place for what goes wrong in the background
	t := &Tracer{settings: s, sampled: noop.Tracer{}, always: noop.Tracer{}}
	var err error
	t.resource, err = resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		semconv.ServiceName(cmp.Or(s.get(envName), "serin")), semconv.ServiceVersion(version()),
		semconv.CloudRegion(place.Region), semconv.CloudAccountID(place.Account),
	), resource.WithFromEnv())
	if err != nil {
		return nil, serin.Errorf(serin.KindInvalid, "OpenTelemetry: %v", err)
	}
	if !s.sends(envTracesEndpoint, envTraces) {
		return t, nil
	}
	var options []otlptracehttp.Option
	if s.URL != "" {
		options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(s.URL, "/")+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, serin.Errorf(serin.KindInvalid, "OpenTelemetry: %v", err)
	}
	t.processor = sdk.NewBatchSpanProcessor(exporter)
	common := []sdk.TracerProviderOption{sdk.WithSpanProcessor(t.processor), sdk.WithResource(t.resource), sdk.WithIDGenerator(ids{})}
	t.sampled = sdk.NewTracerProvider(common...).Tracer("serin")
	t.always = sdk.NewTracerProvider(append(common, sdk.WithSampler(sdk.AlwaysSample()))...).Tracer("serin")
	return t, nil
}

// Export begins to send what a gatherer of metrics shows, once a minute or as OTEL_METRIC_EXPORT_INTERVAL says.
func (t *Tracer) Export(ctx context.Context, g prometheus.Gatherer) error {
	if t == nil || !t.settings.sends(envMetricsEndpoint, envMetrics) {
		return nil
	}
	var options []otlpmetrichttp.Option
	if t.settings.URL != "" {
		options = append(options, otlpmetrichttp.WithEndpointURL(strings.TrimSuffix(t.settings.URL, "/")+"/v1/metrics"))
	}
	exporter, err := otlpmetrichttp.New(ctx, options...)
	if err != nil {
		return serin.Errorf(serin.KindInvalid, "OpenTelemetry: %v", err)
	}
	t.metrics = metric.NewMeterProvider(metric.WithResource(t.resource), metric.WithReader(metric.NewPeriodicReader(exporter,
		metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(g))))))
	return nil
}

// closeWithin is how long the last spans and metrics may take to be sent.
const closeWithin = 5 * time.Second

// Close sends what is left.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	var err error
	if t.processor != nil {
		err = t.processor.Shutdown(ctx)
	}
	if t.metrics != nil {
		err = errors.Join(err, t.metrics.Shutdown(ctx))
	}
	return err
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// errorLog logs what goes wrong, but not once per batch while a collector is away.
type errorLog struct {
	log  *slog.Logger
	last *atomic.Int64
}

const logEvery = time.Minute

func newErrorLog(log *slog.Logger) otel.ErrorHandler { return errorLog{log, new(atomic.Int64)} }

// Handle implements [otel.ErrorHandler].
func (e errorLog) Handle(err error) {
	now := time.Now().UnixNano()
	if last := e.last.Load(); (last == 0 || now-last >= int64(logEvery)) && e.last.CompareAndSwap(last, now) {
		e.log.Warn("spans or metrics could not be sent", "error", err)
	}
}

// Names of attributes that are Serin's own.
const (
	attributeAlias   = attribute.Key("serin.alias")
	attributeRelease = attribute.Key("serin.release.id")
)

// FromHeader returns the trace that a request takes part in, in the form of X-Ray, "" for none.
func FromHeader(h http.Header) string {
	if values := h["X-Amzn-Trace-Id"]; len(values) > 0 && values[0] != "" {
		return values[0]
	}
	if values := h["Traceparent"]; len(values) > 0 {
		return fromW3C(values[0])
	}
	return ""
}
