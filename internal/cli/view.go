package cli

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"serin"
	"serin/internal/api"
)

// style is how a line of the screen stands out.
type style int

const (
	plain style = iota
	strong
	faint
	good
	bad
)

// line is one line of the screen.
type line struct {
	text  string
	style style
}

// view is what the live view shows of a release.
type view struct {
	release *api.ReleaseDocument
	status  *api.StatusDocument // nil until it is known
	pace    float64             // canary requests per second, 0 if not known
	now     time.Time
	prompt  string // the keys, or a question; "" without a keyboard
}

// lines renders the view.
func (v view) lines() []line {
	d := v.release
	lines := []line{{v.header(), strong}, {v.traffic(), plain}}
	if d.Verdict != serin.VerdictNone {
		lines = append(lines, line{v.meter(), plain})
	}
	if text := signalsText(d); text != "" {
		lines = append(lines, line{text, plain})
	}
	for i, row := range v.versions() {
		s := plain
		if i == 0 {
			s = faint
		}
		lines = append(lines, line{row, s})
	}
	lines = append(lines, v.verdict())
	for _, text := range newErrors(d) {
		lines = append(lines, line{text, bad})
	}
	if d.Evidence.RatioMismatch {
		lines = append(lines, line{"the traffic does not follow the weights: callers may have kept connections, or use the versions directly", bad})
	}
	if v.prompt != "" {
		lines = append(lines, line{v.prompt, faint})
	}
	return lines
}

// header names the release and says where it stands.
func (v view) header() string {
	d := v.release
	head := fmt.Sprintf("%s  %s  %s ▸ %s   ", d.Function, d.Alias, versionText(d.From.Version), versionText(d.To.Version))
	switch d.Phase {
	case serin.PhaseRunning:
		head += fmt.Sprintf("step %d/%d", d.Step+1, len(d.Policy.Steps))
	case serin.PhaseHeld:
		head += fmt.Sprintf("held at step %d/%d", d.Step+1, len(d.Policy.Steps))
	case serin.PhaseChecking:
		head += "checked before it gets traffic"
	case serin.PhaseWatching:
		head += "promoted, watched until " + clock(d.WatchUntil)
	case serin.PhasePromoting, serin.PhaseRollingBack, serin.PhaseEnded:
		head += string(d.Phase)
	}
	return head + "   " + seconds(math.Max(0, v.now.Sub(d.StartedAt).Seconds()))
}

// traffic shows the shares that are set and those that are observed.
func (v view) traffic() string {
	text := "traffic    set " + shares(v.release.TrafficNow)
	if a := aliasOf(v.status, v.release.Alias); a != nil && len(a.Observed) > 0 {
		text += "   observed " + shares(a.Observed)
	}
	return text
}

const meterWidth = 10

// meter shows the canary's requests against those that the present step is expected to need.
func (v view) meter() string {
	e := v.release.Evidence
	needed := e.NeededRequests
	if !(needed > 0 && needed < 1e9) {
		return fmt.Sprintf("evidence   %s of the canary   e-value %s", counted(e.CanaryRequests, "request"), eValue(e.EValue))
	}
	full := min(int(meterWidth*float64(e.CanaryRequests)/needed), meterWidth)
	bar := strings.Repeat("▮", full) + strings.Repeat("▯", meterWidth-full)
	eta := ""
	if missing := needed - float64(e.CanaryRequests); missing > 0 && v.pace > 0 {
		eta = fmt.Sprintf(" (about %s)", seconds(missing/v.pace))
	}
	return fmt.Sprintf("evidence   %s %s of about %s requests%s   e-value %s of %s",
		bar, count(e.CanaryRequests), count(int(math.Ceil(needed))), eta, eValue(e.EValue), eValue(1/e.Alpha))
}

// signalsText shows what each signal says that has anything against the canary or is not errors, "" if there is none:
// its e-value, and what the canary had against the baseline.
func signalsText(d *api.ReleaseDocument) string {
	var texts []string
	for _, s := range d.Evidence.Signals {
		n := s.Counts
		if !s.Live || !s.Signal.Measured() && n.CanaryErrors+n.BaselineErrors == 0 {
			continue
		}
		what := ""
		if s.Signal.Measured() {
			what = fmt.Sprintf(" above p%.0f", 100*s.Quantile)
		}
		texts = append(texts, fmt.Sprintf("%s%s %s of %s against %s of %s, e-value %s", s.Signal, what,
			count(n.CanaryErrors), count(n.CanaryRequests), count(n.BaselineErrors), count(n.BaselineRequests), eValue(s.EValue)))
	}
	if len(texts) == 0 {
		return ""
	}
	return "signals    " + strings.Join(texts, "; ")
}

