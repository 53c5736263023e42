package exposition

import (
	"encoding/json"
	"math"
	"strings"

	"serin"
	"serin/internal/evidence"
)

// phases of a release that are shown. One that has ended is not, but for the time of its end.
var phases = []serin.Phase{
	serin.PhaseChecking, serin.PhaseRunning, serin.PhaseHeld, serin.PhasePromoting, serin.PhaseWatching, serin.PhaseRollingBack,
}

func (e *Exposition) releases(f *families) {
	state := f.gauge("serin_release_state", "1 for the state that an active release is in, 0 for the others.")
	weight := f.gauge("serin_release_canary_weight_ratio", "The share of the requests that the canary of an active release has now.")
	value := f.gauge("serin_release_log10_e_value", "The evidence that the canary is worse, as the decimal logarithm of the e-value.")
	limit := f.gauge("serin_release_log10_e_value_limit", "The logarithm of the e-value at which the canary is rolled back.")
	requests := f.counter("serin_release_requests_total", "Requests that are evidence of an active release.")
	failed := f.counter("serin_release_errors_total", "Requests that are evidence of an active release and failed.")
	for _, r := range e.Releases.Driven() {
		id := []string{"alias", r.Alias, "function", r.Function, "release_id", r.ID}
		for _, phase := range phases {
			state.add(truth(r.Phase == phase), "alias", r.Alias, "baseline", r.Baseline.String(), "canary", r.Canary.String(),
				"function", r.Function, "release_id", r.ID, "state", underscored(string(phase)))
		}
		weight.add(r.Applied.Share(r.Canary), id...)
		value.add(logEValue(r), id...)
		limit.add(-math.Log10(r.Policy.Alpha), id...)
		baseline, canary := r.Totals()
		for role, c := range map[string]serin.Counts{"baseline": baseline, "canary": canary} {
			requests.add(float64(c.Requests), "alias", r.Alias, "function", r.Function, "release_id", r.ID, "role", role)
			failed.add(float64(c.Errors), "alias", r.Alias, "function", r.Function, "release_id", r.ID, "role", role)
		}
	}
	ended := f.counter("serin_releases_ended_total", "Releases that have ended since the server started.")
	last := f.gauge("serin_release_last_end_timestamp_seconds", "When a release of the alias last ended in this way.")
	for _, end := range e.Releases.Ends() {
		if _, ok := e.Table.Function(end.Function); ok {
			l := label("alias", end.Alias, "ending", underscored(string(end.Ending)), "function", end.Function)
			ended.with(float64(end.Count), l)
			last.with(float64(end.Last.UnixMilli())/1000, l)
		}
	}
}

// logEValue is 0, no evidence, until there are counts.
func logEValue(r *serin.Release) float64 {
	ev, err := evidence.New(evidence.Config{})
	if err != nil || len(r.Evidence) == 0 || json.Unmarshal(r.Evidence, ev) != nil {
		return 0
	}
	return max(math.Log10(ev.EValue()), -math.MaxFloat64)
}

func underscored(name string) string { return strings.ReplaceAll(name, " ", "_") }

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
