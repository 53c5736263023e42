package executor

import (
	"context"
	"slices"
	"time"

	"serin"
)

// pool holds the environments of one version. The idle ones are a stack: what was used last is used
// next, its memory is warm, and what is not needed gets old at the bottom.
type pool struct {
	key  Key
	size int
	idle []*environment // the longest idle first
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
			ID: env.id, Key: env.pool.key, State: env.state, Created: env.created,
			Invocations: env.invocations, LogStream: env.stream.Name,
		})
	}
	return list
}

// acquire takes an idle environment or makes a new one.
func (e *Executor) acquire(s *Spec) (*environment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil, errShutdown
	}
	p := e.pools[s.Key()]
	if p != nil && len(p.idle) > 0 {
		env := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		env.state = StateBusy
		env.invocations++
		return env, nil
	}
	env, err := e.add(p, s)
	if err == nil {
		env.invocations++
	}
	return env, err
}

// reserve makes a new environment unless the version has n already; then it returns nil.
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
		return e.add(p, s)
	}
}

// add makes an environment. The caller holds e.mu.
func (e *Executor) add(p *pool, s *Spec) (*environment, error) {
	if len(e.envs) >= e.cfg.MaxEnvironments && !e.evict() {
		return nil, &serin.Error{Kind: serin.KindThrottled, Reason: "ConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}
	}
	if p == nil || e.pools[p.key] != p { // the eviction may have taken the last of its pool
		p = &pool{key: s.Key()}
		e.pools[p.key] = p
	}
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
}

// release makes an environment idle, or ends it if nobody wants it any more.
func (e *Executor) release(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ended := false
	select {
	case <-env.process.Done():
		ended = true
	default:
	}
	if ended || env.retired || e.closing {
		e.remove(env)
		return
	}
	env.state = StateIdle
	env.idleSince = time.Now()
	env.pool.idle = append(env.pool.idle, env)
}

// discard ends an environment that its owner has no use for.
func (e *Executor) discard(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(env)
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
		p.idle = slices.DeleteFunc(p.idle, func(other *environment) bool { return other == env })
	}
	env.state = ""
	if p.size--; p.size == 0 && e.pools[p.key] == p {
		delete(e.pools, p.key)
	}
	e.background.Go(env.end)
	if e.closing && len(e.envs) == 0 {
		close(e.empty)
	}
}

// ended is called when the process of an environment has ended. A busy environment has an owner that finds out.
func (e *Executor) ended(env *environment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if env.state == StateIdle {
		e.remove(env)
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
	for _, env := range slices.Clone(p.idle) {
		e.remove(env)
	}
	delete(e.pools, key) // invocations that come now start afresh
}

// sweep ends environments that have been idle for too long.
func (e *Executor) sweep(ctx context.Context) {
	ticker := time.NewTicker(max(e.cfg.IdleTimeout/10, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			e.expire(now.Add(-e.cfg.IdleTimeout))
		}
	}
}

// expire ends the environments that have been idle since before a time.
func (e *Executor) expire(before time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.pools {
		for len(p.idle) > 0 && p.idle[0].idleSince.Before(before) {
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
	for _, p := range e.pools {
		for _, env := range slices.Clone(p.idle) {
			e.remove(env)
		}
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
