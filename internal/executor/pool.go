package executor

import (
	"context"
	"slices"
	"time"
)

// pool holds the environments of one version. The idle ones are a stack: what was used last is used
// next, its memory is warm, and what is not needed gets old at the bottom.
type pool struct {
	key   Key
	gate  *gate
	size  int            // environments, whatever they do
	idle  []*environment // those that are not provisioned, the longest idle first
	ahead provision
	floor int // environments do not expire when there are this few
}

// State says what an environment does.
type State string

// The states of an environment.
const (
	StateStarting State = "starting" // it initialises
	StateBusy     State = "busy"     // it runs an invocation, or what the function does after it
	StateIdle     State = "idle"     // it waits for an invocation
)

// EnvironmentInfo describes an environment at a moment.
type EnvironmentInfo struct {
	ID          string
	Key         Key
	State       State
	Provisioned bool
	Created     time.Time
	Invocations int
	LogStream   string
}

// Environments describes all environments, in no particular order.
func (e *Executor) Environments() []EnvironmentInfo {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]EnvironmentInfo, 0, len(e.envs))
	for env := range e.envs {
		list = append(list, EnvironmentInfo{
			ID: env.id, Key: env.pool.key, State: env.state, Provisioned: env.provisioned, Created: env.created,
			Invocations: env.invocations, LogStream: env.stream.Name,
		})
	}
	return list
}

// Waiting is how many invocations wait for their turn.
func (e *Executor) Waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waiting
}

// reserve makes a new environment unless the version has n already; then it returns nil. It takes nobody else's.
func (e *Executor) reserve(s *Spec, n int) (*environment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.pools[s.Key()]
	switch {
	case e.closing:
		return nil, errShutdown
	case p != nil && p.size >= n:
		return nil, nil
	default:
		return e.add(s, false)
	}
}

// poolOf returns the pool of a version. The caller holds e.mu.
func (e *Executor) poolOf(s *Spec) *pool {
	p := e.pools[s.Key()]
	if p == nil {
		p = &pool{key: s.Key(), gate: e.gateOf(s.Function)}
		p.gate.pools++
		e.pools[p.key] = p
	}
	return p
}

// add makes an environment. When all exist, an idle one makes room, if one may. The caller holds e.mu.
func (e *Executor) add(s *Spec, evict bool) (*environment, error) {
	if len(e.envs) >= e.cfg.MaxEnvironments && (!evict || !e.evict()) {
		return nil, errAccount
	}
	p := e.poolOf(s) // after the eviction, which may have taken the last of its pool
	env := e.newEnvironment(p, s)
	e.envs[env] = struct{}{}
	p.size++
	return env, nil
}

// evict ends the environment that has been idle longest. The caller holds e.mu.
func (e *Executor) evict() bool {
	var oldest *environment
	for _, p := range e.pools {
		if len(p.idle) > 0 && (oldest == nil || p.idle[0].idleSince.Before(oldest.idleSince)) {
			oldest = p.idle[0]
		}
	}
	if oldest != nil {
		e.remove(oldest)
	}
	return oldest != nil
}

// busy says that a new environment has been initialised for an invocation.
func (e *Executor) busy(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	env.state = StateBusy
}

// unused says that an environment that was acquired has not run the invocation.
func (e *Executor) unused(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	env.invocations--
	e.vacate(env)
	e.next(env.pool)
}

// release makes an environment idle, or ends it if nobody wants it any more.
func (e *Executor) release(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.vacate(env)
	e.idle(env)
	e.next(env.pool)
}

// idle makes an environment idle, or ends it if nobody wants it any more. The caller holds e.mu.
func (e *Executor) idle(env *environment) {
	ended := false
	select {
	case <-env.process.Done():
		ended = true
	default:
	}
	p := env.pool
	if ended || env.retired || e.closing || env.provisioned && p.ahead.have > p.ahead.want {
		e.remove(env)
		return
	}
	env.state = StateIdle
	env.idleSince = time.Now()
	if env.provisioned {
		p.ahead.idle = append(p.ahead.idle, env)
		return
	}
	p.idle = append(p.idle, env)
}