// versions is the table of the two versions since the release began.
func (v view) versions() []string {
	d := v.release
	baseline, canary := totals(d)
	row := func(n serin.VersionNumber, role string, c serin.Counts, seen api.Observed) []string {
		errors, fives, p95 := "", "", ""
		if c.Requests > 0 {
			errors = rate(c.Rate())
		}
		if seen.Requests > 0 {
			fives = rate(float64(seen.ByKind[serin.OutcomeServerError.String()]) / float64(seen.Requests))
		}
		if seen.Duration.Count > 0 {
			p95 = milliseconds(seen.Duration.P95)
		}
		return []string{versionText(n), role, count(c.Requests), errors, fives, p95}
	}
	return table([]string{"", "", ">requests", ">errors", ">5xx", ">p95"}, [][]string{
		row(d.From.Version, "baseline", baseline, d.Signals.Baseline),
		row(d.To.Version, "canary", canary, d.Signals.Canary),
	})
}

// newErrors names what only the canary has shown.
func newErrors(d *api.ReleaseDocument) []string {
	var lines []string
	for i, f := range d.Signals.New {
		if i == maxNewErrors {
			lines = append(lines, fmt.Sprintf("  and %s more", counted(len(d.Signals.New)-i, "kind")))
			break
		}
		lines = append(lines, fmt.Sprintf("  new in %s: %s, %s×", versionText(d.To.Version), clean(f.Text), count(f.Canary)))
	}
	return lines
}

// maxNewErrors is how many kinds of errors people are shown.
const maxNewErrors = 3

// blindSignals says which signals could not have shown a difference, "" if all could.
func blindSignals(d *api.ReleaseDocument) string {
	var blind []string
	for _, s := range d.Signals.States {
		if !s.Live {
			blind = append(blind, fmt.Sprintf("%s (%s)", s.Signal, s.Why))
		}
	}
	if len(blind) == 0 {
		return ""
	}
	return "  blind: " + clean(strings.Join(blind, ", "))
}

// verdict says what the evidence says, in words.
func (v view) verdict() line {
	d := v.release
	difference := ""
	if e := d.Evidence; e.Low != nil && e.High != nil {
		difference = fmt.Sprintf("   difference %s to %s points (95 %%)", signed(*e.Low), signed(*e.High))
	}
	switch d.Verdict {
	case serin.VerdictWorse:
		return line{"WORSE than " + versionText(d.From.Version) + difference, bad}
	case serin.VerdictNoWorse:
		return line{"no worse so far" + difference, good}
	case serin.VerdictNotEnough:
		return line{"not enough evidence yet" + difference, plain}
	default:
		return line{"nothing to compare with", plain}
	}
}

func signed(fraction float64) string {
	text := significant(100 * fraction)
	if fraction >= 0 {
		return "+" + text
	}
	return text
}

func aliasOf(status *api.StatusDocument, name string) *api.AliasStatus {
	if status == nil {
		return nil
	}
	for i := range status.Aliases {
		if status.Aliases[i].Name == name {
			return &status.Aliases[i]
		}
	}
	return nil
}

// metricsOf returns what a version did for the callers of an alias.
func metricsOf(status *api.StatusDocument, n serin.VersionNumber, alias string) *api.VersionMetrics {
	if status == nil {
		return nil
	}
	for i := range status.Versions {
		if status.Versions[i].Version != n {
			continue
		}
		for j := range status.Versions[i].Metrics {
			if status.Versions[i].Metrics[j].Alias == alias {
				return &status.Versions[i].Metrics[j]
			}
		}
	}
	return nil
}

// byShare returns the versions of a routing, those with most traffic first.
func byShare(traffic map[serin.VersionNumber]float64) []serin.VersionNumber {
	return slices.SortedFunc(maps.Keys(traffic), func(a, b serin.VersionNumber) int {
		return cmp.Or(cmp.Compare(traffic[b], traffic[a]), cmp.Compare(b, a))
	})
}
