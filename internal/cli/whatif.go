package cli

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"serin"
	"serin/internal/api"
	"serin/internal/release"
)

// whatIfReport is what history --what-if --json prints.
type whatIfReport struct {
	Policy   serin.Policy  `json:"policy"`
	Releases []whatIfEntry `json:"releases"`
}

// whatIfEntry is a recorded release, and how it would have ended.
type whatIfEntry struct {
	release.WhatIf
	StartedAt time.Time     `json:"startedAt"`
	Recorded  serin.Ending  `json:"recorded"`
	Verdict   serin.Verdict `json:"verdict"`
	Took      float64       `json:"tookSeconds"`
}

// policyOf reads a policy: the name of a preset, a file like serin.yaml, or settings like {maxHarm: 0.005, alpha: 0.001}.
func policyOf(text string) (serin.Policy, error) {
	policy := serin.DefaultPolicy()
	if preset, err := serin.FindPreset(text); err == nil {
		preset.Apply(&policy)
		return policy, policy.Check()
	}
	document, err := readFile(text, maxProjectFile)
	if errors.Is(err, fs.ErrNotExist) {
		document = []byte(text)
	} else if err != nil {
		return policy, err
	}
	settings, err := parseProject(document)
	if err != nil {
		return policy, usagef("what-if: %w; want a preset, a file like serin.yaml, or settings like '{maxHarm: 0.005, alpha: 0.001}'", err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	policyFlags(flags, &policy)
	if err := presetFirst(flags, settings); err != nil {
		return policy, err
	}
	known := slices.DeleteFunc(settings, func(s setting) bool { return flags.Lookup(projectKeys[s.key]) == nil })
	if err := applyProject(flags, known); err != nil {
		return policy, err
	}
	return policy, policy.Check()
}

// whatIf judges the recorded releases of an alias by another policy.
func (a *app) whatIf(ctx context.Context, conn *connection, history *api.HistoryDocument, policy serin.Policy, asJSON bool) error {
	report := whatIfReport{Policy: policy, Releases: []whatIfEntry{}}
	for _, d := range history.Releases {
		if d.Phase != serin.PhaseEnded && d.Phase != serin.PhaseWatching {
			continue
		}
		cert, err := conn.api.Certificate(ctx, d.ReleaseID)
		if err != nil {
			return err
		}
		w, recorded, err := cert.WhatIf(policy)
		if err != nil {
			return err
		}
		if recorded {
			report.Releases = append(report.Releases, whatIfEntry{
				WhatIf: w, StartedAt: d.StartedAt, Recorded: d.Outcome, Verdict: d.Verdict, Took: d.DurationSeconds,
			})
		}
	}
	if asJSON {
		return a.printDocument(report)
	}
	return a.printLines(whatIfLines(report))
}

func whatIfLines(report whatIfReport) []string {
	if len(report.Releases) == 0 {
		return []string{"no release has recorded anything"}
	}
	rows := make([][]string, len(report.Releases))
	for i, e := range report.Releases {
		would := string(e.Ending)
		if e.Blind {
			would += ", blind"
		}
		rows[i] = []string{
			shortID(e.ReleaseID), clock(e.StartedAt), string(e.Recorded), seconds(e.Took), would,
			seconds(time.Duration(e.After).Seconds()), count(e.Canary.Requests), count(e.Canary.Errors),
		}
	}
	return table([]string{"RELEASE", "STARTED", "RECORDED", ">TOOK", "WOULD HAVE", ">AFTER", ">CANARY", ">ERRORS"}, rows)
}
