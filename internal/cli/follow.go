package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"serin"
	"serin/internal/api"
)

const (
	// patience is how long a server may not answer before a command gives up on it; the release goes on
	// there as soon as the server does.
	patience = 60 * time.Second
	// rollbackWithin is how long a rollback may take before a person is asked to act.
	rollbackWithin = 60 * time.Second

	// answerWithin is how long a call that waits at the server may take before the connection counts as dead.
	answerWithin = 45 * time.Second

	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
)

// released is a new document of a release, or why there will be none any more.
type released struct {
	document *api.ReleaseDocument
	err      error
}

// watchRelease sends each new document of a release until it has ended, tolerating a server that restarts.
// The channel is closed at the end or after an error.
func watchRelease(ctx context.Context, c *api.Client, d *api.ReleaseDocument) <-chan released {
	out := make(chan released)
	go func() {
		defer close(out)
		for d.Phase != serin.PhaseEnded {
			next, err := patiently(ctx, func() (*api.ReleaseDocument, error) {
				ctx, cancel := context.WithTimeout(ctx, answerWithin)
				defer cancel()
				return c.Wait(ctx, d.ReleaseID, d.Saved)
			})
			select {
			case out <- released{next, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			if next.Saved == d.Saved { // a server that starts answers at once until it drives the release again
				pause(ctx, retryFirst)
			}
			d = next
		}
	}()
	return out
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// patiently asks again for as long as the server may be restarting. An answer that will not change by asking
// again is final.
func patiently[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	since := time.Now()
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		d, err := ask()
		if err == nil || !passing(err) || ctx.Err() != nil || time.Since(since) > patience {
			return d, err
		}
		pause(ctx, wait)
	}
}

// passing reports whether an error may be gone in a moment: the server does not answer, or failed.
func passing(err error) bool {
	e, ok := errors.AsType[*serin.Error](err)
	return !ok || e.Kind == serin.KindInternal || e.Kind == serin.KindThrottled
}

// follower watches a release for a person or a program until it is decided.
type follower struct {
	*app
	conn *connection
	sink func(event)
	// screen is nil without a terminal, keys are nil unless a person may be asked; see follower.live.
	screen *screen
	quiet  bool          // ask nobody
	within time.Duration // how long a rollback may take
	keys   <-chan byte

	keyboard keyboard
	release  *api.ReleaseDocument
	status   *api.StatusDocument
	pace     pace
	late     <-chan time.Time // when the rollback has taken too long
}

// follow emits the events of a release and returns its last document and the exit code. An end of ctx aborts
// the release: its traffic goes back before follow returns.
func (f *follower) follow(ctx context.Context, first *api.ReleaseDocument) (*api.ReleaseDocument, int, error) {
	steady, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	f.see(first)
	documents := watchRelease(steady, f.conn.api, first)
	refresh, halt := f.live(steady)
	defer halt()
	interrupted := ctx.Done()
	for {
		if code, settled := settle(f.release); settled {
			return f.release, code, nil
		}
		select {
		case next, more := <-documents:
			if !more {
				return f.release, exitInternal, errors.New("the release ended without a last document")
			}
			if next.err != nil {
				code, err := f.lost(next.err)
				return f.release, code, err
			}
			f.see(next.document)
		case key := <-f.keys:
			if f.act(steady, f.keyboard.press(key, f.release)) {
				return f.release, exitDone, nil
			}
			f.repaint()
		case <-refresh:
			f.refreshed(steady)
		case <-interrupted:
			interrupted = nil
			if err := f.abort(steady); err != nil {
				return f.release, exitRollbackFailed, err
			}
		case <-f.late:
			return f.release, exitRollbackFailed, errSlowRollback(f.release)
		}
	}
}

// settle returns the exit code of a release that ship need not wait for any longer.
func settle(d *api.ReleaseDocument) (code int, settled bool) {
	switch {
	case d.Phase == serin.PhaseHeld:
		return exitNotEnough, !heldByPerson(d)
	case d.Phase == serin.PhaseWatching: // all that is left is time, unless something is still checked
		passed := 0
		for _, c := range d.Checks {
			if c.When == serin.AfterTraffic && c.Passed {
				passed++
			}
		}
		return exitDone, passed == len(d.Policy.After)
	case d.Phase != serin.PhaseEnded:
		return 0, false
	case d.Conflict:
		return exitConflict, true
	case d.Outcome == serin.EndingPromoted:
		return exitDone, true
	case d.Outcome == serin.EndingAborted, d.Outcome == serin.EndingLeft:
		return exitAborted, true
	case d.Outcome == serin.EndingRefused:
		return exitPreflight, true
	case d.Verdict == serin.VerdictWorse, failedCheck(d.Checks), vetoed(d.Alarms):
		return exitWorse, true
	default:
		return exitNotEnough, true
	}
}

// vetoed reports whether an alarm ended a release that was rolled back.
func vetoed(alarms []serin.AlarmState) bool {
	return slices.ContainsFunc(alarms, func(a serin.AlarmState) bool { return a.State == serin.AlarmOn })
}

// see takes in a document, unless the answer to a command was newer.
func (f *follower) see(d *api.ReleaseDocument) {
	if f.release != nil && d.Saved < f.release.Saved {
		return
	}
	at := now()
	for _, e := range eventsBetween(f.release, d, at) {
		f.sink(e)
	}
	f.release = d
	_, canary := totals(d)
	f.pace.count(canary.Requests, at)
	if d.Phase == serin.PhaseRollingBack && f.late == nil {
		f.late = time.After(f.within)
	}
	f.repaint()
}

// act carries out what a person typed. It reports whether the person leaves.
func (f *follower) act(ctx context.Context, a action) (leave bool) {
	if a == actDetach || a == noAction {
		return a == actDetach
	}
	d, err := f.conn.api.Command(ctx, f.release.ReleaseID, a.instruction(f.release))
	switch {
	case isKind(err, serin.KindConflict): // it is ending anyway
	case err != nil:
		f.note("cannot %s: %s", a.instruction(f.release).Command, explain(err))
	default:
		f.see(d)
	}
	return false
}

// abort sends the traffic back because the command was interrupted.
func (f *follower) abort(ctx context.Context) error {
	f.note("interrupted: rolling back to %s", versionText(f.release.From.Version))
	d, err := patiently(ctx, func() (*api.ReleaseDocument, error) {
		return f.conn.api.Command(ctx, f.release.ReleaseID, serin.Instruction{Command: serin.CommandAbort, Reason: "serin was interrupted"})
	})
	switch {
	case isKind(err, serin.KindConflict): // it is ending anyway
		return nil
	case err != nil:
		return fmt.Errorf("the release could not be aborted: %w; traffic may still be split: serin rollback --function %s --alias %s",
			err, f.release.Function, f.release.Alias)
	}
	f.see(d)
	return nil
}

// lost is the end of following a server that does not answer any more.
func (f *follower) lost(err error) (int, error) {
	if f.release.Phase == serin.PhaseRollingBack {
		return exitRollbackFailed, fmt.Errorf("no answer while rolling back: %w; see where the traffic is: serin status --function %s",
			err, f.release.Function)
	}
	if code := exitCode(err); code != exitInternal {
		return code, err
	}
	return exitInternal, fmt.Errorf("no answer for %s: %s; the release goes on when the server does: serin status --function %s --watch",
		patience, explain(err), f.release.Function)
}

func errSlowRollback(d *api.ReleaseDocument) error {
	return fmt.Errorf("%s %s is not back on %s after %s; act now: serin status --function %s, serin rollback --function %s --alias %s",
		d.Function, d.Alias, versionText(d.From.Version), rollbackWithin, d.Function, d.Function, d.Alias)
}

// note tells a person something that is no event.
func (f *follower) note(format string, args ...any) {
	if f.screen != nil {
		f.screen.print([]string{fmt.Sprintf(format, args...)})
		f.repaint()
		return
	}
	f.say(format, args...)
}

// refreshEvery is how often the live view asks for what is not in the release's document.
const refreshEvery = time.Second

// live prepares the terminal, if there is one. halt restores it.
func (f *follower) live(ctx context.Context) (refresh <-chan time.Time, halt func()) {
	if f.screen == nil {
		return nil, func() {}
	}
	ticker := time.NewTicker(refreshEvery)
	restore := func() {}
	if !f.quiet {
		if raw, err := f.Terminal.Raw(); err == nil {
			restore, f.keys = raw, readKeys(ctx, f.Stdin)
		}
	}
	f.refreshed(ctx)
	return ticker.C, func() {
		ticker.Stop()
		f.screen.paint(nil)
		restore()
	}
}

// refreshed asks for the status and repaints. Without an answer the view shows what it knows.
func (f *follower) refreshed(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, refreshEvery)
	defer cancel()
	if status, err := f.conn.api.Status(ctx, f.release.Function); err == nil {
		f.status = status
	}
	f.repaint()
}

func (f *follower) repaint() {
	if f.screen == nil || f.release.Phase == serin.PhaseEnded {
		return
	}
	v := view{release: f.release, status: f.status, pace: f.pace.perSecond, now: now()}
	if f.keys != nil {
		v.prompt = f.keyboard.prompt(f.release)
	}
	f.screen.paint(v.lines())
}

// pace is how fast requests come in, smoothed.
type pace struct {
	perSecond float64
	last      int
	at        time.Time
}

func (p *pace) count(requests int, at time.Time) {
	elapsed := at.Sub(p.at).Seconds()
	switch {
	case p.at.IsZero():
		p.last, p.at = requests, at
	case elapsed >= 0.5:
		observed := float64(requests-p.last) / elapsed
		if p.perSecond == 0 {
			p.perSecond = observed
		}
		p.perSecond += 0.3 * (observed - p.perSecond)
		p.last, p.at = requests, at
	}
}
