package serin

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// SyntheticHeader marks a request that no user has made, but a program that wants to see what a version does with it. The
// release that watches the alias counts it like every other, and says how many there were.
const SyntheticHeader = "X-Serin-Synthetic"

// Observed is what one version did for the callers of an alias since a release began, signal by signal.
type Observed struct {
	Requests   int            `json:"requests"`
	Failures   map[string]int `json:"failures,omitempty"` // by the name of the [Outcome]
	Throttles  int            `json:"throttles,omitempty"`
	ColdStarts int            `json:"coldStarts,omitempty"`
	HTTP       int            `json:"http,omitempty"`      // answers to HTTP requests, or in their form
	Measured   int            `json:"measured,omitempty"`  // warm requests that were compared with the thresholds
	Synthetic  int            `json:"synthetic,omitempty"` // requests that no user has made: see [SyntheticHeader]
	// Warm and Init count durations in the buckets of the metrics package: of warm requests, and of
	// initialisations.
	Warm map[int]int `json:"warm,omitempty"`
	Init map[int]int `json:"init,omitempty"`
}

// Add returns the sum of two observations. It shares nothing with them.
func (o Observed) Add(more Observed) Observed {
	return Observed{
		Requests: o.Requests + more.Requests, Failures: sum(o.Failures, more.Failures), Throttles: o.Throttles + more.Throttles,
		ColdStarts: o.ColdStarts + more.ColdStarts, HTTP: o.HTTP + more.HTTP, Measured: o.Measured + more.Measured, Synthetic: o.Synthetic + more.Synthetic,
		Warm: sum(o.Warm, more.Warm), Init: sum(o.Init, more.Init),
	}
}

func sum[K comparable](a, b map[K]int) map[K]int {
	if len(a)+len(b) == 0 {
		return nil
	}
	all := make(map[K]int, max(len(a), len(b)))
	maps.Copy(all, a)
	for k, n := range b {
		all[k] += n
	}
	return all
}

// Failure is an error as it presents itself, and how often each version had it.
type Failure struct {
	Text     string    `json:"text"` // like KeyError 'tenant'
	First    time.Time `json:"first"`
	Baseline int       `json:"baseline"`
	Canary   int       `json:"canary"`
}

// MaxFailures bounds how many kinds of errors a release tells apart. [OtherFailures] stands for what is beyond.
const (
	MaxFailures   = 64
	OtherFailures = "other errors"
)

// Signals is everything that was observed during a release.
type Signals struct {
	Baseline Observed  `json:"baseline"`
	Canary   Observed  `json:"canary"`
	Failures []Failure `json:"failures,omitempty"` // in the order in which they were first seen
}

// Add returns the sum of two observations, the other being the later one. It shares nothing with them.
func (s Signals) Add(more Signals) Signals {
	all := Signals{Baseline: s.Baseline.Add(more.Baseline), Canary: s.Canary.Add(more.Canary), Failures: slices.Clone(s.Failures)}
	for _, f := range more.Failures {
		all.fail(f)
	}
	return all
}

// Empty reports whether nothing was observed.
func (s Signals) Empty() bool {
	return s.Baseline.Requests+s.Canary.Requests+s.Baseline.Throttles+s.Canary.Throttles == 0
}

func (s *Signals) fail(f Failure) {
	same := func(text string) int {
		return slices.IndexFunc(s.Failures, func(g Failure) bool { return g.Text == text })
	}
	i := same(f.Text)
	if i < 0 && len(s.Failures) >= MaxFailures {
		f.Text = OtherFailures
		i = same(f.Text)
	}
	if i < 0 {
		s.Failures = append(s.Failures, f)
		return
	}
	s.Failures[i].Baseline += f.Baseline
	s.Failures[i].Canary += f.Canary
}

// New returns the errors that only the canary has shown, the most frequent first.
func (s Signals) New() []Failure {
	fresh := slices.DeleteFunc(slices.Clone(s.Failures), func(f Failure) bool {
		return f.Canary == 0 || f.Baseline > 0 || f.Text == OtherFailures
	})
	slices.SortStableFunc(fresh, func(a, b Failure) int { return cmp.Compare(b.Canary, a.Canary) })
	return fresh
}

// SignalState says whether a signal could have shown a difference between the two versions.
type SignalState struct {
	Signal string `json:"signal"`
	Live   bool   `json:"live"`
	Why    string `json:"why,omitempty"` // why it is blind, or what it is not used for
}

const signalLatency = "latency"

// States returns every signal and whether it was live: a version that nothing was seen of is not fine, it is unknown.
func (s Signals) States() []SignalState {
	both := s.Baseline.Requests > 0 && s.Canary.Requests > 0
	nothing := "no requests of " + s.unseen()
	states := make([]SignalState, 0, OutcomeCount+1)
	add := func(signal string, live bool, why string) {
		if !both {
			live, why = false, nothing
		}
		if live {
			why = ""
		}
		states = append(states, SignalState{signal, live, why})
	}
	for _, o := range []Outcome{OutcomeFunctionError, OutcomeTimeout, OutcomeCrash} {
		add(o.String(), true, "")
	}
	add(OutcomeInitError.String(), s.Canary.ColdStarts > 0, "the canary had no cold start")
	add(OutcomeServerError.String(), s.Baseline.HTTP > 0 && s.Canary.HTTP > 0, "the answers have no statusCode")
	add("throttles", true, "")
	add(signalLatency, s.Baseline.Measured > 0 && s.Canary.Measured > 0, "too few warm requests of the canary")
	return states
}

func (s Signals) unseen() string {
	var missing []string
	for name, n := range map[string]int{"baseline": s.Baseline.Requests, "canary": s.Canary.Requests} {
		if n == 0 {
			missing = append(missing, "the "+name)
		}
	}
	slices.Sort(missing)
	return strings.Join(missing, " and ")
}
