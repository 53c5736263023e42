package release

import (
	"context"

	"serin"
)

// Rollback says what a rollback does, or has done.
type Rollback struct {
	From    serin.Routing       `json:"from"`
	To      serin.VersionNumber `json:"to"`
	Release string              `json:"releaseId,omitempty"` // the active release that it aborts
}

// PlanRollback says what rolling an alias back would do. An active release goes back to its baseline;
// otherwise the alias goes to the version asked for or, if to is [serin.Latest], to the last good one.
//
// Errors: KindNotFound for a missing alias, or if there is nothing to roll back to.
func (c *Controller) PlanRollback(ctx context.Context, function, alias string, to serin.VersionNumber) (Rollback, error) {
	f, a, err := c.Aliases.Alias(function, alias)
	if err != nil {
		return Rollback{}, err
	}
	plan := Rollback{From: a.Routing, To: to}
	if active := c.active(function, alias); active != nil {
		plan.Release = active.ID
		if to == serin.Latest {
			plan.To = active.Baseline
		}
	}
	if plan.To == serin.Latest {
		plan.To, err = c.Aliases.LastGood(ctx, function, alias)
		return plan, err
	}
	if _, ok := f.Version(plan.To); !ok {
		return plan, serin.Errorf(serin.KindNotFound, "Function not found: %s", f.QualifiedARN(plan.To.String()))
	}
	return plan, nil
}

// Rollback puts an older version back, at once and without a canary. An active release is aborted first. See
// [Controller.PlanRollback] for where it goes.
func (c *Controller) Rollback(ctx context.Context, function, alias string, to serin.VersionNumber, reason string) (Rollback, error) {
	plan, err := c.PlanRollback(ctx, function, alias, to)
	if err != nil {
		return plan, err
	}
	if plan.Release != "" {
		if _, err := c.Command(ctx, plan.Release, serin.Instruction{Command: serin.CommandAbort, Reason: reason}); err != nil {
			return plan, err
		}
		if err := c.ended(ctx, plan.Release); err != nil {
			return plan, err
		}
	}
	_, a, err := c.Aliases.Alias(function, alias)
	if err != nil {
		return plan, err
	}
	if a.Routing == (serin.Routing{Version: plan.To}) {
		return plan, nil
	}
	return plan, c.Aliases.MoveAlias(ctx, serin.AliasMove{
		Function: function, Alias: alias, To: serin.Routing{Version: plan.To}, RevisionID: a.RevisionID,
		Actor: serin.ActorFrom(ctx), Cause: serin.CauseRollback, Reason: reason,
	})
}

// ended waits until a release has ended.
func (c *Controller) ended(ctx context.Context, id string) error {
	for {
		r, err := c.Get(ctx, id)
		if err != nil || !r.Active() {
			return err
		}
		if _, err := c.Wait(ctx, id, r.Version); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
