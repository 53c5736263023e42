// Package overview describes functions, their releases and their history in documents, which the API gives to programs and
// the console to people. It decides nothing: what a document says comes from the routing table, the
// recorder, the active releases and the store, and is put together here so that it is the same wherever it is read.
//
// What the store is asked for again and again, because pages stay open, is kept for as long as the function has not
// changed; see [Reader.past].
package overview

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"serin"
	"serin/internal/control"
	"serin/internal/metrics"
	"serin/internal/release"
)

// Reader puts documents together. It is safe for concurrent use.
type Reader struct {
	Control  *control.Control
	Releases *release.Controller
	Recorder *metrics.Recorder
	Now      func() time.Time
	Log      *slog.Logger

	mu    sync.Mutex
	pasts map[pastKey]past
}

type pastKey struct{ function, alias string }

// past is what the history of an alias says about the present.
type past struct {
	of             *serin.Function // as it was when the history was read
	lastMove       *serin.Move
	rollbackTarget *serin.VersionNumber
}

// maxPasts bounds what is kept. It is forgotten all at once, which costs a query for each alias that is looked at.
const maxPasts = 4096

// past reads what the history says about an alias. A move is written together with the function that it changes, so that
// what was read stays true for as long as the routing table shows the same function.
func (o *Reader) past(ctx context.Context, f *serin.Function, alias string) past {
	key := pastKey{f.Name, alias}
	o.mu.Lock()
	known, ok := o.pasts[key]
	o.mu.Unlock()
	if ok && known.of == f {
		return known
	}
	known = past{of: f, rollbackTarget: o.lastGood(ctx, f.Name, alias)}
	moves, err := o.Control.History(ctx, f.Name, alias, 1)
	if err == nil && len(moves) > 0 {
		known.lastMove = &moves[0]
	}
	if err != nil || ctx.Err() != nil {
		return known
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pasts == nil || len(o.pasts) >= maxPasts {
		o.pasts = map[pastKey]past{}
	}
	o.pasts[key] = known
	return known
}

// rollbackTarget is where a rollback of the alias would go, nil for nowhere.
func (o *Reader) rollbackTarget(ctx context.Context, function, alias string) *serin.VersionNumber {
	f, _, err := o.Control.Alias(function, alias)
	if err != nil {
		return nil
	}
	return o.past(ctx, f, alias).rollbackTarget
}

func (o *Reader) lastGood(ctx context.Context, function, alias string) *serin.VersionNumber {
	n, err := o.Control.LastGood(ctx, function, alias)
	if err != nil {
		if serin.KindOf(err) != serin.KindNotFound && ctx.Err() == nil {
			o.Log.ErrorContext(ctx, "no rollback target", "function", function, "alias", alias, "error", err)
		}
		return nil
	}
	return &n
}

// Functions returns a line for every function, in the order of their names.
func (o *Reader) Functions() []FunctionSummary {
	all := []FunctionSummary{}
	for f := range o.Control.Table.Functions() {
		all = append(all, summaryOf(f))
	}
	return all
}

func summaryOf(f *serin.Function) FunctionSummary {
	s := FunctionSummary{
		Function: f.Name, Runtime: f.Latest.Config.Runtime, Versions: len(f.Versions),
		Aliases: map[string]map[serin.VersionNumber]float64{},
	}
	for name, a := range f.Aliases {
		s.Aliases[name] = Percentages(a.Routing)
	}
	return s
}

// Bounds of a history document.
const (
	MaxMoves    = 1000
	maxReleases = 100
)

// History returns the newest moves and releases of an alias, or of all aliases if alias is "": at most newest of each.
//
// Errors: KindNotFound for a function that there has never been.
func (o *Reader) History(ctx context.Context, function, alias string, newest int) (*HistoryDocument, error) {
	newest = min(newest, MaxMoves)
	moves, err := o.Control.History(ctx, function, alias, newest)
	if err != nil {
		return nil, err
	}
	if _, ok := o.Control.Table.Function(function); !ok && len(moves) == 0 {
		return nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", o.Control.Place.FunctionARN(function, ""))
	}
	releases, err := o.Releases.List(ctx, function, alias, min(newest, maxReleases))
	if err != nil {
		return nil, err
	}
	doc := &HistoryDocument{Function: function, Alias: alias, Moves: []serin.Move{}, Releases: []ReleaseDocument{}}
	for i := range moves {
		doc.Moves = append(doc.Moves, moves[len(moves)-1-i])
	}
	for _, rel := range releases {
		d := o.Summary(rel)
		d.Untold = o.untold(ctx, rel.ID)
		doc.Releases = append(doc.Releases, d)
	}
	return doc, nil
}

// Release returns a release.
//
// Errors: KindNotFound.
func (o *Reader) Release(ctx context.Context, id string) (*ReleaseDocument, error) {
	r, err := o.Releases.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return new(o.Document(ctx, r)), nil
}

// RollBack says what a rollback does, or does it if it is not a dry run.
//
// Errors: those of [release.Controller.Rollback], KindInvalid for $LATEST.
func (o *Reader) RollBack(ctx context.Context, in RollbackRequest) (*RollbackDocument, error) {
	to := serin.Latest
	if in.Version != nil {
		if to = *in.Version; to == serin.Latest {
			return nil, serin.Errorf(serin.KindInvalid, "A rollback goes to a published version, not to $LATEST.")
		}
	}
	do := func() (release.Rollback, error) {
		return o.Releases.Rollback(ctx, in.Function, in.Alias, to, in.Reason)
	}
	if in.DryRun {
		do = func() (release.Rollback, error) { return o.Releases.PlanRollback(ctx, in.Function, in.Alias, to) }
	}
	plan, err := do()
	if err != nil {
		return nil, err
	}
	return &RollbackDocument{
		Function: in.Function, Alias: in.Alias, From: Percentages(plan.From),
		To: o.Version(in.Function, plan.To), ReleaseID: plan.Release, RolledBack: !in.DryRun,
	}, nil
}
