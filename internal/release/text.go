package release

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"serin"
	"serin/internal/evidence"
)

func worseReason(r *serin.Release, ev *evidence.Evidence) string {
	b, c := r.Totals()
	decisive := ev.Decisive()
	if decisive.Signal.Measured() {
		return slowerText(r, &decisive)
	}
	signal := ""
	if decisive.Signal != evidence.Errors {
		signal = decisive.Signal.String() + ": "
		c = serin.Counts{Requests: decisive.Counts.CanaryRequests, Errors: decisive.Counts.CanaryErrors}
		b = serin.Counts{Requests: decisive.Counts.BaselineRequests, Errors: decisive.Counts.BaselineErrors}
	}
	text := fmt.Sprintf("version %s fails more than version %s: %s%s of %s against %s of %s",
		r.Canary, r.Baseline, signal, percent(c.Rate()), plural(c.Requests, "request"), percent(b.Rate()), strconv.Itoa(b.Requests))
	if fresh := r.Signals.New(); len(fresh) > 0 {
		text += fmt.Sprintf("; new in version %s: %s, %d×", r.Canary, fresh[0].Text, fresh[0].Canary)
	}
	return text
}

// slowerText tells of the threshold that the canary exceeds. The canary's requests count against the threshold with the
// tolerated slow-down.
func slowerText(r *serin.Release, s *evidence.SignalJudgement) string {
	verb, noun, thresholds := "is slower than", "request", r.Thresholds.Latency
	if s.Signal == evidence.ColdStart {
		verb, noun, thresholds = "starts slower than", "cold start", r.Thresholds.ColdStart
	}
	limit := ""
	if i := slices.Index(evidence.Quantiles[:], s.Quantile); i >= 0 && i < len(thresholds) {
		limit = fmt.Sprintf(" (%s ms)", strconv.FormatFloat(thresholds[i], 'g', 3, 64))
	}
	n := s.Counts
	return fmt.Sprintf("version %s %s version %s: %s: p%d%s exceeded by %s of %s against %s of %d", r.Canary, verb, r.Baseline,
		s.Signal, int(math.Round(100*s.Quantile)), limit,
		percent(serin.Counts{Requests: n.CanaryRequests, Errors: n.CanaryErrors}.Rate()), plural(n.CanaryRequests, noun),
		percent(serin.Counts{Requests: n.BaselineRequests, Errors: n.BaselineErrors}.Rate()), n.BaselineRequests)
}

func describe(r serin.Routing) string {
	if !r.Weighted() {
		return fmt.Sprintf("version %s", r.Version)
	}
	return fmt.Sprintf("version %s with %s for version %s", r.Version, percent(r.Weight), r.Additional)
}

func percent(share float64) string { return decimal(share*100) + " %" }

func points(difference float64) string { return "+" + decimal(difference*100) + " pp" }

// decimal prints a percentage with the digits that matter.
func decimal(v float64) string {
	switch {
	case v != 0 && math.Abs(v) < 1:
		return strconv.FormatFloat(v, 'g', 2, 64)
	default:
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
