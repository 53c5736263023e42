package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceHead is the begin of a trace id of X-Ray: its version.
const traceHead = "1-"

// xray is a trace context in the form of X-Ray. What is missing is zero.
type xray struct {
	root    trace.TraceID
	parent  trace.SpanID
	sampled string // "0", "1", "?" or ""
}

// parseXRay reads what it understands of a trace header: what others add to it, such as Self and Lineage, is theirs.
func parseXRay(header string) (x xray) {
	for part := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Root":
			// 1-<8 digits: seconds>-<24 digits>
			if rest, ok := strings.CutPrefix(value, traceHead); ok && len(rest) == 33 && rest[8] == '-' {
				x.root, _ = trace.TraceIDFromHex(rest[:8] + rest[9:]) // an invalid one is none
			}
		case "Parent":
			x.parent, _ = trace.SpanIDFromHex(value)
		case "Sampled":
			x.sampled = value
		}
	}
	return x
}

// format returns a trace context in the form of X-Ray.
func format(c trace.SpanContext) string {
	id, sampled := c.TraceID().String(), "0"
	if c.IsSampled() {
		sampled = "1"
	}
	return "Root=" + traceHead + id[:8] + "-" + id[8:] + ";Parent=" + c.SpanID().String() + ";Sampled=" + sampled
}

// fromW3C returns a traceparent in the form of X-Ray, "" if it is not one.
func fromW3C(parent string) string {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		return format(c)
	}
	return ""
}
