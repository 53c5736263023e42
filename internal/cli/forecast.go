package cli

import (
	"fmt"
	"math"
	"time"

	"serin"
	"serin/internal/api"
	"serin/internal/evidence"
)

// forecast is what a release can be expected to find out with the traffic that there is.
type forecast struct {
	// RequestsPerSecond is how fast requests to the alias have come of late.
	RequestsPerSecond float64 `json:"requestsPerSecond"`
	// Seconds is how long a good version takes at least until everything moves; absent if there is no traffic.
	Seconds float64 `json:"seconds,omitempty"`
	// Visible is the smallest increase of the error rate, as a fraction, that can be expected to be found within
	// max-wait at the largest share before everything; absent if none can.
	Visible float64 `json:"visible,omitempty"`
	// Late says that Seconds is over max-wait, or that there is no traffic: the release will end without evidence.
	Late bool `json:"late"`
}

// leastObserved is how long an alias must have been watched before silence means anything.
const leastObserved = 10 * time.Second

// newForecast says what to expect of steps that need evidence, nil if none do.
func newForecast(p *plan, alias *api.AliasStatus, at time.Time) *forecast {
	steps := p.Steps
	if len(steps) < 2 || alias.Since.IsZero() || p.Policy.Pace == serin.PaceTime || p.Policy.Pace == serin.PaceHand || p.Policy.Force != "" {
		return nil
	}
	var f forecast
	elapsed := at.Sub(alias.Since).Seconds()
	if elapsed < leastObserved.Seconds() && alias.Requests == 0 {
		return nil // too early to say that there is no traffic
	}
	if elapsed > 0 {
		f.RequestsPerSecond = math.Round(1000*float64(alias.Requests)/elapsed) / 1000
	}
	if f.RequestsPerSecond == 0 {
		f.Late = true
		return &f
	}
	seen, wait := 0.0, time.Duration(p.Policy.MaxWait).Seconds()
	for _, s := range steps[:len(steps)-1] {
		f.Seconds += max(time.Duration(p.Policy.Bake).Seconds(), (s.NeededRequests-seen)/(f.RequestsPerSecond*s.Weight/100))
		seen = max(seen, s.NeededRequests)
	}
	f.Late = f.Seconds > wait
	share := steps[len(steps)-2].Weight / 100
	f.Visible = visible(p.BaselineRate, share, f.RequestsPerSecond*share*wait, p.Policy.Alpha)
	return &f
}

// visible returns the smallest increase of an error rate that some test can be expected to find in so many requests of
// the canary, 0 for none.
func visible(rate, share, requests, alpha float64) float64 {
	needs := func(harm float64) float64 { return evidence.Bound(rate, rate+harm, share, alpha, missGood) }
	low, high := 0.0, 0.999-rate
	if high <= 0 || needs(high) > requests {
		return 0
	}
	for range 60 {
		if middle := (low + high) / 2; needs(middle) > requests {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// lines says the forecast in words.
func (f *forecast) lines(p *plan) []string {
	wait := shortDuration(time.Duration(p.Policy.MaxWait))
	var lines []string
	if f.RequestsPerSecond == 0 {
		lines = append(lines, "no requests have come of late, so nothing will be found out")
	} else {
		lines = append(lines, fmt.Sprintf("at %s requests per second that takes about %s", number(f.RequestsPerSecond), seconds(f.Seconds)))
		if f.Visible > 0 {
			lines = append(lines, fmt.Sprintf("  within %s an error rate that rises by %s points or more can be found", wait, significant(100*f.Visible)))
		}
	}
	if f.Late {
		lines = append(lines, fmt.Sprintf("  %s (--max-wait) will not be enough: give the new version more weight (--steps), more time, or traffic: recorded events (serin record, --traffic FILE) or made-up ones (--traffic demo)", wait))
	}
	return lines
}
