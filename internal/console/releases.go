package console

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"serin"
	"serin/internal/evidence"
	"serin/internal/overview"
)

// releaseView is a release as pages show it.
type releaseView struct {
	*overview.ReleaseDocument

	Word, Tone string
	Steps      []stepView
	Meter      meter
	Signals    []signalRow
	Active     bool
}

// stepView is a step of a release: taken, the present one, or to come.
type stepView struct {
	Weight float64
	State  string // done, now, next, failed
	Taken  *serin.Step
}

// meter says how much of the evidence that a step needs is there.
type meter struct {
	Seen, Needed int
	Percent      float64
	Text         string
	Rest         string // how long the rest takes at the present rate
}

// signalRow is what one signal says.
type signalRow struct {
	Name             string
	Live             bool
	Why              string
	Baseline, Canary string
	Delta            string
	EValue           float64
	Judged           bool
}

func newReleaseView(d *overview.ReleaseDocument, now time.Time) releaseView {
	v := releaseView{ReleaseDocument: d, Active: d.Phase != serin.PhaseEnded}
	v.Word, v.Tone = ended(d)
	for i, w := range d.Policy.Steps {
		s := stepView{Weight: w, State: "next"}
		if i < len(d.Steps) {
			s.Taken, s.State = &d.Steps[i], "done"
		}
		switch {
		case i == d.Step && v.Active:
			s.State = "now"
		case i == d.Step && v.Tone == "bad":
			s.State = "failed"
		}
		v.Steps = append(v.Steps, s)
	}
	v.Meter = meterOf(d, now)
	v.Signals = signalRows(d)
	return v
}

// meterOf compares what was seen with what the present step needs. What is needed is an expectation, so that it may be
// passed.
func meterOf(d *overview.ReleaseDocument, now time.Time) meter {
	m := meter{Seen: d.Evidence.CanaryRequests, Needed: int(math.Ceil(d.Evidence.NeededRequests))}
	switch {
	case d.Verdict == serin.VerdictWorse:
		m.Percent, m.Text = 100, "enough to say that it is worse"
	case d.Verdict == serin.VerdictNoWorse:
		m.Percent, m.Text = 100, "enough for this step"
	case m.Needed > 0:
		m.Percent = min(99, 100*float64(m.Seen)/float64(m.Needed))
		m.Text = "not enough evidence yet"
		if elapsed := now.Sub(d.StartedAt).Seconds(); m.Seen > 0 && m.Seen < m.Needed && elapsed > 5 && d.Phase == serin.PhaseRunning {
			m.Rest = seconds(float64(m.Needed-m.Seen) * elapsed / float64(m.Seen))
		}
	default:
		m.Text = "nothing to compare with"
	}
	return m
}

// signalRows pairs what each signal says with whether it could have said anything.
func signalRows(d *overview.ReleaseDocument) []signalRow {
	var rows []signalRow
	for _, s := range d.Evidence.Signals {
		c := s.Counts
		row := signalRow{
			Name: s.Signal.String(), Live: s.Live, Judged: true, EValue: s.EValue,
			Baseline: fraction(serin.Counts{Requests: c.BaselineRequests, Errors: c.BaselineErrors}.Rate()),
			Canary:   fraction(serin.Counts{Requests: c.CanaryRequests, Errors: c.CanaryErrors}.Rate()),
		}
		if s.Quantile > 0 {
			row.Name += " above p" + percent(100 * s.Quantile)[:2]
		}
		if s.Difference != nil {
			row.Delta = points(*s.Difference)
		}
		if !s.Live {
			row.Why = "too few requests of both versions"
		}
		rows = append(rows, row)
	}
	for _, s := range d.Signals.States {
		if !s.Live {
			rows = append(rows, signalRow{Name: s.Signal, Why: s.Why})
		}
	}
	return rows
}

// points prints a difference of rates with its limits, in percentage points.
func points(d evidence.Interval) string {
	pp := func(v float64) string {
		text := number(100 * v)
		if v > 0 {
			text = "+" + text
		}
		return text
	}
	return pp(d.Estimate) + " pp (95 %: " + pp(d.Low) + " … " + pp(d.High) + ")"
}

// releasePage is the page of one release.
type releasePage struct {
	Release releaseView
	Events  []serin.ReleaseEvent
}

func (c *Console) releasePage(ctx context.Context, id string) (*releasePage, error) {
	d, err := c.Overview.Release(ctx, id)
	if err != nil {
		return nil, err
	}
	return &releasePage{Release: newReleaseView(d, c.Now()), Events: d.Log}, nil
}

func (c *Console) showRelease(w http.ResponseWriter, v *visit) error {
	p, err := c.releasePage(v.Context(), v.PathValue("release"))
	if err != nil {
		return err
	}
	out := view{Title: "Release of " + p.Release.Function, Tab: "releases", Function: p.Release.Function, Scripts: []string{"charts.js"}, Data: p}
	if p.Release.Active {
		out.Live = "release?" + p.Release.ReleaseID
	}
	return c.show(w, v, "release", out)
}

// serveCertificate sends what the verdicts of a release rest on, for serin verify.
func (c *Console) serveCertificate(w http.ResponseWriter, v *visit) error {
	id := v.PathValue("release")
	cert, err := c.Overview.Releases.Certificate(v.Context(), id)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(cert, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="release-`+slug(id)+`.json"`)
	send(w, v.Request, http.StatusOK, "application/json", text)
	return nil
}

func (c *Console) releaseTopic(id string) render {
	return func(ctx context.Context) ([]fragment, error) {
		p, err := c.releasePage(ctx, id)
		if err != nil {
			return nil, err
		}
		html, err := c.views.fragment("release-body", p)
		return []fragment{{"release-body", html}}, err
	}
}
