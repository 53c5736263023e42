package release

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"serin"
	"serin/internal/evidence"
)

// Counted is a label-blind slice that a release has taken in.
type Counted struct {
	At     int64   `json:"t"` // when it was taken in, in milliseconds since 1970
	Weight float64 `json:"w"` // the canary's share
	evidence.Block
	// Signals is what else was counted, as far as it is not 0: of a kind of failure how many the canary and the
	// baseline had, of a measurement how many were taken of each, and for each threshold how many of them exceeded it.
	// It is nil if only errors were counted, as before slices held anything else.
	Signals map[evidence.Signal][]int `json:"signals"`
}

// Page is what was counted between two saves of a release.
type Page struct {
	Saved  int64     `json:"saved"`  // the save that took the blocks in
	Blocks []Counted `json:"blocks"` // slices; the name is from when they held errors alone
}

// Certificate is a release and everything that its verdicts rest on. Whoever adds the blocks in their order gets the
// same numbers, to the last bit: see [Certificate.Verify].
type Certificate struct {
	Release serin.Release `json:"release"`
	Saved   int64         `json:"saved"`
	Pages   []Page        `json:"pages"`
}

// Certificate returns the certificate of a release as it is now.
//
// Errors: KindNotFound.
func (c *Controller) Certificate(ctx context.Context, id string) (*Certificate, error) {
	r, err := c.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	counts, err := c.Store.ReleaseCounts(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	cert := &Certificate{Release: *r, Saved: r.Version, Pages: []Page{}}
	for _, saved := range counts {
		if saved.Version > r.Version { // saved since
			break
		}
		page := Page{Saved: saved.Version}
		if err := json.Unmarshal([]byte(saved.Document), &page.Blocks); err != nil {
			return nil, fmt.Errorf("counts of release %s: %w", id, err)
		}
		cert.Pages = append(cert.Pages, page)
	}
	return cert, nil
}

// maxJudgements bounds what is kept of the verdicts of one release.
const maxJudgements = 500

// recordVerdict notes in a decision what it rests on, if it is another verdict than before or has moved the release.
// before is the release on which the decision was made.
func recordVerdict(before *serin.Release, next serin.Release, ev *evidence.Evidence, now time.Time) serin.Release {
	compared := before.Phase == serin.PhaseRunning || before.Phase == serin.PhaseHeld ||
		before.Phase == serin.PhaseWatching && (before.Policy.Holdback > 0 || next.Verdict == serin.VerdictWorse)
	judged := compared && before.Applied == before.Want
	if !judged || next.Ending == serin.EndingConflict || len(next.Judgements) >= maxJudgements {
		return next
	}
	if next.Verdict == before.Verdict && next.Step == before.Step && next.Phase == before.Phase {
		return next
	}
	j := judgement(before, ev, now)
	for _, signal := range before.SignalStates() {
		if !signal.Live {
			j.Blind = append(j.Blind, signal.Signal)
		}
	}
	j.Synthetic = before.Signals.Baseline.Synthetic + before.Signals.Canary.Synthetic
	next.Judgements = append(slices.Clip(next.Judgements), j)
	return next
}

// judgement is what the evidence says by the rules of the present step.
func judgement(r *serin.Release, ev *evidence.Evidence, now time.Time) serin.Judgement {
	total := ev.Total()
	return serin.Judgement{
		At: now, Saved: r.Version + 1, Step: r.Step, Verdict: verdict(r, ev), EValue: ev.EValue(),
		HarmExcluded: ev.HarmExcluded(evidence.DefaultPromoteAlpha), Tolerated: Tolerance(r),
		Baseline: serin.Counts{Requests: total.BaselineRequests, Errors: total.BaselineErrors},
		Canary:   serin.Counts{Requests: total.CanaryRequests, Errors: total.CanaryErrors},
	}
}

// Verification is what came out of computing a certificate again.
type Verification struct {
	ReleaseID string        `json:"releaseId"`
	Verdict   serin.Verdict `json:"verdict"` // that the release says
	Blocks    int           `json:"blocks"`
	Verdicts  int           `json:"verdicts"`  // that were computed again
	Synthetic int           `json:"synthetic"` // requests during the release that no user has made
	// Differences says what came out otherwise than it was recorded; empty if the certificate holds.
	Differences []string `json:"differences"`
}

// Verify computes every verdict of the certificate again from its blocks. It needs nothing but the certificate.
//
// Errors: blocks or a state that cannot be.
func (c *Certificate) Verify() (*Verification, error) {
	v := &Verification{ReleaseID: c.Release.ID, Verdict: c.Release.Verdict, Synthetic: c.Release.Signals.Baseline.Synthetic + c.Release.Signals.Canary.Synthetic, Differences: []string{}}
	ev, err := newEvidence(&c.Release)
	if err != nil {
		return nil, err
	}
	due := c.Release.Judgements
	check := func(before int64) {
		for ; len(due) > 0 && due[0].Saved < before; due = due[1:] {
			v.compare(&c.Release, due[0], ev)
		}
	}
	for i, page := range c.Pages {
		if i > 0 && page.Saved <= c.Pages[i-1].Saved {
			return nil, fmt.Errorf("the pages of the certificate are out of order at save %d", page.Saved)
		}
		check(page.Saved)
		for _, b := range page.Blocks {
			if err := b.addTo(ev); err != nil {
				return nil, fmt.Errorf("save %d: %w", page.Saved, err)
			}
			v.Blocks++
		}
	}
	check(math.MaxInt64)
	if len(c.Pages) == 0 && v.Verdicts == 0 { // from before there were certificates
		return v, nil
	}
	return v, v.compareState(&c.Release, ev)
}

// compare judges again what was judged then.
func (v *Verification) compare(r *serin.Release, recorded serin.Judgement, ev *evidence.Evidence) {
	v.Verdicts++
	then := *r
	then.Step, then.Version = recorded.Step, recorded.Saved-1
	if recorded.Step < 0 || recorded.Step >= len(r.Policy.Steps) {
		v.Differences = append(v.Differences, fmt.Sprintf("save %d is about step %d, which there is not", recorded.Saved, recorded.Step))
		return
	}
	again := judgement(&then, ev, recorded.At)
	again.Blind, again.Synthetic = recorded.Blind, recorded.Synthetic // no number follows from them
	if !reflect.DeepEqual(again, recorded) {
		v.Differences = append(v.Differences, fmt.Sprintf("save %d: recorded %s, computed %s", recorded.Saved, judgementText(recorded), judgementText(again)))
	}
}

func judgementText(j serin.Judgement) string {
	return fmt.Sprintf("%s (e-value %v, harm above %v excluded, tolerated %v, %d of %d against %d of %d)", j.Verdict, j.EValue,
		j.HarmExcluded, j.Tolerated, j.Canary.Errors, j.Canary.Requests, j.Baseline.Errors, j.Baseline.Requests)
}

// compareState compares the evidence with the one that was saved, bit by bit.
func (v *Verification) compareState(r *serin.Release, ev *evidence.Evidence) error {
	if len(r.Evidence) == 0 {
		return nil
	}
	again, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	var saved bytes.Buffer
	if err := json.Compact(&saved, r.Evidence); err != nil {
		return fmt.Errorf("evidence of release %s: %w", r.ID, err)
	}
	if !bytes.Equal(again, saved.Bytes()) {
		v.Differences = append(v.Differences, fmt.Sprintf("the saved evidence is %s, computed is %s", strings.TrimSpace(saved.String()), again))
	}
	return nil
}
