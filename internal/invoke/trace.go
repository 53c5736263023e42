package invoke

import (
	"cmp"
	"encoding/json"

	"serin"
	"serin/internal/executor"
	"serin/internal/metrics"
	"serin/internal/tracing"
)

// trace begins the span of an invocation and tells the function of it.
func (i *Invoker) trace(sample *metrics.Sample, call *executor.Invocation) tracing.Span {
	c := tracing.Call{
		Context: call.TraceID, RequestID: call.RequestID, ARN: call.InvokedARN,
		Function: sample.Function, Version: sample.Version.String(), Alias: sample.Alias, Start: sample.Start,
	}
	if sample.Routing.Weighted() && i.ReleaseOf != nil {
		c.Release = i.ReleaseOf(sample.Function, sample.Alias)
	}
	span := i.Tracer.Invocation(&c)
	call.TraceID, sample.TraceID = span.Context(call.TraceID), span.TraceID()
	return span
}

// ended is how an invocation has ended, for its span.
func ended(sample *metrics.Sample, r *executor.Result) tracing.Ended {
	e := tracing.Ended{Outcome: sample.Outcome, ErrorType: r.ErrorType, Cold: r.Cold, Init: r.InitDuration, Duration: r.Duration}
	if e.Outcome == serin.OutcomeFunctionError && len(r.Payload) <= maxFailureRead {
		var reported struct{ ErrorType string }
		_ = json.Unmarshal(r.Payload, &reported) // a function may report anything
		e.ErrorType = cmp.Or(reported.ErrorType, e.ErrorType)
	}
	return e
}
