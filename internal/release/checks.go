package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"serin"
)

// Checks run one after the other. A run is part of the release, saved before the check begins; a server that was killed
// meanwhile runs it again, until its time is over. Hooks are told an id by which they know it is the same run.

// checked is where the checks at one end of a release stand.
type checked int

const (
	checksPending checked = iota
	checksPassed
	checksFailed
)

// nextCheck returns the release with the check that is due as a run, and where the checks stand.
func nextCheck(r serin.Release, when serin.When, now time.Time) (serin.Release, checked) {
	runs := r.CheckRuns(when)
	switch {
	case slices.ContainsFunc(runs, serin.CheckRun.Failed):
		return r, checksFailed
	case len(runs) > 0 && runs[len(runs)-1].EndedAt.IsZero():
		return r, checksPending
	}
	next, due := r.NewCheckRun(when, now)
	if !due {
		return r, checksPassed
	}
	r.Checks = append(slices.Clip(r.Checks), next)
	return r, checksPending
}

// beforeTraffic decides about a release whose canary gets nothing yet.
func beforeTraffic(r serin.Release, now time.Time) serin.Release {
	r, state := nextCheck(r, serin.BeforeTraffic, now)
	switch state {
	case checksPassed:
		r.WaitingSince = now
		return begin(r, now)
	case checksFailed:
		r.Phase, r.Ending, r.EndedAt = serin.PhaseEnded, serin.EndingRefused, now
		r.Reason = failedCheck(r.CheckRuns(serin.BeforeTraffic)) + "; no traffic was moved"
		return r
	default:
		return r
	}
}

func failedCheck(runs []serin.CheckRun) string {
	i := slices.IndexFunc(runs, serin.CheckRun.Failed)
	return fmt.Sprintf("the check %q has not passed: %s", runs[i].Name, runs[i].Detail)
}

// running returns the run of a check that has not ended, and the check.
func running(r *serin.Release) (serin.CheckRun, serin.Check, bool) {
	if r.Phase != serin.PhaseChecking && r.Phase != serin.PhaseWatching {
		return serin.CheckRun{}, serin.Check{}, false
	}
	last := len(r.Checks) - 1
	if last < 0 || !r.Checks[last].EndedAt.IsZero() {
		return serin.CheckRun{}, serin.Check{}, false
	}
	run := r.Checks[last]
	n := len(r.CheckRuns(run.When)) - 1
	checks := r.Policy.Checks(run.When)
	return run, checks[min(n, len(checks)-1)], len(checks) > 0
}

// conclude returns the release with the end of a run.
func conclude(r serin.Release, run serin.CheckRun) serin.Release {
	if i := slices.IndexFunc(r.Checks, func(c serin.CheckRun) bool { return c.ID == run.ID }); i >= 0 {
		r.Checks = slices.Clone(r.Checks)
		r.Checks[i] = run
	}
	return r
}

// maxDetail bounds what is kept of why a check has not passed, in bytes.
const maxDetail = 500

// runCheck carries out a check and returns its run as it ended.
func (c *Controller) runCheck(ctx context.Context, r *serin.Release, run serin.CheckRun, check serin.Check) serin.CheckRun {
	deadline := run.StartedAt.Add(check.Limit())
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, fmt.Errorf("no answer within %s", check.Limit()))
	defer cancel()
	err := c.check(ctx, r, run, check, deadline)
	if ctx.Err() != nil { // what comes later does not count
		err = context.Cause(ctx)
	}
	run.EndedAt, run.Passed = c.Now().UTC(), err == nil
	if err != nil {
		run.Detail = strings.ToValidUTF8(err.Error(), "?")
		run.Detail = run.Detail[:min(len(run.Detail), maxDetail)]
		run.Detail = strings.ToValidUTF8(run.Detail, "")
	}
	return run
}

func (c *Controller) check(ctx context.Context, r *serin.Release, run serin.CheckRun, check serin.Check, deadline time.Time) error {
	if len(check.Event) > 0 {
		return c.checkEvent(ctx, r, check)
	}
	if check.Reports {
		if c.Await == nil {
			return errors.New("this server takes no reports")
		}
		return c.Await(ctx, r, run, check.Function)
	}
	version := r.Canary.String()
	event := serin.CheckEvent{
		CheckID: run.ID, ReleaseID: r.ID, When: run.When, Function: r.Function, Alias: r.Alias, Version: r.Canary,
		VersionARN: c.VersionARN(r.Function, version), Baseline: r.Baseline, Deadline: deadline,
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	if check.URL != "" {
		return c.post(ctx, check.URL, run.ID, payload)
	}
	name, qualifier := check.Function, ""
	if !strings.HasPrefix(name, "arn:") {
		name, qualifier, _ = strings.Cut(name, ":")
	}
	_, err = c.invoke(ctx, name, qualifier, payload)
	return err
}

// checkEvent sends an event to the version under test and looks at the answer.
func (c *Controller) checkEvent(ctx context.Context, r *serin.Release, check serin.Check) error {
	answer, err := c.invoke(ctx, r.Function, r.Canary.String(), check.Event)
	if err != nil {
		return err
	}
	var http struct{ StatusCode json.Number }
	_ = json.Unmarshal(answer, &http) // another answer has no status
	status, err := http.StatusCode.Int64()
	if err != nil {
		status = 200 // as HTTP front ends take it
	}
	switch {
	case check.Status != 0 && int(status) != check.Status:
		return fmt.Errorf("version %s answers with status %d, not %d", r.Canary, status, check.Status)
	case status >= 500:
		return fmt.Errorf("version %s answers with status %d", r.Canary, status)
	}
	return nil
}

func (c *Controller) invoke(ctx context.Context, function, qualifier string, payload []byte) ([]byte, error) {
	if c.Invoke == nil {
		return nil, errors.New("this server cannot invoke functions")
	}
	answer, functionError, err := c.Invoke(ctx, function, qualifier, payload)
	if err == nil && functionError != "" {
		err = fmt.Errorf("%s: %.300s", functionError, answer)
	}
	return answer, err
}

const (
	checkIDHeader = "Serin-Check-Id"
	maxAnswer     = 64 << 10 // bytes that are read of an answer that is not looked at
)

// post calls a hook. It goes where it was sent and nowhere else.
func (c *Controller) post(ctx context.Context, to, id string, payload []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "serin")
	req.Header.Set(checkIDHeader, id)
	client := &http.Client{
		Transport:     c.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		if full, ok := errors.AsType[*url.Error](err); ok {
			err = full.Err // without the URL, which is often a secret
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the hook answered %s", resp.Status)
	}
	return nil
}
