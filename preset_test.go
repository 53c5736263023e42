package serin

import (
	"testing"
	"time"
)

func TestPresets(t *testing.T) {
	for name, want := range map[string]struct {
		steps int
		bake  time.Duration
	}{
		"AllAtOnce":                         {1, 0},
		"Canary10Percent5Minutes":           {2, 5 * time.Minute},
		"Canary10Percent10Minutes":          {2, 10 * time.Minute},
		"Canary10Percent15Minutes":          {2, 15 * time.Minute},
		"Canary10Percent30Minutes":          {2, 30 * time.Minute},
		"Linear10PercentEvery1Minute":       {10, time.Minute},
		"Linear10PercentEvery2Minutes":      {10, 2 * time.Minute},
		"Linear10PercentEvery3Minutes":      {10, 3 * time.Minute},
		"Linear10PercentEvery10Minutes":     {10, 10 * time.Minute},
		"CodeDeployDefault.LambdaAllAtOnce": {1, 0},
	} {
		preset, err := FindPreset(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := DefaultPolicy()
		preset.Apply(&p)
		if len(p.Steps) != want.steps || p.Bake != Duration(want.bake) || p.Pace != PaceTime {
			t.Errorf("%s: %+v", name, p)
		}
		if err := p.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FindPreset("Canary10Percent7Minutes"); KindOf(err) != KindInvalid {
		t.Errorf("an unknown preset: %v", err)
	}
}

func TestPolicyChecks(t *testing.T) {
	for name, change := range map[string]func(*Policy){
		"no steps":                  func(p *Policy) { p.Steps = nil },
		"steps that do not end":     func(p *Policy) { p.Steps = []float64{5, 50} },
		"steps that descend":        func(p *Policy) { p.Steps = []float64{50, 5, 100} },
		"a pace that is none":       func(p *Policy) { p.Pace = "fast" },
		"time without a time":       func(p *Policy) { p.Pace = PaceTime },
		"a bake over the wait":      func(p *Policy) { p.Bake = Duration(time.Hour) },
		"a holdback without watch":  func(p *Policy) { p.Holdback = 5 },
		"too large a holdback":      func(p *Policy) { p.Watch, p.Holdback = Duration(time.Hour), 51 },
		"a negative watch":          func(p *Policy) { p.Watch = -1 },
		"no alpha":                  func(p *Policy) { p.Alpha = 0 },
		"a harm that is everything": func(p *Policy) { p.MaxHarm = 1 },
		"a signal that is none":     func(p *Policy) { p.Signals = []Judged{"speed"} },
		"a signal twice":            func(p *Policy) { p.Signals = []Judged{JudgeErrors, JudgeErrors} },
		"a slow-down below 1":       func(p *Policy) { p.MaxSlowdown = 0.9 },
		"any slow-down":             func(p *Policy) { p.MaxSlowdown = 11 },
	} {
		p := DefaultPolicy()
		change(&p)
		if KindOf(p.Check()) != KindInvalid {
			t.Errorf("%s: accepted", name)
		}
	}
}
