package evidence

import "fmt"

// Signal is one thing that is compared between the versions.
type Signal int

// The signals. Those up to [Throttles] are failures: a request has them or not, and each request of a slice
// tells about each. The others are measurements: not every request has one, and what counts is by how many
// [Thresholds] it is exceeded.
const (
	Errors       Signal = iota // any failure of a request
	Timeouts                   // the kinds of failures
	Crashes                    //
	InitFailures               //
	ServerErrors               // proxy-shaped answers with status 500 and above
	Throttles                  // refusals that the version caused
	Latency                    // duration of the handler of a warm request
	ColdStart                  // duration of an initialisation
	Custom                     // a metric of the function's own; more is worse
	signalCount

	failureCount     = int(Latency)
	measurementCount = int(signalCount) - failureCount
)

// SignalCount is the number of signals; it sizes arrays that are indexed by a [Signal].
const SignalCount = int(signalCount)

var signalNames = [SignalCount]string{
	"errors", "timeouts", "crashes", "init failures", "5xx", "throttles", "latency", "cold start", "custom metric",
}

// String returns the name that people and documents use.
func (s Signal) String() string {
	if s < 0 || s >= signalCount {
		return fmt.Sprintf("Signal(%d)", int(s))
	}
	return signalNames[s]
}

// MarshalText returns the name of the signal.
func (s Signal) MarshalText() ([]byte, error) {
	if s < 0 || s >= signalCount {
		return nil, fmt.Errorf("evidence: unknown signal %d", int(s))
	}
	return []byte(signalNames[s]), nil
}

// UnmarshalText accepts the name of a signal.
func (s *Signal) UnmarshalText(text []byte) error {
	for signal, name := range signalNames {
		if name == string(text) {
			*s = Signal(signal)
			return nil
		}
	}
	return fmt.Errorf("evidence: unknown signal %.40q", text)
}

// Measured reports whether the signal is a measurement rather than a failure.
func (s Signal) Measured() bool { return s >= Latency && s < signalCount }

// levels is the number of indicators of a signal.
func (s Signal) levels() int {
	if s.Measured() {
		return Levels
	}
	return 1
}

// Levels is the number of thresholds that a measurement is compared with.
const Levels = 5

// Quantiles are where the thresholds of a measurement lie: the quantiles of the baseline.
var Quantiles = [Levels]float64{0.50, 0.75, 0.90, 0.95, 0.99}

// Thresholds are the baseline's p50, p75, p90, p95 and p99 of a measurement, ascending. They must be known
// before the requests that are compared with them: taken from the past, frozen or updated from the past only.
// A level depends on nothing else, so whatever the distribution, a canary whose measurements are
// stochastically no greater exceeds no threshold more often (Arnold et al., Betting on Bets, 2026).
type Thresholds [Levels]float64

// Scaled returns the thresholds for the canary if it may measure more than the baseline by the given share,
// 0.1 for 10 %.
func (t Thresholds) Scaled(tolerated float64) Thresholds {
	for i := range t {
		t[i] *= 1 + tolerated
	}
	return t
}

// Level returns how many thresholds a measurement exceeds. The level of a request that is still running is
// final once it is [Levels]: a request that hangs counts when it passes the p99, not when it times out.
func (t *Thresholds) Level(value float64) int {
	level := 0
	for level < Levels && value > t[level] {
		level++
	}
	return level
}

// Above counts the measurements of one signal: Above[i] of the Observed ones exceeded the threshold i.
type Above struct {
	Observed int
	Above    [Levels]int
}

// Tally counts what one version did in one slice.
type Tally struct {
	Requests     int
	Failures     [failureCount]int // by Signal, each at most Requests
	Measurements [measurementCount]Above
}

// Fail counts that a request, counted in Requests, failed by the signal, which is not [Errors]: that is
// counted along.
func (t *Tally) Fail(s Signal) {
	t.Failures[Errors]++
	if s > Errors && s < Latency {
		t.Failures[s]++
	}
}

