package executor

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// ice says whether the processes of an environment are stopped. An environment freezes while it is idle, and late:
// one that is used again soon never pays for it.
type ice struct {
	// mu is held while the processes are being stopped or resumed.
	mu sync.Mutex
	// frozen changes under the lock of the executor while the environment is idle; otherwise it is its owner's.
	frozen bool
}

// freezeIdle stops what runs in environments that have been idle for a while, until ctx ends.
func (e *Executor) freezeIdle(ctx context.Context) {
	every(ctx, e.cfg.FreezeAfter/2, func(now time.Time) {
		for _, env := range e.settled(now.Add(-e.cfg.FreezeAfter)) {
			e.freeze(env)
		}
	})
}

// settled lists the environments that have been idle since before a time and still run.
func (e *Executor) settled(before time.Time) []*environment {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []*environment
	for _, p := range e.pools {
		for _, env := range p.idle {
			if env.idleSince.After(before) {
				break // the others have been idle for less
			}
			if !env.ice.frozen && env.api.extensions.settled() {
				list = append(list, env)
			}
		}
	}
	return list
}

// freeze stops the processes of an environment, unless it is in use by now.
func (e *Executor) freeze(env *environment) {
	e.mu.Lock()
	if env.state != StateIdle || env.ice.frozen {
		e.mu.Unlock()
		return
	}
	env.ice.mu.Lock()
	defer env.ice.mu.Unlock()
	env.ice.frozen = true
	e.mu.Unlock()
	if err := env.sandbox.Freeze(); err != nil && !errors.Is(err, os.ErrClosed) { // or it has ended since
		e.log.Warn("cannot freeze an execution environment", "function", env.spec.Function, "version", env.spec.Version, "error", err)
	}
}

// thaw resumes the processes of an environment. Only its owner may.
func (env *environment) thaw() error {
	if !env.ice.frozen {
		return nil
	}
	env.ice.mu.Lock()
	defer env.ice.mu.Unlock()
	env.ice.frozen = false
	return env.sandbox.Thaw()
}
