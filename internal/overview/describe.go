package overview

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"serin"
	"serin/internal/evidence"
	"serin/internal/metrics"
	"serin/internal/release"
)

// Document describes a release and where a rollback would go.
func (o *Reader) Document(ctx context.Context, r *serin.Release) ReleaseDocument {
	d := o.Summary(r)
	d.Untold = o.untold(ctx, r.ID)
	d.RollbackTarget = o.rollbackTarget(ctx, r.Function, r.Alias)
	return d
}

// Summary describes a release by what is known of it alone, without the store.
func (o *Reader) Summary(r *serin.Release) ReleaseDocument {
	d := ReleaseDocument{
		ReleaseID: r.ID, Target: "serin", Function: r.Function, Alias: r.Alias,
		From: o.Version(r.Function, r.Baseline), To: o.Version(r.Function, r.Canary), Changed: []string{},
		Steps: r.Steps, Verdict: r.Verdict, Outcome: r.Ending, Actor: r.Actor, Message: r.Message,
		StartedAt: r.StartedAt, Phase: r.Phase, Step: r.Step, Policy: r.Policy, Blind: r.Blind, WatchUntil: r.WatchUntil, Judgements: r.Judgements, Checks: r.Checks, Alarms: r.Alarms, Log: r.Log,
		Signals: describeSignals(r), HeldBy: r.HeldBy, Saved: r.Version,
	}
	if d.Steps == nil {
		d.Steps = []serin.Step{}
	}
	if r.Ending == serin.EndingConflict {
		d.Outcome, d.Conflict = serin.EndingAborted, true
	}
	end := r.EndedAt
	if end.IsZero() {
		end = o.Now()
	}
	d.DurationSeconds = math.Round(end.Sub(r.StartedAt).Seconds()*1000) / 1000
	d.Evidence, d.Reason = describeEvidence(r)
	d.TrafficNow = Percentages(r.Applied)
	if _, a, err := o.Control.Alias(r.Function, r.Alias); err == nil {
		d.TrafficNow = Percentages(a.Routing)
	}
	return d
}

// untold says which targets do not take the notices of a release.
func (o *Reader) untold(ctx context.Context, id string) []Untold {
	if len(o.Releases.Notify) == 0 {
		return nil
	}
	waiting, err := o.Releases.Store.ReleaseNotices(ctx, id)
	if err != nil {
		o.Log.ErrorContext(ctx, "cannot read notices", "release", id, "error", err)
	}
	var all []Untold
	for _, n := range waiting {
		i := slices.IndexFunc(all, func(u Untold) bool { return u.Target == n.Target })
		if i < 0 {
			i = len(all)
			all = append(all, Untold{Target: n.Target, Failures: n.Failures, Error: n.Error})
		}
		all[i].Waiting++
	}
	return slices.DeleteFunc(all, func(u Untold) bool { return u.Failures == 0 })
}

// betaShown is the error probability of missing a regression in the bounds that documents show.
const betaShown = 0.01

func describeEvidence(r *serin.Release) (Evidence, Reason) {
	baseline, canary := r.Totals()
	e := Evidence{EValue: 1, Alpha: r.Policy.Alpha, CanaryRequests: canary.Requests}
	why := Reason{Signal: "errors", Text: r.Reason, Baseline: baseline.Rate(), Canary: canary.Rate(), HarmExcluded: 1}
	if len(r.Evidence) == 0 {
		return e, why
	}
	ev, err := evidence.New(evidence.Config{})
	if err != nil || json.Unmarshal(r.Evidence, ev) != nil {
		return e, why
	}
	e.EValue = min(ev.EValue(), math.MaxFloat64)
	e.RatioMismatch = ev.SampleRatioMismatch()
	e.Signals = ev.Signals()
	if r.Verdict == serin.VerdictWorse {
		if d := ev.Decisive(); d.Signal != evidence.Errors {
			why.Signal = d.Signal.String()
			why.Baseline = serin.Counts{Requests: d.Counts.BaselineRequests, Errors: d.Counts.BaselineErrors}.Rate()
			why.Canary = serin.Counts{Requests: d.Counts.CanaryRequests, Errors: d.Counts.CanaryErrors}.Rate()
		}
	}
	why.HarmExcluded = ev.HarmExcluded(evidence.DefaultPromoteAlpha)
	if d, ok := ev.Difference(); ok {
		e.Low, e.High = &d.Low, &d.High
	}
	weight := r.Policy.Weight(r.Step)
	if r.Verdict == serin.VerdictWorse && len(r.Steps) > 0 {
		w := r.Steps[len(r.Steps)-1].Weight / 100
		e.LowerBoundRequests = finite(evidence.Bound(baseline.Rate(), canary.Rate(), w, r.Policy.Alpha, betaShown))
	}
	if weight < 1 {
		e.Tolerated = release.Tolerance(r)
		e.NeededRequests = finite(evidence.NeededCanaryRequests(baseline.Rate(), weight, e.Tolerated, evidence.DefaultPromoteAlpha, betaShown))
	}
	return e, why
}

// finite replaces what JSON cannot say: a bound that no number of requests reaches is left out.
func finite(v float64) float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	return v
}