// Measure counts a measurement of the signal that exceeds level thresholds; see [Thresholds.Level].
func (t *Tally) Measure(s Signal, level int) {
	m := &t.Measurements[s-Latency]
	m.Observed++
	for i := range min(level, Levels) {
		m.Above[i]++
	}
}

func (t *Tally) add(other *Tally) {
	t.Requests += other.Requests
	for i, n := range other.Failures {
		t.Failures[i] += n
	}
	for i, m := range other.Measurements {
		t.Measurements[i].Observed += m.Observed
		for level, n := range m.Above {
			t.Measurements[i].Above[level] += n
		}
	}
}

// SliceRequests is the number of requests after which a slice is cut.
const SliceRequests = 20

// Slice counts everything about the requests of a label-blind piece of the traffic: one that was cut without
// looking at which version served a request, and within which the canary's weight did not change.
type Slice struct {
	Weight           float64 // of the canary, 0 to 1
	Canary, Baseline Tally
	// Units counts requests that chose their version independently of each other, if they are not all:
	// with sticky keys the first request of each key; see [Keys]. Only [Config.Sticky] evidence looks at it.
	Units Block
}

// Due reports that it is time to cut: a request has failed, or there are [SliceRequests]. Cutting at failures
// looks at outcomes but not at versions, so the slice is label-blind, and nobody waits for the rest of a slice.
func (s *Slice) Due() bool {
	return s.Canary.Failures[Errors]+s.Baseline.Failures[Errors] > 0 ||
		s.Canary.Requests+s.Baseline.Requests >= SliceRequests
}

// Merge adds what another router counted in the same slice of time at the same weight.
func (s *Slice) Merge(other *Slice) {
	s.Canary.add(&other.Canary)
	s.Baseline.add(&other.Baseline)
	s.Units = s.Units.Add(other.Units)
}

// count sets c, which is zero, to what the slice tells about one signal.
func (s *Slice) count(signal Signal, c *count) {
	if signal.Measured() {
		canary, baseline := &s.Canary.Measurements[signal-Latency], &s.Baseline.Measurements[signal-Latency]
		c.canary, c.canaryBad = canary.Observed, canary.Above
		c.baseline, c.baselineBad = baseline.Observed, baseline.Above
		return
	}
	c.canary, c.canaryBad[0] = s.Canary.Requests, s.Canary.Failures[signal]
	c.baseline, c.baselineBad[0] = s.Baseline.Requests, s.Baseline.Failures[signal]
}

// count is what is known about one signal: how many requests of each version were observed, and how many of
// them were bad at each level.
type count struct {
	canary, baseline       int
	canaryBad, baselineBad [Levels]int
}

func (c *count) add(other *count, levels int) {
	c.canary += other.canary
	c.baseline += other.baseline
	for i := range levels {
		c.canaryBad[i] += other.canaryBad[i]
		c.baselineBad[i] += other.baselineBad[i]
	}
}

// block is the two by two table of a level.
func (c *count) block(level int) Block {
	return Block{c.canary, c.canaryBad[level], c.baseline, c.baselineBad[level]}
}

// validate checks that both versions have 0 to limit requests, and at each level no more bad ones than at the
// level below.
func (c *count) validate(signal Signal, limit int) error {
	canary, baseline := c.canary, c.baseline
	valid := canary >= 0 && canary <= limit && baseline >= 0 && baseline <= limit
	for level := range signal.levels() {
		x, y := c.canaryBad[level], c.baselineBad[level]
		valid = valid && x >= 0 && x <= canary && y >= 0 && y <= baseline
		canary, baseline = x, y
	}
	if valid {
		return nil
	}
	return fmt.Errorf("evidence: %s: impossible counts: canary %d requests, bad %v; baseline %d requests, bad %v",
		signal, c.canary, c.canaryBad, c.baseline, c.baselineBad)
}
