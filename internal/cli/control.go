package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"serin"
	"serin/internal/api"
)

func (a *app) promoteCommand() *cobra.Command {
	return a.controlCommand(serin.CommandPromote, "Give the new version of the active release all traffic now",
		"Promote ends the active release of an alias: its new version gets everything, with or without evidence.")
}

func (a *app) holdCommand() *cobra.Command {
	return a.controlCommand(serin.CommandHold, "Stop the active release from taking steps",
		"Hold keeps the active release of an alias at its step. A new version that turns out worse is still rolled back.")
}

func (a *app) resumeCommand() *cobra.Command {
	return a.controlCommand(serin.CommandResume, "Let a held release go on",
		"Resume lets a held release take steps again; its time to wait for evidence starts anew.")
}

func (a *app) abortCommand() *cobra.Command {
	return a.controlCommand(serin.CommandAbort, "End the active release and put the old version back",
		"Abort ends the active release of an alias and returns when the old version has all traffic again.")
}

func (a *app) approveCommand() *cobra.Command {
	return a.controlCommand(serin.CommandApprove, "Let a release that goes by hand leave its step",
		"Approve ends the step at which the active release of an alias waits for a person (--pace hand). A step is\n"+
			"approved once: if the release is at another step by then, approve fails with exit code 13.")
}

func (a *app) skipCommand() *cobra.Command {
	return a.controlCommand(serin.CommandSkip, "Leave the present step of the active release now",
		"Skip ends the present step of the active release of an alias, whatever it waits for, or the watch after a\n"+
			"promotion. A step is skipped once: if the release is at another step by then, skip fails with exit code 13.")
}

// controlCommand is a command to the active release of an alias.
func (a *app) controlCommand(c serin.Command, short, long string) *cobra.Command {
	var p place
	var s subject
	var asJSON bool
	var step int
	in := serin.Instruction{Command: c}
	cmd := &cobra.Command{
		Use: string(c), Short: short, Long: long, Args: arguments(0),
		Example: fmt.Sprintf("  serin %s --function hello --alias live", c),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.required(); err != nil {
				return err
			}
			if step > 0 {
				in.Step = new(step - 1)
			}
			conn, err := a.connect(p)
			if err != nil {
				return err
			}
			d, err := a.control(cmd.Context(), conn, s, in)
			if err != nil {
				return err
			}
			a.say("%s", controlLine(d))
			if asJSON {
				return a.printDocument(d)
			}
			return nil
		},
	}
	p.flags(cmd)
	s.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the release")
	cmd.Flags().StringVarP(&in.Reason, "message", "m", "", "why, for the history")
	if leavesStep(c) {
		cmd.Flags().IntVar(&step, "step", 0, "number of the step (default the one that it is at)")
	}
	return cmd
}

func leavesStep(c serin.Command) bool { return c == serin.CommandApprove || c == serin.CommandSkip }

// control gives an instruction to the active release and returns the release once that has had its effect.
func (a *app) control(ctx context.Context, conn *connection, s subject, in serin.Instruction) (*api.ReleaseDocument, error) {
	status, err := conn.api.Status(ctx, s.function)
	if err != nil {
		return nil, err
	}
	alias := aliasOf(status, s.alias)
	if alias == nil {
		return nil, exitf(exitNotFound, "function %s has no alias %s", s.function, s.alias)
	}
	if alias.Release == nil {
		return nil, exitf(exitNotFound, "no release of %s is active", s.String())
	}
	if leavesStep(in.Command) && in.Step == nil {
		in.Step = &alias.Release.Step
	}
	d, err := conn.api.Command(ctx, alias.Release.ReleaseID, in)
	if err != nil || in.Command != serin.CommandPromote && in.Command != serin.CommandAbort {
		return d, err
	}
	if d, err = untilEnded(ctx, conn, d); err != nil {
		return nil, err
	}
	want := serin.EndingPromoted
	if in.Command == serin.CommandAbort {
		want = serin.EndingAborted
	}
	if d.Outcome != want || d.Conflict {
		return nil, exitf(exitConflict, "release %s ended another way: %s; traffic now: %s", d.ReleaseID, clean(d.Reason.Text), shares(d.TrafficNow))
	}
	return d, nil
}

// untilEnded waits for the traffic to be where an ending release sends it.
func untilEnded(ctx context.Context, conn *connection, d *api.ReleaseDocument) (*api.ReleaseDocument, error) {
	bounded, cancel := context.WithTimeout(ctx, rollbackWithin)
	defer cancel()
	for next := range watchRelease(bounded, conn.api, d) {
		if next.err != nil {
			if bounded.Err() == nil {
				return nil, next.err
			}
			break
		}
		if d = next.document; d.Phase == serin.PhaseWatching { // the promotion is in force
			return d, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, exitf(exitAborted, "interrupted; release %s is %s", d.ReleaseID, d.Phase)
	case d.Phase != serin.PhaseEnded && d.Phase == serin.PhaseRollingBack:
		return nil, &exitError{code: exitRollbackFailed, err: errSlowRollback(d)}
	case d.Phase != serin.PhaseEnded:
		return nil, fmt.Errorf("release %s is still %s after %s", d.ReleaseID, d.Phase, rollbackWithin)
	}
	return d, nil
}

func controlLine(d *api.ReleaseDocument) string {
	name := d.Function + " " + d.Alias
	switch {
	case d.Phase == serin.PhaseHeld:
		return fmt.Sprintf("● %s: %s is held at %s; go on with serin resume, promote or abort", name, versionText(d.To.Version), shares(d.TrafficNow))
	case d.Phase == serin.PhaseRunning:
		return fmt.Sprintf("● %s: the release of %s goes on at %s", name, versionText(d.To.Version), shares(d.TrafficNow))
	case d.Outcome == serin.EndingPromoted:
		return fmt.Sprintf("✔ %s → %s %s %%", name, versionText(d.To.Version), number(d.TrafficNow[d.To.Version]))
	default:
		return fmt.Sprintf("↩ %s → %s 100 %%", name, versionText(d.From.Version))
	}
}
