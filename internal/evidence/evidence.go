package evidence

import (
	"fmt"
	"math"
)

// Config is what a comparison fixes before its first request. The zero value is a strict test of all signals
// without a history.
type Config struct {
	// Alpha bounds the probability that a canary that is no worse than its baseline is ever found worse,
	// 0 < Alpha < 1; 0 means [DefaultAlpha]. One of n functions that are judged together gets Alpha/n; see
	// [Joint].
	Alpha float64 `json:"alpha,omitzero"`
	// OddsRatio is the tolerated ratio of the odds of a failure on the canary and on the baseline, from 1 to
	// 100; 0 means 1.
	OddsRatio float64 `json:"oddsRatio,omitzero"`
	// Margin is the tolerated difference of the rates of failure, from 0 to 1 exclusive. A canary is worse if
	// it exceeds both: the evidence is the smaller one, because the hypothesis is the union.
	Margin float64 `json:"margin,omitzero"`
	// History is the error rate of the baseline before the release, from 0 to 1 exclusive, as [ErrorRate]
	// estimates it; 0 and NaN mean unknown. It is a prior: a wrong one costs requests, never validity.
	History float64 `json:"history,omitzero"`
	// Shares are the shares of Alpha that the signals get, at most 1 in all; all 0 means [DefaultShares].
	Shares [SignalCount]float64 `json:"shares,omitzero"`
	// Coin says that slices hold the requests in the order in which they were routed, and all of them, so that
	// each was the canary's with exactly the slice's weight. Failures are then judged with the coin known, which
	// sees a broken canary a little sooner and also lets a Margin be tolerated. Without it failures are judged
	// given how many requests each version got, and slices may hold requests as they finish, or what
	// CloudWatch counted in a minute.
	Coin bool `json:"coin,omitzero"`
	// Sticky says that keys choose the version. A slice's failures are then the first of each key, its
	// measurements those of the first request of each key, and its Units the first requests; see [Keys].
	// It implies Coin.
	Sticky bool `json:"sticky,omitzero"`
}

// maxOddsRatio bounds the tolerated odds ratio.
const maxOddsRatio = 100

// DefaultShares are the shares of alpha of the signals: most for failures of any kind, because every release
// has them and they hurt most.
var DefaultShares = [SignalCount]float64{
	Errors: 0.6, Timeouts: 0.02, Crashes: 0.02, InitFailures: 0.02, ServerErrors: 0.02, Throttles: 0.02,
	Latency: 0.15, ColdStart: 0.05, Custom: 0.1,
}

// OnlyErrors gives all of alpha to failures of any kind.
var OnlyErrors = [SignalCount]float64{Errors: 1}

// normal returns the configuration with its defaults filled in, or an error if it is out of range.
func (c Config) normal() (Config, error) {
	if c.Alpha == 0 {
		c.Alpha = DefaultAlpha
	}
	if c.OddsRatio == 0 {
		c.OddsRatio = 1
	}
	if math.IsNaN(c.History) {
		c.History = 0
	}
	if c.Shares == ([SignalCount]float64{}) {
		c.Shares = DefaultShares
	}
	switch {
	case !(c.Alpha > 0 && c.Alpha < 1):
		return c, fmt.Errorf("evidence: alpha %v outside (0, 1)", c.Alpha)
	case !(c.OddsRatio >= 1 && c.OddsRatio <= maxOddsRatio):
		return c, fmt.Errorf("evidence: tolerated odds ratio %v outside [1, %d]", c.OddsRatio, maxOddsRatio)
	case !(c.Margin >= 0 && c.Margin < 1):
		return c, fmt.Errorf("evidence: tolerated margin %v outside [0, 1)", c.Margin)
	case c.Margin > 0 && !c.Coin && !c.Sticky:
		return c, fmt.Errorf("evidence: a tolerated margin of %v needs the router's coin", c.Margin)
	case !(c.History >= 0 && c.History < 1):
		return c, fmt.Errorf("evidence: baseline error rate %v outside [0, 1)", c.History)
	}
	sum := 0.0
	for signal, share := range c.Shares {
		if !(share >= 0 && share <= 1) {
			return c, fmt.Errorf("evidence: share %v of %s outside [0, 1]", share, Signal(signal))
		}
		sum += share
	}
	if sum > 1+1e-9 {
		return c, fmt.Errorf("evidence: the shares of the signals add up to %v, more than 1", sum)
	}
	return c, nil
}

// target returns ln of the e-value at which a signal decides alone, above it by less than a test can tell.
func (c *Config) target(signal Signal) float64 {
	if c.Shares[signal] == 0 {
		return math.Inf(1)
	}
	return 1e-9 - math.Log(c.Alpha*c.Shares[signal])
}

