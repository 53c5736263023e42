package server_test

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"
	collectmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collecttrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"serin"
	"serin/internal/api"
	"serin/internal/server"
)

// collector is an OpenTelemetry collector that keeps what it is sent.
type collector struct {
	url     string
	mu      sync.Mutex
	spans   []*tracepb.Span
	metrics []string // names
	service string
}

func collect(tb testing.TB) *collector {
	tb.Helper()
	c := &collector{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.take(r); err != nil {
			tb.Errorf("%s: %v", r.URL.Path, err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	tb.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *collector) take(r *http.Request) error {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return err
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.URL.Path == "/v1/metrics" {
		var in collectmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(text, &in); err != nil {
			return err
		}
		for _, of := range in.ResourceMetrics {
			for _, scope := range of.ScopeMetrics {
				for _, m := range scope.Metrics {
					c.metrics = append(c.metrics, m.Name)
				}
			}
		}
		return nil
	}
	var in collecttrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &in); err != nil {
		return err
	}
	for _, of := range in.ResourceSpans {
		c.service = attributes(of.Resource.Attributes)["service.name"]
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	return nil
}

func attributes(all []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		text := a.Value.GetStringValue()
		if _, isText := a.Value.Value.(*common.AnyValue_StringValue); !isText {
			b, _ := json.Marshal(a.Value.Value)
			text = string(b)
		}
		m[a.Key] = text
	}
	return m
}

// of returns the spans of a trace.
func (c *collector) of(trace string) []*tracepb.Span {
	return slices.DeleteFunc(slices.Clone(c.spans), func(s *tracepb.Span) bool { return hex.EncodeToString(s.TraceId) != trace })
}

// traced tells of the trace that it takes part in, and fails in version 2.
const traced = `
exports.handler = async (event, context) => {
  if (context.functionVersion === "2") throw new RangeError("no tenant");
  return {env: process.env._X_AMZN_TRACE_ID, headers: event.headers};
};`

// Callers, functions and the spans of both are in one trace, whichever way callers name it, and releases have one of
// their own.
func TestTraces(t *testing.T) {
	needs(t, "node")
	c := collect(t)
	r := start(t, func(cfg *server.Config) { cfg.OTLP.URL = c.url })
	r.deploy(t, "shop", types.RuntimeNodejs20x, "index.handler", zipped(t, "index.js", traced))
	for _, v := range []string{"1", "2"} {
		_, err := r.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("shop"), Description: &v})
		must(t, err)
		_, err = r.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("shop")})
		must(t, err)
	}
	_, err := r.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("shop"), Name: aws.String("live"), FunctionVersion: aws.String("1")})
	must(t, err)
	var told struct {
		Env     string
		Headers map[string]string
	}
	invoke := func(qualifier string, headers ...func(*lambda.Options)) (requestID string) {
		out, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Qualifier: &qualifier}, headers...)
		must(t, err)
		must(t, json.Unmarshal(out.Payload, &told))
		requestID, _ = awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
		return requestID
	}
	const w3c = "4bf92f3577b34da6a3ce929d0e0e4736"
	id := invoke("live", with("Traceparent", "00-"+w3c+"-00f067aa0ba902b7-01"))
	if !strings.HasPrefix(told.Env, "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=") || !strings.HasSuffix(told.Env, ";Sampled=1") || strings.Contains(told.Env, "00f067aa0ba902b7") {
		t.Errorf("the function takes part in %s", told.Env)
	}
	heard := told.Env
	invoke("live", with("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793"))
	invoke("live", with("X-Amzn-Trace-Id", "Root=1-00000001-bd862e3fe1be46a994272793;Parent=00f067aa0ba902b7;Sampled=0"))
	if !strings.HasPrefix(told.Env, "Root=1-00000001-bd862e3fe1be46a994272793;Parent=") || !strings.HasSuffix(told.Env, ";Sampled=0") {
		t.Errorf("a trace that is not kept: %s", told.Env)
	}
	url := r.public(t, "shop")
	p := fetch(t, browser(r), r.Ready, "", "GET", url, "", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	must(t, json.Unmarshal([]byte(p.body), &told))
	if !strings.Contains(told.Headers["traceparent"], "0af7651916cd43dd8448eb211c80319c") || !strings.HasPrefix(told.Headers["x-amzn-trace-id"], "Root=1-0af76519-16cd43dd8448eb211c80319c;") ||
		!strings.HasPrefix(told.Env, "Root=1-0af76519-16cd43dd8448eb211c80319c;") {
		t.Errorf("a function URL: %+v", told)
	}
	released := r.rollsBack(t, "live")
	r.stop()

	span := c.one(t, w3c, "shop")
	want := map[string]string{
		"faas.name": "shop", "faas.version": "1", "faas.invocation_id": id, "aws.lambda.invoked_arn": "arn:aws:lambda:us-east-1:000000000000:function:shop:live",
		"faas.coldstart": `{"BoolValue":true}`, "serin.alias": "live",
	}
	if diff := cmp.Diff(want, attributes(span.Attributes)); diff != "" {
		t.Error(diff)
	}
	if hex.EncodeToString(span.ParentSpanId) != "00f067aa0ba902b7" || !strings.Contains(heard, hex.EncodeToString(span.SpanId)) || span.Kind != tracepb.Span_SPAN_KIND_SERVER {
		t.Errorf("the span %v does not lie between the caller and the function, which heard of %s", span, heard)
	}
	init := c.one(t, w3c, "init")
	if !slices.Equal(init.ParentSpanId, span.SpanId) || init.StartTimeUnixNano < span.StartTimeUnixNano || init.EndTimeUnixNano > span.EndTimeUnixNano || init.EndTimeUnixNano <= init.StartTimeUnixNano {
		t.Errorf("init %v is not within %v", init, span)
	}
	if s := c.one(t, "5759e988bd862e3fe1be46a994272793", "shop"); len(s.ParentSpanId) != 0 {
		t.Errorf("a trace without a span of the caller: %v", s)
	}
	if s := c.of("00000001bd862e3fe1be46a994272793"); len(s) > 0 {
		t.Errorf("spans of a trace that is not kept: %v", s)
	}
	c.one(t, "0af7651916cd43dd8448eb211c80319c", "shop")
	c.checkRelease(t, released)
	if c.service != "serin" || !slices.Contains(c.metrics, "serin_invocations_total") && !slices.Contains(c.metrics, "serin_invocations") {
		t.Errorf("service %q, metrics %v", c.service, c.metrics)
	}
}

