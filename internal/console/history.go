package console

import (
	"context"
	"slices"
	"time"

	"serin"
	"serin/internal/overview"
)

// historyRow is a line of a function's history: a move of an alias, or something that was done in the console.
type historyRow struct {
	At      time.Time
	Actor   string
	Alias   string
	What    string // how it is called: the cause of a move, or the action
	Tone    string // good, bad, or "" for neither
	From    []share
	To      []share
	Reason  string
	Release string
	Outcome string // of the release that began here
	Seq     int64
}

// history returns what has happened to a function, the newest first.
func (c *Console) history(ctx context.Context, function string, newest int) ([]historyRow, error) {
	doc, err := c.Overview.History(ctx, function, "", newest)
	if err != nil {
		return nil, err
	}
	rows := make([]historyRow, 0, len(doc.Moves))
	told := map[string]bool{} // releases whose end has moved the alias
	for _, m := range doc.Moves {
		rows = append(rows, moveRow(m))
		if m.Cause != serin.CauseStep {
			told[m.Release] = true
		}
	}
	for i := range doc.Releases {
		if r := &doc.Releases[i]; r.Phase == serin.PhaseEnded && !told[r.ReleaseID] {
			row := historyRow{At: r.StartedAt.Add(time.Duration(r.DurationSeconds * float64(time.Second))), Alias: r.Alias, Reason: r.Reason.Text, Release: r.ReleaseID, Actor: r.Actor}
			row.What, row.Tone = ended(r)
			rows = append(rows, row)
		}
	}
	entries, err := c.audit(ctx, function, newest)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		rows = append(rows, historyRow{At: e.At, Actor: e.Actor, What: e.Action, Reason: e.Detail})
	}
	slices.SortStableFunc(rows, func(a, b historyRow) int { return b.At.Compare(a.At) })
	return rows[:min(len(rows), newest)], nil
}

func moveRow(m serin.Move) historyRow {
	row := historyRow{At: m.At, Actor: m.Actor, Alias: m.Alias, What: string(m.Cause), Reason: m.Reason, Release: m.Release, Seq: m.Seq}
	if m.From != nil {
		row.From = shares(*m.From)
	}
	if m.To != nil {
		row.To = shares(*m.To)
	}
	switch {
	case m.Cause == serin.CauseRollback || m.Cause == serin.CauseAbort:
		row.Tone = "bad"
	case m.Cause == serin.CausePromote:
		row.Tone = "good"
	case m.From == nil:
		row.What = "created"
	case m.To == nil:
		row.What = "deleted"
	}
	return row
}

// ended says how a release ended, in a word and a tone.
func ended(d *overview.ReleaseDocument) (word, tone string) {
	switch d.Outcome {
	case serin.EndingPromoted:
		return "promoted", "good"
	case serin.EndingRolledBack:
		return "rolled back", "bad"
	case serin.EndingAborted, serin.EndingConflict, serin.EndingRefused:
		return string(d.Outcome), "warn"
	case serin.EndingHeld:
		return "held", "warn"
	default:
		return string(d.Phase), "live"
	}
}