// discard ends an environment that its owner has no use for.
func (e *Executor) discard(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.vacate(env)
	e.remove(env)
	e.next(env.pool)
}

// remove forgets an environment and ends it in the background. The caller holds e.mu and owns the environment,
// or it is idle.
func (e *Executor) remove(env *environment) {
	if _, ok := e.envs[env]; !ok {
		return
	}
	p := env.pool
	delete(e.envs, env)
	if env.state == StateIdle {
		same := func(other *environment) bool { return other == env }
		p.idle, p.ahead.idle = slices.DeleteFunc(p.idle, same), slices.DeleteFunc(p.ahead.idle, same)
	}
	env.state = ""
	p.size--
	if env.provisioned {
		p.ahead.lose()
		p.gate.provisioned--
	}
	e.drop(p)
	e.background.Go(env.end)
	if e.closing && len(e.envs) == 0 {
		close(e.empty)
	}
}

// drop forgets a pool that is empty and that nobody wants to be filled. The caller holds e.mu.
func (e *Executor) drop(p *pool) {
	if p.size == 0 && p.ahead.want == 0 && p.floor == 0 && e.pools[p.key] == p {
		e.detach(p)
	}
}

// detach takes a pool out of use. The caller holds e.mu.
func (e *Executor) detach(p *pool) {
	delete(e.pools, p.key)
	p.ahead.want, p.ahead.lost = 0, nil
	p.gate.pools--
	e.forget(p.gate)
}

// ended is called when the process of an environment has ended. A busy environment has an owner that finds out.
func (e *Executor) ended(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if env.state == StateIdle {
		env.reason = endFailure
		e.remove(env)
		e.next(env.pool)
	}
}

// Retire ends the environments of versions that are no longer wanted: an idle one now, a busy one after
// its invocation.
func (e *Executor) Retire(keep func(Key) bool) {
	e.mu.Lock()
	keys := make([]Key, 0, len(e.pools))
	for key := range e.pools {
		keys = append(keys, key)
	}
	e.mu.Unlock()
	for _, key := range slices.DeleteFunc(keys, keep) {
		e.retire(key)
	}
}

func (e *Executor) retire(key Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.pools[key]
	if p == nil {
		return
	}
	for env := range e.envs {
		if env.pool == p {
			env.retired = true
		}
	}
	e.detach(p) // invocations that come now start afresh
	e.removeIdle(p)
}

// sweep ends environments that have been idle for too long.
func (e *Executor) sweep(ctx context.Context) {
	every(ctx, e.cfg.IdleTimeout/10, func(now time.Time) { e.expire(now.Add(-e.cfg.IdleTimeout)) })
}

// every calls f time and again, but not more often than each millisecond, until ctx ends.
func every(ctx context.Context, interval time.Duration, f func(now time.Time)) {
	ticker := time.NewTicker(max(interval, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			f(now)
		}
	}
}

// expire ends the environments that have been idle since before a time.
func (e *Executor) expire(before time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.pools {
		for len(p.idle) > 0 && p.size > p.floor && p.idle[0].idleSince.Before(before) {
			e.remove(p.idle[0])
		}
	}
}

// shut refuses invocations from now on and ends what is idle.
func (e *Executor) shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return
	}
	e.closing = true
	if len(e.envs) == 0 {
		close(e.empty)
	}
	e.refuseWaiting()
	for _, p := range e.pools {
		e.removeIdle(p)
	}
}

// removeIdle ends all environments of a pool that do nothing. The caller holds e.mu.
func (e *Executor) removeIdle(p *pool) {
	for _, env := range slices.Concat(p.idle, p.ahead.idle) {
		e.remove(env)
	}
}

// killAll kills the processes of all environments. Their owners notice.
func (e *Executor) killAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.killing.Store(true)
	for env := range e.envs {
		if env.sandbox != nil {
			env.sandbox.Kill()
		}
	}
}
