// Package release moves aliases from a baseline version to a canary version.
//
// Measuring, judging and moving are separate: a tap of the metrics package counts slices of requests, the
// evidence package turns them into a verdict, [decide] (pure) turns verdict, alias and time into the next
// state of the release, and the [Controller] saves that state before it carries it out. Releases are
// level-triggered: whenever the controller is killed, the release that was saved and the alias as it is now
// lead on (G8). A release ends without touching anything more if somebody else changes its alias.
package release

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"serin"
	"serin/internal/evidence"
	"serin/internal/metrics"
	"serin/internal/store"
)

// Aliases is where the aliases of releases live.
type Aliases interface {
	// Alias returns an alias and its function, or a KindNotFound error.
	Alias(function, alias string) (*serin.Function, *serin.Alias, error)
	// MoveAlias points an alias somewhere else, or creates it.
	MoveAlias(ctx context.Context, m serin.AliasMove) error
	// LastGood returns the version that a rollback goes to, or a KindNotFound error.
	LastGood(ctx context.Context, function, alias string) (serin.VersionNumber, error)
}

// Config is what a [Controller] works with.
type Config struct {
	Store    *store.Store
	Aliases  Aliases
	Recorder *metrics.Recorder
	Warmer   Warmer // nil lets canaries start cold
	Now      func() time.Time
	NewID    func() string
	Log      *slog.Logger
	// Invoke invokes a function for a check and returns its answer; functionError is "" unless the function failed.
	Invoke func(ctx context.Context, function, qualifier string, payload []byte) (answer []byte, functionError string, err error)
	// Await runs a check whose function reports how it went, until it has reported or the context ends.
	Await func(ctx context.Context, r *serin.Release, run serin.CheckRun, function string) error
	// VersionARN returns the ARN of a version of a function.
	VersionARN func(function, version string) string
	// Notify names whom to tell what happens to releases; Saved, if set, is called when there is something to tell.
	Notify []string
	Saved  func()
	// Moved, if set, is called after each save of a release that this server drives.
	Moved func(before, after *serin.Release)
	// Alarms returns what alarms say now, each under the name by which it was asked for; nil if there are none here.
	Alarms func(names []string) []serin.AlarmState
	// Transport carries requests to hooks; nil stands for the default one.
	Transport http.RoundTripper
}

// Controller drives all active releases of a server.
type Controller struct {
	Config

	mu   sync.Mutex
	ctx  context.Context // of Run; nil before
	wg   sync.WaitGroup
	runs map[string]*run
	ends map[endKey]Ends
}

// New returns a Controller. Releases move while [Controller.Run] runs.
func New(cfg Config) *Controller {
	return &Controller{Config: cfg, runs: map[string]*run{}, ends: map[endKey]Ends{}}
}

// Run drives the active releases in the store and those that are started later, until the context ends and
// all of them have been saved.
func (c *Controller) Run(ctx context.Context) error {
	// From here on releases drive themselves when they start. One that started before is in the store; one
	// that starts now may be in both, and is driven once.
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	active, err := c.Store.ActiveReleases(ctx)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("read active releases: %w", err)
	}
	for _, r := range active {
		c.Log.InfoContext(ctx, "resuming release", "release", r.ID, "function", r.Function, "alias", r.Alias)
		if _, err := c.drive(r); err != nil {
			c.Log.ErrorContext(ctx, "cannot resume release", "release", r.ID, "error", err)
		}
	}
	<-ctx.Done()
	c.wg.Wait()
	return nil
}

// Request asks for a release.
type Request struct {
	ID              string // "" for a new one; a release that has been started is not started again under its ID
	Function, Alias string
	Version         serin.VersionNumber
	// Baseline is the version that the alias must route everything to; [serin.Latest] for any, or no alias yet.
	Baseline serin.VersionNumber
	Policy   serin.Policy
	Message  string
}

// ReasonPreflight marks errors that were found before any traffic moved and that are about the versions or
// the alias, not about the request.
const ReasonPreflight = "preflight"

