package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"serin"
	"serin/internal/api"
)

// sampleEvery is how often lines report requests: a log is read later, by people.
const sampleEvery = 10 * time.Second

// lineSink prints events as lines for people.
type lineSink struct {
	to         io.Writer
	lastSample time.Time
}

func (s *lineSink) emit(e event) {
	if e.Type == eventSample {
		if e.Time.Sub(s.lastSample) < sampleEvery {
			return
		}
		s.lastSample = e.Time
	}
	for _, line := range eventLines(e) {
		fmt.Fprintln(s.to, line)
	}
}

// eventLines says an event in words; some need none.
func eventLines(e event) []string {
	d := e.document
	switch e.Type {
	case eventPublished:
		return append([]string{publishedLine(e)}, fileLines(e.Files)...)
	case eventSmoke:
		if e.Smoke.ExitStatus != 0 {
			return []string{fmt.Sprintf("✖ smoke test failed with exit status %d: %s", e.Smoke.ExitStatus, clean(e.Smoke.Command))}
		}
		return []string{fmt.Sprintf("✔ smoke test passed in %s", seconds(e.Smoke.DurationSeconds))}
	case eventCheck:
		return []string{checkLine(e.Check)}
	case eventStarted:
		if d.Phase == serin.PhaseEnded {
			return nil
		}
		return []string{fmt.Sprintf("%s %s  %s ▸ %s  %s  release %s",
			d.Function, d.Alias, versionText(d.From.Version), versionText(d.To.Version), paceText(d.Policy), d.ReleaseID)}
	case eventStep:
		return []string{stepLine(e)}
	case eventSample:
		return []string{sampleLine(d)}
	case eventVerdict:
		if *e.Verdict == serin.VerdictNotEnough { // the next step asks for more than the last one
			return nil
		}
		return []string{"  verdict: " + string(*e.Verdict)}
	case eventHeld:
		if !heldByPerson(d) { // the end tells it
			return nil
		}
		return []string{"  " + clean(e.Reason.Text)}
	case eventResumed:
		return []string{"  resumed"}
	case eventDone:
		if e.Release == nil {
			return nil
		}
		return endLines(e.Release)
	default:
		return nil // the end tells it
	}
}

// paceText says how a release goes.
func paceText(p serin.Policy) string {
	text := "steps " + stepList(p.Steps) + " %"
	switch {
	case p.Preset != "":
		text = p.Preset
	case p.Pace == serin.PaceTime:
		text += " by time, " + shortDuration(time.Duration(p.Bake)) + " each"
	case p.Pace == serin.PaceHand:
		text += " by hand: serin approve"
	}
	if p.Watch > 0 {
		text += ", then watched for " + shortDuration(time.Duration(p.Watch))
	}
	return text
}

func publishedLine(e event) string {
	changed := ""
	if len(e.Changed) > 0 {
		changed = ": " + strings.Join(e.Changed, ", ")
	}
	verb := "published "
	if e.existed {
		verb = "ships "
	}
	return clean(verb + versionText(e.Version.Version) + changed)
}

func stepLine(e event) string {
	if e.Step.EndedAt.IsZero() {
		return fmt.Sprintf("  step %d/%d  %s %%", e.Step.Index, e.Step.Of, number(e.Step.Weight))
	}
	return fmt.Sprintf("  step %d/%d  ended after %s: %s", e.Step.Index, e.Step.Of,
		seconds(e.Step.EndedAt.Sub(e.Step.StartedAt).Seconds()), clean(e.Step.Reason))
}

func sampleLine(d *api.ReleaseDocument) string {
	baseline, canary := totals(d)
	return fmt.Sprintf("  %s %s, %s errors; %s %s, %s errors; e-value %s",
		versionText(d.From.Version), counted(baseline.Requests, "request"), rate(baseline.Rate()),
		versionText(d.To.Version), counted(canary.Requests, "request"), rate(canary.Rate()), eValue(d.Evidence.EValue))
}