// Evidence is everything that was counted about one canary and its baseline, signal by signal, and what
// follows from it. Its size grows with the logarithm of the traffic. It marshals to JSON as its [Record].
//
// An Evidence is made by [New] or read from JSON. It is not safe for concurrent use.
type Evidence struct {
	config Config
	series [SignalCount]series
	safety Safety
	worse  bool
}

// New returns evidence without data. It returns an error if the configuration is out of range.
func New(c Config) (*Evidence, error) {
	c, err := c.normal()
	if err != nil {
		return nil, err
	}
	e := &Evidence{config: c, safety: Safety{history: c.History}}
	known, unknown := newBets(c.History, c.Margin), newBets(0, c.Margin)
	for i := range e.series {
		b := unknown
		if Signal(i) == Errors {
			b = known
		}
		e.series[i] = newSeries(Signal(i), &e.config, b)
	}
	return e, nil
}

// Add counts a block of requests and their errors, and nothing about the other signals; see [Evidence.Observe].
func (e *Evidence) Add(weight float64, b Block) error {
	s := Slice{Weight: weight, Units: b}
	s.Canary.Requests, s.Canary.Failures[Errors] = b.CanaryRequests, b.CanaryErrors
	s.Baseline.Requests, s.Baseline.Failures[Errors] = b.BaselineRequests, b.BaselineErrors
	return e.observe(&s, e.series[:1])
}

// Observe counts a slice. Requests at the weights 0 and 1 are ignored: there is nothing to compare them with.
// So is everything after the verdict [Worse], which is final. It returns an error and changes nothing if the
// weight or the counts are invalid.
func (e *Evidence) Observe(s *Slice) error { return e.observe(s, e.series[:]) }

func (e *Evidence) observe(s *Slice, all []series) error {
	units := Block{s.Canary.Requests, s.Canary.Failures[Errors], s.Baseline.Requests, s.Baseline.Failures[Errors]}
	if e.config.Sticky {
		units = s.Units
	}
	if err := e.safety.check(s.Weight, units); err != nil {
		return err
	}
	var counts [SignalCount]count
	for i := range all {
		s.count(Signal(i), &counts[i])
		if e.config.Sticky && i < failureCount {
			counts[i].canary, counts[i].baseline = counts[i].canaryBad[0], counts[i].baselineBad[0]
		}
		if err := all[i].check(&counts[i]); err != nil {
			return err
		}
	}
	if e.worse || s.Weight == 0 || s.Weight == 1 {
		return nil
	}
	e.safety.add(s.Weight, units)
	for i := range all {
		all[i].add(s.Weight, &counts[i])
	}
	e.worse = e.crossed()
	return nil
}

// crossed reports that the evidence of the full chunks has reached 1/alpha. A signal of which the canary has
// shown fewer than two bad requests does not count, which can only delay the verdict.
func (e *Evidence) crossed() bool {
	trusted, distrusted := 0.0, 0.0
	for i := range e.series {
		trusted += float64(e.config.Shares[i] * e.series[i].trusted)
		distrusted += float64(e.config.Shares[i] * e.series[i].distrusted)
	}
	enough := 1 / e.config.Alpha
	if max(trusted, distrusted) < enough {
		return false
	}
	if e.SampleRatioMismatch() {
		return distrusted >= enough
	}
	return trusted >= enough
}

// Total returns what was counted about errors at all weights between 0 and 1 until the verdict.
func (e *Evidence) Total() Block { return e.safety.Total() }

// EValue returns the present evidence that the canary is worse, at most [math.MaxFloat64]: the mean of the
// signals' e-values, weighted with their shares. An average of e-processes is one (Vovk and Wang, Annals of
// Statistics 2021). It is 1 without data and small when the canary looks fine.
func (e *Evidence) EValue() float64 {
	value, mismatch := 1.0, e.SampleRatioMismatch()
	for i := range e.series {
		if share := e.config.Shares[i]; share > 0 {
			value += float64(share * math.Expm1(e.series[i].logE(mismatch)))
		}
	}
	return min(value, math.MaxFloat64)
}

// HarmExcluded returns the harm above which all is excluded at level alpha; see [Safety.HarmExcluded].
func (e *Evidence) HarmExcluded(alpha float64) float64 { return e.safety.HarmExcluded(alpha) }

// SampleRatioMismatch reports that the traffic does not follow the weights; see [Safety.SampleRatioMismatch].
// Failures are then judged given how many requests each version got, and nothing is promoted.
func (e *Evidence) SampleRatioMismatch() bool {
	return e.safety.SampleRatioMismatch()
}

// Difference returns the difference of the error rates for people to read; see [Safety.Difference].
func (e *Evidence) Difference() (Interval, bool) { return e.safety.Difference() }
