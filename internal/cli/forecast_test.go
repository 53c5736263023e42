package cli

import (
	"math"
	"strings"
	"testing"
	"time"

	"serin"
	"serin/internal/api"
	"serin/internal/evidence"
)

// planned is the plan of a release at a rate of requests, and its forecast.
func planned(requests int, change func(*serin.Policy)) *plan {
	policy := serin.DefaultPolicy()
	if change != nil {
		change(&policy)
	}
	alias := api.AliasStatus{Name: "live", Set: map[serin.VersionNumber]float64{1: 100}, Requests: requests, Since: began}
	status := &api.StatusDocument{Aliases: []api.AliasStatus{alias}}
	p := newPlan(subject{"hello", "live"}, policy, nil, 2, status)
	p.Forecast = newForecast(&p, &alias, began.Add(1000*time.Second))
	return &p
}

func TestForecast(t *testing.T) {
	busy, quiet := planned(100_000, nil).Forecast, planned(10, nil).Forecast
	if busy.Late || busy.RequestsPerSecond != 100 || busy.Seconds < 5 || busy.Seconds > 120 {
		t.Errorf("at 100 requests per second: %+v", busy)
	}
	if !quiet.Late || quiet.Seconds < 1800 || quiet.Visible < 10*busy.Visible {
		t.Errorf("at a request in 100 seconds: %+v", quiet)
	}
	// What is said to be visible is what the bound says of that many requests.
	n := 100 * 0.5 * 1800
	if needs := evidence.Bound(0, busy.Visible, 0.5, 0.01, missGood); math.Abs(needs/n-1) > 0.01 {
		t.Errorf("%v is visible in %v requests, and needs %v", busy.Visible, n, needs)
	}
	if f := planned(0, nil).Forecast; !f.Late || f.Seconds != 0 {
		t.Errorf("without traffic: %+v", f)
	}
	young := planned(0, nil)
	if f := newForecast(young, &api.AliasStatus{Since: began}, began.Add(time.Second)); f != nil {
		t.Errorf("silence of a second: %+v", f)
	}
	for name, p := range map[string]*plan{
		"by time": planned(10, func(p *serin.Policy) { p.Pace, p.Bake = serin.PaceTime, serin.Duration(time.Minute) }),
		"by hand": planned(10, func(p *serin.Policy) { p.Pace = serin.PaceHand }),
		"forced":  planned(10, func(p *serin.Policy) { p.Force = "now" }),
		"at once": planned(10, func(p *serin.Policy) { p.Steps = []float64{100} }),
	} {
		if p.Forecast != nil {
			t.Errorf("%s: %+v", name, p.Forecast)
		}
	}
	p := planned(10, nil)
	if text := strings.Join(p.Forecast.lines(p), "\n"); !strings.Contains(text, "at 0.01 requests per second") || !strings.Contains(text, "--steps") {
		t.Error(text)
	}
	if visible(0.999, 0.5, 1e9, 0.01) != 0 || visible(0, 0.05, 1, 0.01) != 0 {
		t.Error("something is visible where nothing can be")
	}
}
