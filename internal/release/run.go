package release

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"sync"
	"time"

	"serin"
	"serin/internal/evidence"
	"serin/internal/metrics"
)

const (
	saveEvery  = 500 * time.Millisecond // how much evidence a crash may lose
	lookEvery  = time.Second            // how long a foreign change of the alias may stay unseen without traffic
	retryFirst = 100 * time.Millisecond
	retryMost  = 10 * time.Second
)

// run drives one release. Its goroutine is the only writer of the release.
type run struct {
	c        *Controller
	evidence *evidence.Evidence
	tap      *metrics.Tap
	commands chan request
	done     chan struct{}

	release serin.Release // owned by the goroutine
	counted []Counted     // since the last save
	savedAt time.Time
	retry   time.Duration
	warming warming
	check   *checking // nil while none runs
	checked bool      // a check has ended since the last save

	mu    sync.Mutex
	shown *serin.Release // the last saved state, for readers
	saved chan struct{}  // closed and replaced at each save
}

// checking is a check that runs.
type checking struct {
	id   string
	end  chan serin.CheckRun
	stop context.CancelFunc
}

type request struct {
	instruction serin.Instruction
	actor       string
	reply       chan<- result
}

type result struct {
	release *serin.Release
	err     error
}

func newRun(c *Controller, r serin.Release, ev *evidence.Evidence) *run {
	shown := r
	run := &run{
		c: c, evidence: ev, release: r, shown: &shown,
		tap: c.Recorder.Watch(r.Function, r.Alias), commands: make(chan request),
		done: make(chan struct{}), saved: make(chan struct{}), savedAt: c.Now(),
	}
	run.measure()
	return run
}

// measure makes the tap compare durations with what they were before the release, if the policy judges them. A release
// that goes on keeps the thresholds that it had.
func (r *run) measure() {
	p, saved := &r.release.Policy, r.release.Thresholds
	if !p.Judges(serin.JudgeLatency) && !p.Judges(serin.JudgeColdStarts) {
		return
	}
	warm, cold := r.c.Recorder.Thresholds(r.release.Function, r.release.Alias, r.release.Baseline)
	if len(saved.Latency) == evidence.Levels {
		warm = (*evidence.Thresholds)(saved.Latency)
	}
	if len(saved.ColdStart) == evidence.Levels {
		cold = (*evidence.Thresholds)(saved.ColdStart)
	}
	r.tap.Measure(metrics.Measures{Warm: warm, Cold: cold, Slowdown: p.MaxSlowdown})
	r.noteThresholds()
	if cold != nil {
		r.release.Thresholds.ColdStart = slices.Clone(cold[:])
	}
}

// noteThresholds takes over what the tap has learned.
func (r *run) noteThresholds() {
	if len(r.release.Thresholds.Latency) > 0 {
		return
	}
	if warm := r.tap.Warm(); warm != nil {
		r.release.Thresholds.Latency = warm[:]
	}
}

func (r *run) snapshot() *serin.Release {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown
}

func (r *run) wait(ctx context.Context, after int64) *serin.Release {
	for {
		r.mu.Lock()
		shown, saved := r.shown, r.saved
		r.mu.Unlock()
		if shown.Version > after || !shown.Active() {
			return shown
		}
		select {
		case <-saved:
		case <-r.done:
			return r.snapshot()
		case <-ctx.Done():
			return shown
		}
	}
}

func (r *run) command(ctx context.Context, in serin.Instruction, actor string) (*serin.Release, error) {
	reply := make(chan result, 1)
	select {
	case r.commands <- request{in, actor, reply}:
	case <-r.done:
		return nil, serin.Errorf(serin.KindConflict, "Release %s has ended.", r.snapshot().ID)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case res := <-reply:
		return res.release, res.err
	case <-r.done:
	}
	select {
	case res := <-reply: // it was the last that the release took
		return res.release, res.err
	default:
		return nil, serin.Errorf(serin.KindConflict, "Release %s has ended.", r.snapshot().ID)
	}
}

