package cli

import (
	"testing"

	"serin"
)

// FuzzCertificate reads what may come from anywhere.
func FuzzCertificate(f *testing.F) {
	for _, text := range []string{
		``, `{}`, `[]`, `{"release":{"releaseId":"r","policy":{"steps":[]}}}`,
		`{"release":{"releaseId":"r","policy":{"steps":[5,100],"maxWait":"30m","onBlind":"hold","alpha":0.01,"maxHarm":0.01},"judgements":[{"step":9,"saved":1}]},"pages":[{"saved":1,"blocks":[{"t":1,"w":0.05,"nc":1,"xc":1,"nb":19,"xb":0}]}]}`,
		`{"release":{"releaseId":"r","step":-3,"evidence":"x","policy":{"steps":[5,100],"maxWait":"30m","onBlind":"hold","alpha":0.01,"maxHarm":0.01}},"pages":[{"saved":2,"blocks":[{"w":7,"nc":-1}]},{"saved":1}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cert, err := parseCertificate("c.json", text)
		if err != nil {
			return
		}
		v, err := cert.Verify()
		if err == nil && v == nil {
			t.Error("no result")
		}
		if w, recorded, err := cert.WhatIf(serin.DefaultPolicy()); err == nil && recorded && w.Ending == "" {
			t.Errorf("no ending: %+v", w)
		}
	})
}

func TestPolicyOf(t *testing.T) {
	for text, want := range map[string]func(*serin.Policy) bool{
		"{signals: [errors], maxSlowdown: 2}": func(p *serin.Policy) bool {
			return !p.Judges(serin.JudgeLatency) && p.Judges(serin.JudgeErrors) && p.MaxSlowdown == 2
		},
		"{signals: 'latency, cold-starts'}": func(p *serin.Policy) bool {
			return p.Judges(serin.JudgeLatency) && p.Judges(serin.JudgeColdStarts) && !p.Judges(serin.JudgeErrors)
		},
		"{maxHarm: 0.005, alpha: 0.001}":          func(p *serin.Policy) bool { return p.MaxHarm == 0.005 && p.Alpha == 0.001 },
		"Canary10Percent5Minutes":                 func(p *serin.Policy) bool { return p.Pace == serin.PaceTime && len(p.Steps) == 2 },
		"steps: [50, 100]":                        func(p *serin.Policy) bool { return len(p.Steps) == 2 },
		"{preset: AllAtOnce, function: whatever}": func(p *serin.Policy) bool { return len(p.Steps) == 1 },
	} {
		p, err := policyOf(text)
		if err != nil || !want(&p) {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
	for _, text := range []string{"{maxHarm: 2}", "nonsense", "{speed: 3}", "{steps: 5"} {
		if _, err := policyOf(text); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", text, err)
		}
	}
}
