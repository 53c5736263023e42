package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"serin"
)

// stepsValue is a flag like 5,25,50,100.
type stepsValue []float64

func (s *stepsValue) String() string { return stepList(*s) }
func (s *stepsValue) Type() string   { return "percentages" }

func (s *stepsValue) Set(text string) error {
	var steps []float64
	for part := range strings.SplitSeq(text, ",") {
		step, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(part), "%"), 64)
		if err != nil {
			return fmt.Errorf("%.100q is not a list of percentages like 5,25,50,100", text)
		}
		steps = append(steps, step)
	}
	*s = steps
	return nil
}

// stepList prints percentages like 5, 25, 50, 100.
func stepList(steps []float64) string {
	texts := make([]string, len(steps))
	for i, s := range steps {
		texts[i] = number(s)
	}
	return strings.Join(texts, ", ")
}

// durationValue is a flag like 30m.
type durationValue serin.Duration

func (d *durationValue) String() string { return shortDuration(time.Duration(*d)) }
func (d *durationValue) Type() string   { return "duration" }

func (d *durationValue) Set(text string) error {
	return (*serin.Duration)(d).UnmarshalText([]byte(text))
}

// blindValue is a flag that says what to do without evidence.
type blindValue serin.Blind

func (b *blindValue) String() string { return string(*b) }
func (b *blindValue) Type() string   { return "hold|promote|rollback" }

func (b *blindValue) Set(text string) error {
	switch blind := serin.Blind(text); blind {
	case serin.BlindHold, serin.BlindPromote, serin.BlindRollback:
		*b = blindValue(blind)
		return nil
	}
	return fmt.Errorf("%.100q is not hold, promote or rollback", text)
}

// paceValue is a flag that names a pace.
type paceValue serin.Pace

func (p *paceValue) String() string { return string(*p) }
func (p *paceValue) Type() string   { return "evidence|time|hand" }

func (p *paceValue) Set(text string) error {
	switch pace := serin.Pace(text); pace {
	case serin.PaceEvidence, serin.PaceTime, serin.PaceHand:
		*p = paceValue(pace)
		return nil
	}
	return fmt.Errorf("%.100q is not evidence, time or hand", text)
}

// signalsValue is a flag like errors,latency. The policy checks the names.
type signalsValue []serin.Judged

func (v *signalsValue) Type() string { return "list" }

func (v *signalsValue) String() string {
	names := make([]string, len(*v))
	for i, s := range *v {
		names[i] = string(s)
	}
	return strings.Join(names, ",")
}

func (v *signalsValue) Set(text string) error {
	var all []serin.Judged
	for part := range strings.SplitSeq(text, ",") {
		all = append(all, serin.Judged(strings.TrimSpace(part)))
	}
	*v = all
	return nil
}

// presetValue is a flag that names a preset, which sets what other flags set one by one.
type presetValue struct{ policy *serin.Policy }

func (p *presetValue) String() string {
	if p.policy == nil {
		return ""
	}
	return p.policy.Preset
}

func (p *presetValue) Type() string { return "NAME" }

func (p *presetValue) Set(text string) error {
	preset, err := serin.FindPreset(text)
	if err != nil {
		return err
	}
	preset.Apply(p.policy)
	return nil
}

// rateValue is a flag like 50 or 50/s: requests per second. 0 stands for not set.
type rateValue float64

func (r *rateValue) Type() string { return "N/s" }

func (r *rateValue) String() string {
	if *r == 0 {
		return ""
	}
	return number(float64(*r)) + "/s"
}

func (r *rateValue) Set(text string) error {
	perSecond, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if err != nil || !(perSecond > 0 && perSecond <= maxRate) {
		return fmt.Errorf("%.100q is not above 0 and at most %v requests per second", text, maxRate)
	}
	*r = rateValue(perSecond)
	return nil
}