// Version refers to a version; a deleted one has no digest any more.
func (o *Reader) Version(function string, n serin.VersionNumber) VersionRef {
	ref := VersionRef{Version: n}
	if f, ok := o.Control.Table.Function(function); ok {
		if v, ok := f.Version(n); ok {
			ref.CodeSHA256 = v.Code.SHA256
		}
	}
	return ref
}

// Percentages are the shares of a routing.
func Percentages(r serin.Routing) map[serin.VersionNumber]float64 {
	shares := r.Weights()
	for v, share := range shares {
		shares[v] = math.Round(share*1e6) / 1e4
	}
	return shares
}

// Status returns a function at a glance.
//
// Errors: KindNotFound.
func (o *Reader) Status(ctx context.Context, function string) (*StatusDocument, error) {
	f, ok := o.Control.Table.Function(function)
	if !ok {
		return nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", o.Control.Place.FunctionARN(function, ""))
	}
	stats := o.Recorder.Function(f.Name)
	d := &StatusDocument{
		Function: f.Name, ARN: f.ARN, Runtime: f.Latest.Config.Runtime, State: f.Latest.State, Reason: f.Latest.StateReason,
		Aliases: []AliasStatus{}, CodeBytes: f.Latest.Code.Size, Storage: o.storage(),
	}
	d.Events = eventMetrics(o.Recorder.Events(f.Name))
	for _, a := range f.Aliases {
		d.Aliases = append(d.Aliases, o.aliasStatus(ctx, f, a, stats))
	}
	slices.SortFunc(d.Aliases, func(a, b AliasStatus) int { return cmp.Compare(a.Name, b.Name) })
	d.Versions = append(d.Versions, versionStatus(f.Latest, stats))
	for _, v := range slices.Backward(f.Versions) {
		d.Versions = append(d.Versions, versionStatus(v, stats))
		d.CodeBytes += v.Code.Size
	}
	return d, nil
}

func (o *Reader) aliasStatus(ctx context.Context, f *serin.Function, a *serin.Alias, stats []metrics.Stats) AliasStatus {
	known := o.past(ctx, f, a.Name)
	s := AliasStatus{
		Name: a.Name, RevisionID: a.RevisionID, Set: Percentages(a.Routing), Observed: map[serin.VersionNumber]float64{},
		RollbackTarget: known.rollbackTarget, Since: o.Recorder.Since().UTC(),
	}
	settings := f.RouteSettingsAt(a.Name)
	s.RoutingKey, s.Pins = settings.Key, cmp.Or(settings.Pins, serin.PinsSigned)
	for _, st := range stats {
		if st.Alias == a.Name {
			s.Requests += st.SinceRouting
		}
	}
	for _, st := range stats {
		if st.Alias == a.Name && st.SinceRouting > 0 {
			s.Observed[st.Version] = math.Round(1e6*float64(st.SinceRouting)/float64(s.Requests)) / 1e4
		}
	}
	if s.LastMove = known.lastMove; s.LastMove != nil && s.LastMove.At.After(s.Since) {
		s.Since = s.LastMove.At
	}
	if active := o.Releases.Active(f.Name, a.Name); active != nil {
		s.Release = new(o.Document(ctx, active))
	}
	return s
}

func versionStatus(v *serin.Version, stats []metrics.Stats) VersionStatus {
	s := VersionStatus{
		Version: v.Number, Description: v.Config.Description, CodeSHA256: v.Code.SHA256, CodeBytes: v.Code.Size,
		LastModified: v.LastModified, State: v.State,
		PublishedBy: v.PublishedBy, PublishedAt: v.PublishedAt, Provenance: v.Provenance, Metrics: []VersionMetrics{},
	}
	for _, st := range stats {
		if st.Version != v.Number {
			continue
		}
		m := VersionMetrics{
			Alias: st.Alias, Requests: st.Requests, Errors: st.Errors(), ByKind: map[string]int{},
			Throttles: st.Throttles, Duration: milliseconds(st.Duration), Init: milliseconds(st.Init),
		}
		for o, n := range st.Outcomes {
			if n > 0 && serin.Outcome(o).Failed() {
				m.ByKind[serin.Outcome(o).String()] = n
			}
		}
		s.Metrics = append(s.Metrics, m)
	}
	slices.SortFunc(s.Metrics, func(a, b VersionMetrics) int { return cmp.Compare(a.Alias, b.Alias) })
	return s
}

// eventMetrics describes events, nil if there were none.
func eventMetrics(st metrics.EventStats) *EventMetrics {
	if st == (metrics.EventStats{}) {
		return nil
	}
	return &EventMetrics{
		Received: st.Received, Age: milliseconds(st.Age), Dropped: st.Dropped, Lost: st.Lost,
		DestinationFailures: st.DestinationFailures, DeadLetterFailures: st.DeadLetterFailures,
	}
}

func milliseconds(d metrics.Durations) Milliseconds {
	ms := func(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }
	return Milliseconds{Count: d.Count, Mean: ms(d.Mean), P50: ms(d.P50), P95: ms(d.P95), P99: ms(d.P99), Max: ms(d.Max)}
}
