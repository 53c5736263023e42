// Package notify tells others what happens to releases: webhooks as CloudEvents, and Slack.
//
// What is to be told is written by the save of the release that it tells of, so nothing that happened goes untold
// because a server was killed; it may be told twice, under the same id. Notices of one release reach a target in their
// order, one at a time, and are tried again until the target takes them, for about three days. What a target does not
// take is visible with its release meanwhile.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"serin/internal/release"
	"serin/internal/store"
)

const (
	lookEvery   = time.Minute // for what another server, or this one before it was started, has left
	together    = 32          // notices that are told at a time
	within      = 15 * time.Second
	retryFirst  = time.Second
	retryMost   = time.Hour
	maxFailures = 84 // three days
	maxAnswer   = 64 << 10
)

// Config is what a [Notifier] works with.
type Config struct {
	Store     *store.Store
	Targets   []Target
	Now       func() time.Time
	Transport http.RoundTripper // nil stands for the default one
	Log       *slog.Logger
}

// Notifier tells targets what the store says they are to be told.
type Notifier struct {
	Config
	targets map[string]Target
	client  *http.Client
	wake    chan struct{}
	again   time.Time // when something is to be tried again, if that is known
}

// New returns a Notifier. It tells while [Notifier.Run] runs.
func New(cfg Config) *Notifier {
	n := &Notifier{
		Config: cfg, targets: map[string]Target{}, wake: make(chan struct{}, 1),
		client: newClient(cfg.Transport),
	}
	for _, t := range cfg.Targets {
		n.targets[t.Name] = t
	}
	return n
}

// Wake says that there is something to tell.
func (n *Notifier) Wake() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run tells until the context ends.
func (n *Notifier) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		timer := time.NewTimer(n.round(ctx))
		select {
		case <-n.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// round tells what is due and returns when to look again.
func (n *Notifier) round(ctx context.Context) time.Duration {
	due, err := n.Store.DueNotices(ctx, n.Now(), together)
	if err != nil {
		if ctx.Err() == nil {
			n.Log.ErrorContext(ctx, "cannot look for notices", "error", err)
		}
		return lookEvery
	}
	pauses := make([]time.Duration, len(due))
	var all sync.WaitGroup
	for i, notice := range due {
		all.Go(func() { pauses[i] = n.tell(ctx, notice) })
	}
	all.Wait()
	for _, pause := range pauses {
		n.next(pause)
	}
	if len(due) > 0 && slices.Min(pauses) == 0 { // behind it may be another one
		return 0
	}
	return n.wait()
}

// next notes that something is to be tried again.
func (n *Notifier) next(pause time.Duration) {
	if at := n.Now().Add(pause); pause > 0 && (n.again.IsZero() || at.Before(n.again)) {
		n.again = at
	}
}

// wait returns how long there is nothing to do unless somebody wakes the notifier.
func (n *Notifier) wait() time.Duration {
	left := n.again.Sub(n.Now())
	if n.again.IsZero() || left > lookEvery {
		return lookEvery
	}
	n.again = time.Time{}
	return max(left, time.Millisecond)
}

// tell tells a notice and returns when to try again, 0 for never.
func (n *Notifier) tell(ctx context.Context, notice store.Notice) (again time.Duration) {
	message, err := n.attempt(ctx, notice)
	if ctx.Err() != nil {
		return 0 // the next server tells it
	}
	log := n.Log.With("release", notice.Release, "target", notice.Target)
	switch {
	case err == nil:
		err = n.Store.FinishNotice(ctx, notice, message)
	case notice.Failures+1 >= maxFailures:
		log.ErrorContext(ctx, "a notice was given up", "attempts", notice.Failures+1, "error", err)
		err = n.Store.FinishNotice(ctx, notice, "")
	default:
		again = retryMost
		if notice.Failures < 12 {
			again = min(retryFirst<<notice.Failures, retryMost)
		}
		log.WarnContext(ctx, "a notice was not taken", "attempts", notice.Failures+1, "error", err, "retry_in", again)
		err = n.Store.PostponeNotice(ctx, notice, n.Now().Add(again), text(err.Error()))
	}
	if err != nil && ctx.Err() == nil {
		log.ErrorContext(ctx, "cannot save what became of a notice", "error", err)
		again = retryFirst
	}
	return again
}

// attempt tells once. message is what the target calls its message.
func (n *Notifier) attempt(ctx context.Context, notice store.Notice) (message string, err error) {
	target, ok := n.targets[notice.Target]
	if !ok {
		return "", errors.New("this server has no such target any more")
	}
	var doc release.Notice
	if err := json.Unmarshal([]byte(notice.Document), &doc); err != nil {
		return "", fmt.Errorf("notice %d: %w", notice.ID, err)
	}
	req, err := target.request(ctx, &doc, notice.Message, n.Now())
	if err != nil || req == nil {
		return "", err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		if full, ok := errors.AsType[*url.Error](err); ok {
			err = full.Err // without the URL, which is often a secret
		}
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", fmt.Errorf("the target answered %s", resp.Status)
	}
	if err != nil {
		return "", err
	}
	return target.message(answer)
}

// text makes an error one that the store and a terminal can hold.
func text(s string) string {
	const most = 300
	out := []rune{}
	for _, r := range s {
		if len(out) == most {
			break
		}
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
