// Package cloudwatch holds the use cases on metrics. Its methods carry the names and the signatures of the CloudWatch
// operations; what they answer is recorded in the fact sheets of the project's tests.
//
// [Service.Run] turns what the metrics recorder measured into the metrics of Lambda, namespace AWS/Lambda, with
// exactly the sets of dimensions that Lambda writes. Everything else comes through PutMetricData. Both are kept by
// internal/timeseries.
//
// Reading goes through one function, [Service.read]: a metric, a statistic, a period and a stretch of time give a
// list of points. GetMetricStatistics and GetMetricData are two ways to ask for it, and so is every expression of
// metric math. Time is an argument throughout; only the operations ask the clock.
//
// Metric math is parsed by a small recursive-descent parser rather than by a library for expressions: the grammar
// has twelve operators and functions with their own rules of typing (a number, a series, or a list of series), and
// hostile input needs bounds on depth and size that general engines do not have.
package cloudwatch

import (
	"context"
	"log/slog"
	"time"

	"serin/internal/metrics"
	"serin/internal/timeseries"
)

// Config is what a [Service] works with.
type Config struct {
	Store    *timeseries.Store
	Recorder *metrics.Recorder
	Now      func() time.Time
	Log      *slog.Logger
}

// Service serves the operations on metrics. It is safe for concurrent use.
type Service struct{ Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// Run collects the metrics of Lambda once a second until the context ends, and a last time then.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTimer(s.untilNextSecond())
	defer tick.Stop()
	var c collector
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-tick.C:
			tick.Reset(s.untilNextSecond())
		}
		values, dropped := c.collect(s.Recorder)
		if dropped > 0 {
			s.Log.ErrorContext(ctx, "more was measured in a second than memory is kept for", "dropped", dropped)
		}
		if err := s.Store.Add(values...); err != nil {
			s.Log.ErrorContext(ctx, "metrics of a second are lost", "values", len(values), "error", err)
		}
	}
	return nil
}

func (s *Service) untilNextSecond() time.Duration {
	now := s.Now()
	return now.Truncate(time.Second).Add(time.Second).Sub(now)
}
