package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"serin"
	"serin/internal/api"
	"serin/internal/bundle"
	"serin/internal/evidence"
	"serin/internal/release"
)

// plan is what ship --dry-run prints.
type plan struct {
	Function string   `json:"function"`
	Alias    string   `json:"alias"`
	Publish  bool     `json:"publish"` // a version would be published
	Changed  []string `json:"changed"`
	// Digests are one for all that publishing freezes: of the newest version, empty without one, and of what is to be
	// shipped. Fields and Files say how the two differ.
	Digests [2]string           `json:"digests"`
	Fields  []fieldChange       `json:"fields"`
	Files   []bundle.FileChange `json:"files"`
	notes   []string
	// After is the newest version that exists; what would be published comes after it.
	After serin.VersionNumber `json:"after,omitzero"`
	// Version is the version that would be shipped, if it exists already.
	Version serin.VersionNumber             `json:"version,omitzero"`
	Traffic map[serin.VersionNumber]float64 `json:"trafficNow"` // empty if the alias is new
	Steps   []plannedStep                   `json:"steps"`      // empty if there is nothing to compare with
	Policy  serin.Policy                    `json:"policy"`
	// Settings say what would change about how the alias picks versions.
	Settings []string `json:"settings,omitempty"`
	// BaselineRequests is what the baseline's error rate was seen in; with 0 it was taken to be 0.
	BaselineRate     float64 `json:"baselineRate"`
	BaselineRequests int     `json:"baselineRequests"`
	// Forecast is absent if the steps need no evidence.
	Forecast *forecast `json:"forecast,omitempty"`
}

// plannedStep is a step that a release would take.
type plannedStep struct {
	Weight float64 `json:"weight"` // percent
	// Tolerated is the harm that must be excluded to leave the step, as a fraction.
	Tolerated float64 `json:"tolerated,omitempty"`
	// NeededRequests is how many canary requests the release has seen, on average and at best, when it leaves
	// the step.
	NeededRequests float64 `json:"neededRequests,omitempty"`
}

// evidence errors with which needed requests are estimated: those of a release.
const missGood = 0.01

// newPlan says what shipping would do. c is nil for a version that exists.
func newPlan(s subject, policy serin.Policy, c *comparison, version serin.VersionNumber, status *api.StatusDocument) plan {
	p := plan{
		Function: s.function, Alias: s.alias, Version: version, Policy: policy, Changed: []string{}, Fields: []fieldChange{}, Files: []bundle.FileChange{},
		Traffic: map[serin.VersionNumber]float64{}, Steps: []plannedStep{},
	}
	if c != nil {
		p.Publish, p.After, p.Digests, p.notes = c.publishes(), c.newest, c.digests, c.notes
		if p.Publish {
			p.Changed, p.Fields = c.changed(), c.fields
			p.Files = append(p.Files, c.files...)
		} else {
			p.Version = c.newest
		}
	}
	alias := aliasOf(status, s.alias)
	if alias == nil {
		return p
	}
	p.Traffic = alias.Set
	baseline := byShare(alias.Set)[0]
	if m := metricsOf(status, baseline, s.alias); m != nil && m.Requests > 0 {
		p.BaselineRequests = m.Requests
		p.BaselineRate = float64(m.Errors) / float64(m.Requests)
	}
	for i, weight := range policy.Steps {
		step := plannedStep{Weight: weight}
		if weight < 100 {
			step.Tolerated = release.Tolerance(&serin.Release{Policy: policy, Step: i})
			needed := evidence.NeededCanaryRequests(p.BaselineRate, weight/100, step.Tolerated, evidence.DefaultPromoteAlpha, missGood)
			if !math.IsInf(needed, 0) {
				step.NeededRequests = math.Ceil(needed)
			}
		}
		p.Steps = append(p.Steps, step)
	}
	p.Forecast = newForecast(&p, alias, now())
	return p
}

// idle reports whether there would be nothing to do.
func (p *plan) idle() bool { return !p.Publish && p.Traffic[p.Version] == 100 && len(p.Settings) == 0 }

// lines says the plan in words.
func (p *plan) lines() []string {
	name := p.Function + " " + p.Alias
	lines := slices.Clone(p.notes)
	if p.idle() {
		return append(lines, fmt.Sprintf("%s: already %s, nothing to do", name, versionText(p.Version)))
	}
	next := versionText(p.Version)
	switch {
	case p.Publish && p.After == serin.Latest:
		next = "the first version"
		lines = append(lines, "would publish "+next+": "+strings.Join(p.Changed, ", "))
	case p.Publish:
		next = "the new version"
		lines = append(lines, fmt.Sprintf("would publish a version after %s: %s", versionText(p.After), strings.Join(p.Changed, ", ")))
		lines = append(lines, fileLines(p.Files)...)
	}
	if len(p.Settings) > 0 {
		lines = append(lines, "would set "+name+": "+strings.Join(p.Settings, ", "))
	}
	if !p.Publish && p.Traffic[p.Version] == 100 {
		return lines
	}
	if len(p.Traffic) == 0 {
		return append(lines, fmt.Sprintf("would point %s at %s at once: there is nothing to compare with", name, next))
	}
	lines = append(lines, fmt.Sprintf("would move %s from %s to %s:", name, shares(p.Traffic), next))
	for _, s := range p.Steps {
		switch {
		case s.NeededRequests > 0:
			lines = append(lines, fmt.Sprintf("  %s %%  until harm above +%s points is excluded: at least about %s of the new version in all",
				number(s.Weight), number(100*s.Tolerated), counted(int(s.NeededRequests), "request")))
		default:
			lines = append(lines, fmt.Sprintf("  %s %%", number(s.Weight)))
		}
	}
	if p.BaselineRequests > 0 {
		lines = append(lines, fmt.Sprintf("  (the present version fails %s of %s)", rate(p.BaselineRate), counted(p.BaselineRequests, "request")))
	}
	if p.Forecast != nil {
		lines = append(lines, p.Forecast.lines(p)...)
	}
	return append(lines, fmt.Sprintf("without enough evidence after %s: %s", shortDuration(time.Duration(p.Policy.MaxWait)), p.Policy.OnBlind))
}