// endLines tells how ship ended.
func endLines(d *api.ReleaseDocument) []string {
	to, from := versionText(d.To.Version), versionText(d.From.Version)
	name := d.Function + " " + d.Alias
	why := clean(d.Reason.Text)
	switch {
	case d.Conflict:
		return []string{fmt.Sprintf("✖ %s: stopped, %s; traffic now: %s", name, why, shares(d.TrafficNow))}
	case d.Phase == serin.PhaseHeld && heldByPerson(d):
		return []string{fmt.Sprintf("● %s is %s", name, why)}
	case d.Phase == serin.PhaseHeld:
		subject := fmt.Sprintf("--function %s --alias %s", d.Function, d.Alias)
		return []string{
			fmt.Sprintf("● %s: %s is held at %s", name, to, shares(d.TrafficNow)),
			"  " + why,
			fmt.Sprintf("  go on: serin promote|resume|abort %s", subject),
		}
	case d.Phase == serin.PhaseWatching:
		return append([]string{
			fmt.Sprintf("✔ %s: promoted %s in %s: %s; traffic now: %s", name, to, seconds(d.DurationSeconds), why, shares(d.TrafficNow)),
			fmt.Sprintf("  %s is kept until %s; put it back with serin rollback, or end the watch with serin skip", from, clock(d.WatchUntil)),
		}, tally(d)...)
	case d.Outcome == serin.EndingRefused:
		return []string{fmt.Sprintf("✖ %s: %s", name, why), fmt.Sprintf("  traffic now: %s; %s stays published", shares(d.TrafficNow), to)}
	case d.Phase != serin.PhaseEnded:
		return []string{fmt.Sprintf("● %s: release %s goes on; traffic now: %s", name, d.ReleaseID, shares(d.TrafficNow))}
	case d.From.Version == d.To.Version:
		return []string{fmt.Sprintf("✔ %s: already %s, nothing to do", name, to)}
	case d.Outcome == serin.EndingPromoted && d.Verdict == serin.VerdictNone:
		return []string{fmt.Sprintf("✔ %s → %s 100 %%: %s", name, to, why)}
	case d.Outcome == serin.EndingPromoted:
		return append([]string{fmt.Sprintf("✔ %s: promoted %s to 100 %% in %s: %s", name, to, seconds(d.DurationSeconds), why)}, tally(d)...)
	case d.Outcome == serin.EndingLeft:
		return []string{fmt.Sprintf("✖ %s: %s; traffic now: %s", name, why, shares(d.TrafficNow))}
	case d.Outcome == serin.EndingAborted:
		return append([]string{fmt.Sprintf("↩ %s: back to %s, %s", name, from, why)}, tally(d)...)
	default:
		return append([]string{fmt.Sprintf("↩ %s: rolled back to %s after %s: %s", name, from, seconds(d.DurationSeconds), why)}, tally(d)...)
	}
}

// tally is the last about a release that compared something.
func tally(d *api.ReleaseDocument) []string {
	baseline, canary := totals(d)
	lines := []string{fmt.Sprintf("  %s saw %s, %s failed; %s saw %s, %s failed; verdict: %s",
		versionText(d.To.Version), counted(canary.Requests, "request"), count(canary.Errors),
		versionText(d.From.Version), counted(baseline.Requests, "request"), count(baseline.Errors), d.Verdict)}
	lines = append(lines, newErrors(d)...)
	if blind := blindSignals(d); blind != "" {
		lines = append(lines, blind)
	}
	return append(lines, syntheticLines(d)...)
}

// syntheticLines says how much of the evidence no user has made.
func syntheticLines(d *api.ReleaseDocument) []string {
	made, all := d.Signals.Baseline.Synthetic+d.Signals.Canary.Synthetic, d.Signals.Baseline.Requests+d.Signals.Canary.Requests
	if made == 0 {
		return nil
	}
	return []string{fmt.Sprintf("  synthetic: %s of %s came from --traffic, not from users", count(made), counted(all, "request"))}
}
