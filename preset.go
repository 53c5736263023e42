package serin

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Preset is a pace with a name.
type Preset struct {
	Name  string
	Steps []float64
	Bake  Duration
}

// presetPrefix is what CodeDeploy's API puts before the names.
const presetPrefix = "CodeDeployDefault.Lambda"

// Presets returns the predefined deployment configurations of AWS CodeDeploy for Lambda (its documentation,
// 2025). Unlike there, a canary that is worse is rolled back without an alarm.
func Presets() []Preset {
	presets := []Preset{{Name: "AllAtOnce", Steps: []float64{100}}}
	for _, minutes := range []int{5, 10, 15, 30} {
		presets = append(presets, Preset{
			Name: fmt.Sprintf("Canary10Percent%dMinutes", minutes), Steps: []float64{10, 100},
			Bake: Duration(time.Duration(minutes) * time.Minute),
		})
	}
	for _, minutes := range []int{1, 2, 3, 10} {
		plural := "s"
		if minutes == 1 {
			plural = ""
		}
		presets = append(presets, Preset{
			Name:  fmt.Sprintf("Linear10PercentEvery%dMinute%s", minutes, plural),
			Steps: []float64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100},
			Bake:  Duration(time.Duration(minutes) * time.Minute),
		})
	}
	return presets
}

// FindPreset returns a preset by its name, with or without CodeDeploy's prefix.
//
// Errors: KindInvalid, naming the presets that there are.
func FindPreset(name string) (Preset, error) {
	short := strings.TrimPrefix(name, presetPrefix)
	presets := Presets()
	i := slices.IndexFunc(presets, func(p Preset) bool { return p.Name == short })
	if i < 0 {
		names := make([]string, len(presets))
		for i, p := range presets {
			names[i] = p.Name
		}
		return Preset{}, Errorf(KindInvalid, "preset: %.100q is none of %s", name, strings.Join(names, ", "))
	}
	return presets[i], nil
}

// Apply makes a policy take its steps as the preset says.
func (s Preset) Apply(p *Policy) {
	p.Preset, p.Steps, p.Bake, p.Pace = s.Name, s.Steps, s.Bake, PaceTime
}