// Start begins a release and returns it. An alias that does not exist, and one that already routes
// everything to the version, get a release that has ended: there was nothing to compare with.
//
// Errors: KindInvalid for the request, KindConflict if the alias has an active release or weights of its
// own, KindNotFound, and any kind with [ReasonPreflight].
func (c *Controller) Start(ctx context.Context, req Request) (*serin.Release, error) {
	req.Policy = req.Policy.Complete()
	if err := req.Policy.Check(); err != nil {
		return nil, err
	}
	now := c.Now().UTC()
	r := &serin.Release{
		ID: cmp.Or(req.ID, c.NewID()), Function: req.Function, Alias: req.Alias, Canary: req.Version, Policy: req.Policy,
		Actor: serin.ActorFrom(ctx), Message: req.Message, StartedAt: now, WaitingSince: now,
		Phase: serin.PhaseRunning, Verdict: serin.VerdictNotEnough,
	}
	_, alias, err := c.Aliases.Alias(req.Function, req.Alias)
	if serin.KindOf(err) == serin.KindNotFound && req.Baseline == serin.Latest {
		return c.startWithout(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	if alias, err = c.letGo(ctx, alias, r); err != nil {
		return nil, err
	}
	if err := c.preflight(r, alias); err != nil {
		return nil, err
	}
	if err := c.checkAlarms(r); err != nil {
		return nil, err
	}
	if req.Baseline != serin.Latest && alias.Routing.Version != req.Baseline {
		return nil, &serin.Error{Kind: serin.KindConflict, Reason: ReasonPreflight, Message: fmt.Sprintf(
			"Alias %s routes to version %s, not to version %s.", r.Alias, alias.Routing.Version, req.Baseline)}
	}
	r.Baseline = alias.Routing.Version
	r.Applied = serin.Routing{Version: r.Baseline}
	if history := c.Recorder.Counts(r.Function, r.Baseline); history.Requests > 0 {
		r.BaselineRate = new(evidence.ErrorRate(history.Requests, history.Errors))
	}
	if r.Phase, r.Want = serin.PhaseChecking, r.Applied; len(r.Policy.Before) == 0 {
		*r = begin(*r, now)
	}
	if r.Baseline == r.Canary {
		r.Verdict, r.Phase, r.Ending, r.EndedAt = serin.VerdictNone, serin.PhaseEnded, serin.EndingPromoted, now
		r.Want, r.Reason = r.Applied, fmt.Sprintf("alias %s already routes everything to version %s", r.Alias, r.Canary)
		return r, nil
	}
	if err := c.create(ctx, r); err != nil {
		return nil, err
	}
	return c.drive(r)
}

// letGo ends the watch of an earlier release of the alias, which the new one takes the place of.
func (c *Controller) letGo(ctx context.Context, alias *serin.Alias, next *serin.Release) (*serin.Alias, error) {
	active := c.active(next.Function, next.Alias)
	if active == nil || active.Phase != serin.PhaseWatching {
		return alias, nil
	}
	in := serin.Instruction{Command: serin.CommandSkip, Reason: "release " + next.ID + " begins"}
	if _, err := c.Command(ctx, active.ID, in); err != nil {
		return nil, err
	}
	if err := c.ended(ctx, active.ID); err != nil {
		return nil, err
	}
	_, alias, err := c.Aliases.Alias(next.Function, next.Alias)
	return alias, err
}

// preflight refuses what could only fail later.
func (c *Controller) preflight(r *serin.Release, alias *serin.Alias) error {
	now := alias.Routing
	switch {
	case now.Weighted() && now.Weight > 0:
		if active := c.active(r.Function, r.Alias); active != nil {
			return errActive(active)
		}
		return serin.Errorf(serin.KindConflict, "Alias %s already splits its traffic (%s) and no release of Serin does it. Route it to one version first.", r.Alias, describe(now))
	case now.Version == serin.Latest:
		return &serin.Error{Kind: serin.KindInvalid, Reason: ReasonPreflight, Message: fmt.Sprintf(
			"Alias %s routes to $LATEST, and a weighted alias must route to published versions. Point it at a published version first.", r.Alias)}
	}
	f, _, err := c.Aliases.Alias(r.Function, r.Alias)
	if err != nil {
		return err
	}
	weights := map[serin.VersionNumber]float64{r.Canary: r.Policy.Weight(0)}
	if r.Canary == now.Version {
		return nil
	}
	dry := serin.Change{NewRevision: func() string { return "" }}
	if _, err := f.Clone().UpdateAlias(dry, r.Alias, serin.AliasUpdate{Weights: &weights}); err != nil {
		if e, ok := errors.AsType[*serin.Error](err); ok {
			return &serin.Error{Kind: e.Kind, Reason: ReasonPreflight, Message: e.Message}
		}
		return err
	}
	if v, ok := f.Version(r.Canary); ok && v.State != serin.StateActive {
		return &serin.Error{Kind: serin.KindConflict, Reason: ReasonPreflight, Message: fmt.Sprintf("Version %s is %s: %s", v.Number, v.State, v.StateReason)}
	}
	return nil
}

// startWithout makes the alias: there is no baseline and so nothing to compare with.
func (c *Controller) startWithout(ctx context.Context, r *serin.Release) (*serin.Release, error) {
	if err := c.checkAlarms(r); err != nil {
		return nil, err
	}
	r.Baseline, r.Verdict, r.Ending = serin.Latest, serin.VerdictNone, serin.EndingPromoted
	r.Want = serin.Routing{Version: r.Canary}
	r.Reason = "the alias is new, so there was nothing to compare with"
	for run, due := r.NewCheckRun(serin.BeforeTraffic, c.Now().UTC()); due; run, due = r.NewCheckRun(serin.BeforeTraffic, c.Now().UTC()) {
		run = c.runCheck(ctx, r, run, r.Policy.Before[len(r.Checks)])
		if r.Checks = append(r.Checks, run); run.Failed() {
			return nil, &serin.Error{Kind: serin.KindConflict, Reason: ReasonPreflight, Message: failedCheck(r.Checks)}
		}
	}
	if err := c.move(ctx, r, "", serin.CausePromote); err != nil {
		return nil, err
	}
	r.Applied, r.Phase, r.EndedAt = r.Want, serin.PhaseEnded, c.Now().UTC()
	return r, c.create(ctx, r)
}

func (c *Controller) create(ctx context.Context, r *serin.Release) error {
	r.Log = append(r.Log, logged(serin.Release{}, *r, r.StartedAt)...)
	err := c.Store.CreateRelease(ctx, r, c.notices(r, 0)...)
	if err == nil {
		c.saved()
		c.noteEnd(r)
	}
	if errors.Is(err, store.ErrExists) {
		if active := c.active(r.Function, r.Alias); active != nil {
			return errActive(active)
		}
		return serin.Errorf(serin.KindConflict, "Another release of alias %s is active.", r.Alias)
	}
	return err
}

func errActive(r *serin.Release) error {
	return serin.Errorf(serin.KindConflict, "Release %s of alias %s to version %s is %s, started by %s at %s. Wait for it, or end it: serin abort --function %s --alias %s",
		r.ID, r.Alias, r.Canary, r.Phase, cmp.Or(r.Actor, "somebody"), r.StartedAt.Format(time.RFC3339), r.Function, r.Alias)
}

func (c *Controller) active(function, alias string) *serin.Release {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, run := range c.runs {
		if s := run.snapshot(); s.Function == function && s.Alias == alias && s.Active() {
			return s
		}
	}
	return nil
}

// Active returns the active release of an alias, or nil.
func (c *Controller) Active(function, alias string) *serin.Release { return c.active(function, alias) }

// Get returns a release in its latest state.
//
// Errors: KindNotFound.
func (c *Controller) Get(ctx context.Context, id string) (*serin.Release, error) {
	if run := c.run(id); run != nil {
		return run.snapshot(), nil
	}
	r, err := c.Store.Release(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, serin.Errorf(serin.KindNotFound, "Release not found: %s", id)
	}
	return r, err
}

// List returns the newest releases of an alias, newest first.
func (c *Controller) List(ctx context.Context, function, alias string, newest int) ([]*serin.Release, error) {
	all, err := c.Store.Releases(ctx, function, alias, newest)
	slices.Reverse(all)
	return all, err
}

// Wait returns the release when it has been saved more often than after says, has ended, or the context
// has.
func (c *Controller) Wait(ctx context.Context, id string, after int64) (*serin.Release, error) {
	run := c.run(id)
	if run == nil {
		return c.Get(ctx, id)
	}
	return run.wait(ctx, after), nil
}

// Command carries out a person's command on an active release and returns the release as it is then.
//
// Errors: KindNotFound, KindConflict if the release has ended or is ending.
func (c *Controller) Command(ctx context.Context, id string, in serin.Instruction) (*serin.Release, error) {
	run := c.run(id)
	if run == nil {
		r, err := c.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		_, err = obey(*r, in, "", time.Time{})
		return nil, err
	}
	return run.command(ctx, in, cmp.Or(serin.ActorFrom(ctx), "somebody"))
}

func (c *Controller) run(id string) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[id]
}

// effect logs that a release is about to have an effect, and returns what logs that it has had it.
func (c *Controller) effect(r *serin.Release, what string) (done func()) {
	c.Log.Debug("effect begins", "what", what, "release", r.ID)
	return func() { c.Log.Debug("effect ends", "what", what, "release", r.ID) }
}

func (c *Controller) move(ctx context.Context, r *serin.Release, revision string, cause serin.Cause) error {
	defer c.effect(r, "move")()
	return c.Aliases.MoveAlias(ctx, serin.AliasMove{
		Function: r.Function, Alias: r.Alias, To: r.Want, RevisionID: revision,
		Actor: cmp.Or(r.EndedBy, r.Actor), Cause: cause, Reason: r.Reason, Release: r.ID,
	})
}

// drive starts a goroutine for the release, unless it has one.
func (c *Controller) drive(r *serin.Release) (*serin.Release, error) {
	ev, err := newEvidence(r)
	if err != nil {
		return nil, err
	}
	if len(r.Evidence) > 0 {
		if err := json.Unmarshal(r.Evidence, ev); err != nil {
			return nil, fmt.Errorf("evidence of release %s: %w", r.ID, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || c.ctx.Err() != nil {
		return r, nil // saved; the next Run drives it
	}
	if run, ok := c.runs[r.ID]; ok {
		return run.snapshot(), nil
	}
	run := newRun(c, *r, ev)
	c.runs[r.ID] = run
	ctx := c.ctx
	c.wg.Go(func() {
		run.drive(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.runs, r.ID)
	})
	return run.snapshot(), nil
}