func (c *collector) one(t *testing.T, trace, name string) *tracepb.Span {
	t.Helper()
	var found []*tracepb.Span
	for _, s := range c.of(trace) {
		if s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("trace %s has %d spans %s, want 1, of %v", trace, len(found), name, c.of(trace))
	}
	return found[0]
}

// rollsBack releases version 2, which always fails, and returns the release when it has ended.
func (r *running) rollsBack(t *testing.T, alias string) string {
	t.Helper()
	policy := serin.DefaultPolicy()
	policy.Steps = []float64{50, 100}
	d, err := r.serin().Start(t.Context(), api.StartRequest{Function: "shop", Alias: alias, Version: 2, Policy: policy})
	must(t, err)
	for d.Phase != serin.PhaseEnded {
		_, err := r.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Qualifier: &alias})
		must(t, err)
		d, err = r.serin().Release(t.Context(), d.ReleaseID)
		must(t, err)
	}
	if d.Outcome != serin.EndingRolledBack {
		t.Errorf("the release ended %s", d.Outcome)
	}
	return d.ReleaseID
}

func (c *collector) checkRelease(t *testing.T, id string) {
	t.Helper()
	var root, step *tracepb.Span
	failed := 0
	for _, s := range c.spans {
		a := attributes(s.Attributes)
		if a["serin.release.id"] != id {
			continue
		}
		switch {
		case s.Name == "release shop:live":
			root = s
		case s.Name == "step":
			step = s
		case a["faas.version"] == "2" && a["error.type"] == "RangeError" && s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR:
			failed++
		}
	}
	if root == nil || step == nil || !slices.Equal(step.ParentSpanId, root.SpanId) || !slices.Equal(step.TraceId, root.TraceId) {
		t.Fatalf("release %v, step %v", root, step)
	}
	if a := attributes(root.Attributes); a["serin.release.ending"] != "rolled back" || a["serin.release.verdict"] != "worse" || a["serin.release.canary"] != "2" {
		t.Errorf("the release has %v", a)
	}
	if failed == 0 {
		t.Errorf("no failed invocation of the canary names the release: %v", c.spans)
	}
}