// drive runs until the release has ended or the context has.
func (r *run) drive(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer close(r.done)
	defer r.c.Recorder.Unwatch(r.release.Function, r.release.Alias, r.tap)
	r.expect()
	defer r.stopCheck()
	for r.release.Active() {
		pause := r.step(ctx)
		if pause == 0 {
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.ready():
		case <-r.warming.busy:
			r.warming.busy = nil
		case q := <-r.commands:
			q.reply <- r.obey(ctx, q)
		case end := <-r.checkEnds():
			r.release, r.check, r.checked = conclude(r.release, end), nil, true
		case <-ctx.Done():
			timer.Stop()
			r.flush()
			return
		}
		timer.Stop()
	}
}

// keepChecking runs the check that the release says runs, and no other. A check that is cut off by the end of the server
// has not ended: the next server runs it again.
func (r *run) keepChecking(ctx context.Context) {
	run, check, due := running(&r.release)
	if r.check != nil && (!due || r.check.id != run.ID) {
		r.stopCheck()
	}
	if !due || r.check != nil {
		return
	}
	bounded, stop := context.WithCancel(ctx)
	r.check = &checking{id: run.ID, end: make(chan serin.CheckRun, 1), stop: stop}
	end, release := r.check.end, r.release
	r.c.wg.Go(func() {
		done := r.c.effect(&release, "check")
		ended := r.c.runCheck(bounded, &release, run, check)
		done()
		if bounded.Err() == nil {
			end <- ended
		}
	})
}

func (r *run) stopCheck() {
	if r.check != nil {
		r.check.stop()
		r.check = nil
	}
}

// checkEnds is where the check that runs will end, nil if none does.
func (r *run) checkEnds() <-chan serin.CheckRun {
	if r.check == nil {
		return nil
	}
	return r.check.end
}

// expect makes the tap count what the release has applied. A canary that has been promoted may have in flight whatever
// comes.
func (r *run) expect() {
	if r.release.Phase == serin.PhasePromoting || r.release.Phase == serin.PhaseWatching {
		r.tap.Open()
	}
	r.tap.Expect(r.release.Applied)
}

// ready is the tap's signal, unless a failed effect is waiting to be tried again.
func (r *run) ready() <-chan struct{} {
	if r.retry > 0 {
		return nil
	}
	return r.tap.Ready()
}

// step looks at the world once, and moves on by at most one effect. It returns how long nothing can happen
// unless something is signalled.
func (r *run) step(ctx context.Context) (pause time.Duration) {
	now := r.c.Now().UTC()
	wait := r.count(now)
	alias := r.alias()
	next := recordVerdict(&r.release, decide(r.c.seen(r.release), alias, r.evidence, now), r.evidence, now)
	if changed := !reflect.DeepEqual(next, r.release); changed || r.checked || len(r.counted) > 0 && now.Sub(r.savedAt) >= saveEvery {
		if err := r.save(ctx, next, now); err != nil {
			return r.failed(ctx, "save release", err)
		}
		if changed {
			return 0
		}
	}
	if r.release.Active() && alias != nil && alias.Routing != r.release.Want && r.warmed(ctx) {
		if err := r.c.move(ctx, &r.release, alias.RevisionID, r.cause()); err != nil {
			return r.refused(ctx, err, now)
		}
		r.retry = 0
		return 0
	}
	r.retry = 0
	r.keepChecking(ctx)
	return r.pause(now, wait)
}

// pause returns the time until something can be due.
func (r *run) pause(now time.Time, slice time.Duration) time.Duration {
	pause := lookEvery
	for _, due := range []time.Duration{
		slice,
		r.release.WaitingSince.Add(time.Duration(r.release.Policy.MaxWait)).Sub(now),
		r.release.WatchUntil.Sub(now),
		saveDue(len(r.counted) > 0, r.savedAt.Add(saveEvery).Sub(now)),
	} {
		if due > 0 {
			pause = min(pause, due)
		}
	}
	return pause
}

func saveDue(counted bool, due time.Duration) time.Duration {
	if !counted {
		return 0
	}
	return max(due, time.Millisecond)
}

func (r *run) alias() *serin.Alias {
	_, alias, err := r.c.Aliases.Alias(r.release.Function, r.release.Alias)
	if err != nil {
		return nil
	}
	return alias
}

func (r *run) cause() serin.Cause {
	switch {
	case r.release.Phase == serin.PhasePromoting:
		return serin.CausePromote
	case r.release.Ending == serin.EndingAborted:
		return serin.CauseAbort
	case r.release.Phase == serin.PhaseRollingBack:
		return serin.CauseRollback
	default:
		return serin.CauseStep
	}
}

