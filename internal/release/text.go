package release

import (
	"fmt"
	"math"
	"strconv"

	"serin"
)

func worseReason(r *serin.Release) string {
	b, c := r.Totals()
	text := fmt.Sprintf("version %s fails more than version %s: %s of %s against %s of %s",
		r.Canary, r.Baseline, percent(c.Rate()), plural(c.Requests, "request"), percent(b.Rate()), strconv.Itoa(b.Requests))
	if fresh := r.Signals.New(); len(fresh) > 0 {
		text += fmt.Sprintf("; new in version %s: %s, %d×", r.Canary, fresh[0].Text, fresh[0].Canary)
	}
	return text
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
