package executor

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// provision is the provisioned concurrency of a version: environments that are initialised ahead and do not expire.
// Its invocations take them before others.
type provision struct {
	want int
	have int             // also those that start and those that are busy
	idle []*environment  // the longest idle first
	lost chan<- struct{} // signalled when one has gone
}

// lose notes that a provisioned environment has gone.
func (p *provision) lose() {
	p.have--
	if p.lost == nil || p.have >= p.want {
		return
	}
	select {
	case p.lost <- struct{}{}:
	default: // it knows
	}
}

// minProvisionedInit is the least time for the initialisation of a provisioned environment, as on AWS.
const minProvisionedInit = 130 * time.Second

// initLimit is how long an initialisation ahead of invocations may take.
func (env *environment) initLimit() time.Duration {
	if env.provisioned {
		return max(minProvisionedInit, env.spec.Timeout)
	}
	return env.executor.cfg.InitTimeout
}

// initializationType is what a function may know of how it was initialised.
func (env *environment) initializationType() string {
	if env.provisioned {
		return "provisioned-concurrency"
	}
	return "on-demand"
}

// InitError says why a function could not be initialised ahead of its invocations.
type InitError struct{ Function, Version, Message string }

func (e *InitError) Error() string {
	return fmt.Sprintf("initialise %s version %s: %s", e.Function, e.Version, e.Message)
}

// Warm makes sure that at least n environments of a version are initialised, as far as there is room without ending
// others. It returns when they are, or why they could not all be. When ctx ends, what still starts is ended.
func (e *Executor) Warm(ctx context.Context, s *Spec, n int) error {
	return e.startAhead(ctx, func() (*environment, error) { return e.reserve(s, n) })
}

// Provision makes n the provisioned concurrency of a version: it ends what is too much, an environment that is busy
// after its invocation, and returns when n are initialised, or with the first reason why they are not. When ctx
// ends, what still starts is ended. lost, with a buffer of one, is signalled when one of the n has gone.
//
// Errors: [InitError] for a function that cannot be initialised, KindThrottled if there is no room.
func (e *Executor) Provision(ctx context.Context, s *Spec, n int, lost chan<- struct{}) error {
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return errShutdown
	}
	p := e.poolOf(s)
	p.ahead.want, p.ahead.lost = n, lost
	for p.ahead.have > n && len(p.ahead.idle) > 0 {
		e.remove(p.ahead.idle[0])
	}
	e.drop(p)
	e.next(p) // less for it is more for others
	e.mu.Unlock()
	return e.startAhead(ctx, func() (*environment, error) { return e.addProvisioned(p, s) })
}

// addProvisioned makes a provisioned environment; nil says that there are enough.
func (e *Executor) addProvisioned(p *pool, s *Spec) (*environment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closing:
		return nil, errShutdown
	case p.ahead.have >= p.ahead.want:
		return nil, nil
	}
	env, err := e.add(s, true)
	if err == nil {
		env.provisioned = true
		p.ahead.have++
		p.gate.provisioned++
	}
	return env, err
}

// startAhead initialises the environments that add makes, until it makes none or one fails.
func (e *Executor) startAhead(ctx context.Context, add func() (*environment, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) { // more would only slow each other, and invocations
		env, err := add()
		if err != nil {
			cancel(err)
		}
		if env == nil || err != nil {
			break
		}
		workers.Go(func() {
			for env != nil {
				err := e.warm(ctx, env)
				if env = nil; err == nil && ctx.Err() == nil {
					env, err = add()
				}
				if err != nil {
					cancel(err) // the first one counts
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// warm initialises a new environment and makes it idle.
func (e *Executor) warm(ctx context.Context, env *environment) error {
	stop := context.AfterFunc(ctx, func() { e.abandon(env) })
	failure, _, err := env.initialise(ctx, env.initLimit(), "init")
	stop()
	switch {
	case err != nil:
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case failure != nil:
		err = &InitError{env.spec.Function, env.spec.Version, failure.String()}
	}
	if failure != nil || err != nil && env.isNew() {
		e.discard(env)
		return err
	}
	e.release(env)
	return err
}

// abandon ends an initialisation that nobody waits for any more.
func (e *Executor) abandon(env *environment) {
	env.unwanted.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	if env.state == StateStarting && env.sandbox != nil {
		env.sandbox.Kill()
	}
}

// Provisioned returns how many provisioned environments a version has, and how many of them are initialised.
func (e *Executor) Provisioned(k Key) (allocated, available int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.pools[k]
	if p == nil {
		return 0, 0
	}
	for env := range e.envs {
		if env.pool == p && env.provisioned && env.state != StateStarting {
			available++
		}
	}
	return p.ahead.have, available
}

// Hold keeps environments of a version from expiring when there are only n of it. 0 ends that.
func (e *Executor) Hold(k Key, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.pools[k]; p != nil {
		p.floor = n
		e.drop(p)
	}
}

// Concurrency returns how many environments of a version have run invocations since a time: the most that it has
// needed at once, for the environment that was used last is always used first.
func (e *Executor) Concurrency(k Key, since time.Time) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for env := range e.envs {
		if env.pool.key == k && env.invocations > 0 && (env.state == StateBusy || env.idleSince.After(since)) {
			n++
		}
	}
	return n
}
