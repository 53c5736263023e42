package capacity

import (
	"context"
	"errors"
	"time"

	"serin"
	"serin/internal/executor"
)

// Pauses before another attempt to provide what could not be provided, or what ends as soon as it has been.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// Status values of provisioned concurrency, as AWS names them.
const (
	InProgress = "IN_PROGRESS"
	Ready      = "READY"
	Failed     = "FAILED"
)

// initFailure is the reason that AWS gives for a function that fails to initialise.
const initFailure = "FUNCTION_ERROR_INIT_FAILURE"

// provision is the provisioned concurrency of one version, and the goroutine that provides it.
type provision struct {
	n       int
	failure error // of the last attempt; guarded by the keeper's lock
	stop    context.CancelFunc
	done    chan struct{}
}

// provide starts a goroutine that makes n the provisioned concurrency of a version; before is the one that did so
// until now, or nil. f may be nil if n is 0. The caller holds k.mu.
func (k *Keeper) provide(ctx context.Context, before *provision, f *serin.Function, key executor.Key, n int) *provision {
	ctx, stop := context.WithCancel(ctx)
	p := &provision{n: n, stop: stop, done: make(chan struct{})}
	if before != nil {
		before.stop()
		p.failure = before.failure
	}
	k.wg.Go(func() {
		defer close(p.done)
		defer stop()
		if before != nil {
			<-before.done
		}
		k.keep(ctx, p, f, key)
	})
	return p
}

// keep provides until the context ends, or until nothing is wanted and nothing left.
func (k *Keeper) keep(ctx context.Context, p *provision, f *serin.Function, key executor.Key) {
	lost := make(chan struct{}, 1)
	var pause time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		err := k.attempt(ctx, p, f, key, lost)
		k.note(ctx, p, key, err)
		switch {
		case err != nil:
			pause = longer(pause)
			sleep(ctx, pause)
		case p.n == 0:
			k.forget(key, p)
			return
		default:
			select {
			case <-lost:
			case <-ctx.Done():
				return
			}
			if time.Since(began) > longestPause {
				pause = 0
				continue
			}
			sleep(ctx, pause) // the first one is replaced at once
			pause = longer(pause)
		}
	}
}

func longer(pause time.Duration) time.Duration { return min(max(2*pause, firstPause), longestPause) }

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (k *Keeper) attempt(ctx context.Context, p *provision, f *serin.Function, key executor.Key, lost chan<- struct{}) error {
	if p.n == 0 {
		spec := &executor.Spec{Function: key.Function, Version: key.Version, Revision: key.Revision}
		return k.Executor.Provision(ctx, spec, 0, nil)
	}
	number, _ := serin.ParseVersion(key.Version)
	v, ok := f.Version(number)
	if !ok {
		return nil // shares would not have named it
	}
	spec, err := k.Spec(ctx, f, v)
	if err != nil {
		return err
	}
	return k.Executor.Provision(ctx, spec, p.n, lost)
}

// note keeps what became of an attempt for [Keeper.Provisioned].
func (k *Keeper) note(ctx context.Context, p *provision, key executor.Key, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	if err != nil {
		k.Log.WarnContext(ctx, "cannot provide the provisioned concurrency", "function", key.Function, "version", key.Version, "wanted", p.n, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p.failure = err
}

// Provisioned says how far the provisioned concurrency of a version or an alias is on this server: environments that
// are there and those of them that are initialised, a status and, if it is FAILED, the reason.
func (k *Keeper) Provisioned(function, qualifier string) (allocated, available int, status, reason string) {
	f, ok := k.Table.Function(function)
	if !ok {
		return 0, 0, InProgress, ""
	}
	requested := f.At(qualifier).Provisioned
	if requested == nil {
		return 0, 0, InProgress, ""
	}
	status = Ready
	together := shares(f)
	for v, n := range sharesOf(f, qualifier) {
		key := keyOf(f, v)
		have, ready := k.Executor.Provisioned(key)
		allocated += min(have, n)
		available += min(ready, n)
		if ready >= together[key] && v.State == serin.StateActive {
			continue
		}
		if status == Ready {
			status = InProgress
		}
		if v.State == serin.StateFailed {
			status, reason = Failed, v.StateReason
		} else if why := reasonOf(k.failureOf(key)); why != "" {
			status, reason = Failed, why
		}
	}
	return min(allocated, requested.Requested), min(available, requested.Requested), status, reason
}

func (k *Keeper) failureOf(key executor.Key) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.kept[key.Function][key]; p != nil {
		return p.failure
	}
	return nil
}

// reasonOf returns the reason for a failure; a lack of room is none, it passes.
func reasonOf(err error) string {
	if err == nil || serin.KindOf(err) == serin.KindThrottled {
		return ""
	}
	if _, ok := errors.AsType[*executor.InitError](err); ok {
		return initFailure
	}
	if e, ok := errors.AsType[*serin.Error](err); ok {
		return e.Message
	}
	return "The server could not start an execution environment."
}
