package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"serin/internal/api"
)

func (a *app) rollbackCommand() *cobra.Command {
	var p place
	var s subject
	var to string
	var reason string
	var yes, dryRun, asJSON bool
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Put an older version back, at once",
		Long: `Rollback sends all traffic of an alias to the version that last had all of it and was not rolled back, or
to --to, which names a version by its number, by a prefix of its commit, by the URL of the CI run that published it, by
its message, or by "last good". An active release is aborted. On a terminal it shows what it will do and asks.`,
		Example: "  serin rollback --function hello -m \"cart is broken\"\n  serin rollback --to 3fa2c1d",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.required(); err != nil {
				return err
			}
			if cmd.Flags().Changed("to") && to == "" {
				return usagef("to: name a version; without --to it is the last good one")
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			in := api.RollbackRequest{Function: s.function, Alias: s.alias, Reason: reason}
			if to != "" {
				status, err := conn.api.Status(cmd.Context(), s.function)
				if err != nil {
					return err
				}
				v, err := selector(to).find(status, s.alias)
				if err != nil {
					return err
				}
				in.Version = &v.Version
			}
			d, err := a.rollback(cmd.Context(), conn, in, dryRun, yes)
			if d != nil && asJSON {
				return joined(err, a.printDocument(d))
			}
			return err
		},
	}
	p.flags(cmd)
	s.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "`VERSION` to go back to: a number, a commit, a CI run, a message (default the last good one)")
	f.StringVarP(&reason, "message", "m", "", "why, for the history")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&asJSON, "json", false, "print what was done")
	return cmd
}

// rollback shows what it is going to do, asks if somebody is there, and does it.
func (a *app) rollback(ctx context.Context, conn *connection, in api.RollbackRequest, dryRun, yes bool) (*api.RollbackDocument, error) {
	in.DryRun = true
	plan, err := conn.api.Rollback(ctx, in)
	if err != nil {
		return nil, err
	}
	status, err := conn.api.Status(ctx, in.Function)
	if err != nil {
		return nil, err
	}
	for _, line := range rollbackLines(plan, status) {
		a.say("%s", line)
	}
	if dryRun {
		return plan, nil
	}
	if plan.From[plan.To.Version] == 100 && plan.ReleaseID == "" {
		a.say("✔ nothing to do")
		return plan, nil
	}
	if a.Terminal != nil && !yes {
		sure, err := a.confirm(ctx, "roll back?")
		if err != nil {
			return nil, err
		}
		if !sure {
			return nil, exitf(exitAborted, "nothing was changed")
		}
	}
	in.DryRun = false
	began := time.Now()
	// An interruption now would leave open whether the traffic moved.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackWithin)
	defer cancel()
	done, err := conn.api.Rollback(bounded, in)
	if err != nil {
		if exitCode(err) == exitInternal {
			return nil, exitf(exitRollbackFailed, "the rollback failed: %s; act now: serin status --function %s", explain(err), in.Function)
		}
		return nil, err
	}
	a.say("↩ %s %s → %s 100 %% in %s", done.Function, done.Alias, versionText(done.To.Version), seconds(time.Since(began).Seconds()))
	return done, nil
}

// rollbackLines says what a rollback changes and what it does not undo.
func rollbackLines(plan *api.RollbackDocument, status *api.StatusDocument) []string {
	target := versionText(plan.To.Version)
	lines := []string{fmt.Sprintf("%s %s: %s → %s 100 %%", plan.Function, plan.Alias, shares(plan.From), target)}
	for _, v := range status.Versions {
		if about := aboutVersion(v); v.Version == plan.To.Version && about != "" {
			lines = append(lines, "  "+target+": "+about)
		}
	}
	if plan.ReleaseID != "" {
		lines = append(lines, "  aborts release "+plan.ReleaseID)
	}
	return append(lines,
		"  does not undo: data that newer versions have written, events that they queued or that are retried,",
		"  configuration outside the versions of this function, and other functions")
}