// count takes in what the tap has counted and returns how long its open slice waits.
func (r *run) count(now time.Time) time.Duration {
	counted, wait := r.tap.Drain(now)
	if observed := r.tap.Signals(); !observed.Empty() {
		r.release.Signals = r.release.Signals.Add(observed)
	}
	if len(counted) == 0 {
		return wait
	}
	r.noteThresholds()
	steps := slices.Clone(r.release.Steps)
	for _, slice := range counted {
		if err := r.evidence.Observe(&slice); err != nil {
			r.c.Log.Error("slice refused", "release", r.release.ID, "error", err)
			continue
		}
		b := newCounted(&slice, now)
		r.counted = append(r.counted, b)
		for i := len(steps) - 1; i >= 0; i-- {
			if s := &steps[i]; s.Weight/100 == b.Weight {
				s.Baseline.Requests += b.BaselineRequests
				s.Baseline.Errors += b.BaselineErrors
				s.Canary.Requests += b.CanaryRequests
				s.Canary.Errors += b.CanaryErrors
				break
			}
		}
	}
	r.release.Steps = steps
	return wait
}

// save makes next durable, and then what this run goes on from and readers see.
func (r *run) save(ctx context.Context, next serin.Release, now time.Time) error {
	state, err := json.Marshal(r.evidence)
	if err != nil {
		return err
	}
	next.Evidence = state
	told := len(next.Log)
	next.Log = append(slices.Clip(next.Log), logged(r.release, next, now)...)
	counts := ""
	if len(r.counted) > 0 {
		document, err := json.Marshal(r.counted)
		if err != nil {
			return err
		}
		counts = string(document)
	}
	notices := r.c.notices(&next, told)
	defer r.c.effect(&next, "save")()
	if err := r.c.Store.SaveRelease(ctx, &next, counts, notices...); err != nil {
		return err
	}
	if len(notices) > 0 {
		r.c.saved()
	}
	if r.c.Moved != nil {
		r.c.Moved(&r.release, &next)
	}
	r.release, r.counted, r.checked, r.savedAt = next, nil, false, now
	r.c.noteEnd(&next)
	r.expect()
	shown := next
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shown = &shown
	close(r.saved)
	r.saved = make(chan struct{})
	return nil
}

// flush saves what was counted before the server stops.
func (r *run) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), retryMost)
	defer cancel()
	r.tap.Flush()
	r.count(r.c.Now())
	if len(r.counted) == 0 {
		return
	}
	if err := r.save(ctx, r.release, r.c.Now()); err != nil {
		r.c.Log.ErrorContext(ctx, "cannot save release", "release", r.release.ID, "error", err)
	}
}

// refused handles an alias that did not move. A refusal of the first steps, because a version is gone for
// instance, will not go away: nothing has to be undone, so the release ends where it is. Everything else is
// tried again.
func (r *run) refused(ctx context.Context, err error, now time.Time) time.Duration {
	kind := serin.KindOf(err)
	if kind == 0 || kind == serin.KindPrecondition || kind == serin.KindInternal || r.release.Phase != serin.PhaseRunning {
		return r.failed(ctx, "move alias", err)
	}
	if err := r.save(ctx, conflict(r.release, "the alias cannot be moved: "+err.Error(), now), now); err != nil {
		return r.failed(ctx, "save release", err)
	}
	return 0
}

// failed notes that an effect failed and returns when to try again. An alias that was changed meanwhile is
// no failure: the next look decides what it means.
func (r *run) failed(ctx context.Context, what string, err error) time.Duration {
	if serin.KindOf(err) == serin.KindPrecondition {
		return time.Millisecond
	}
	r.retry = min(max(2*r.retry, retryFirst), retryMost)
	r.c.Log.ErrorContext(ctx, "release cannot go on yet", "release", r.release.ID, "what", what, "error", err, "retry_in", r.retry)
	return r.retry
}

func (r *run) obey(ctx context.Context, q request) result {
	now := r.c.Now().UTC()
	next, err := obey(r.release, q.instruction, q.actor, now)
	if err != nil {
		return result{err: err}
	}
	if err := r.save(ctx, next, now); err != nil {
		return result{err: err}
	}
	return result{release: r.snapshot()}
}
