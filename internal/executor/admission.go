package executor

import (
	"container/list"
	"context"
	"time"

	"serin"
)

// Limits is how many invocations may run at a time.
type Limits struct {
	// Reserved is what is set aside for the function, and the most that all its versions get together; nil for none,
	// 0 stops it. What is provisioned for the function is a part of it.
	Reserved *int
	// Unreserved is what the functions without a reservation share, beside what is provisioned for them.
	Unreserved int
}

// maxWaiting bounds how many invocations wait for their turn: each holds its payload in memory.
const maxWaiting = 10_000

// What AWS answers when all of a function's reserved concurrency is in use, and all that functions without a
// reservation share (recorded).
var (
	errReserved = &serin.Error{Kind: serin.KindThrottled, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}
	errAccount  = &serin.Error{Kind: serin.KindThrottled, Reason: "ConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}
)

// gate counts what all versions of one function do. It exists as long as there is something to count.
type gate struct {
	function    string
	pools       int
	running     int // invocations
	onDemand    int // those of them that run on environments that are not provisioned
	provisioned int // environments
	queue       list.List
}

// slot is what an invocation takes up; an environment holds it while it runs the invocation.
type slot struct{ taken, unreserved bool }

// waiter is an invocation that waits for its turn.
type waiter struct {
	spec *Spec
	done chan struct{} // closed when env and err are set
	env  *environment
	err  error
}

func (e *Executor) limits(function string) Limits {
	if e.cfg.Limits == nil {
		return Limits{Unreserved: e.cfg.MaxEnvironments}
	}
	return e.cfg.Limits(function)
}

// gateOf returns the gate of a function. The caller holds e.mu.
func (e *Executor) gateOf(function string) *gate {
	g := e.gates[function]
	if g == nil {
		g = &gate{function: function}
		e.gates[function] = g
	}
	return g
}

// forget drops a gate that has nothing to count. The caller holds e.mu.
func (e *Executor) forget(g *gate) {
	if g.pools == 0 && g.running == 0 && g.queue.Len() == 0 && e.gates[g.function] == g {
		delete(e.gates, g.function)
	}
}

// acquire lets an invocation in, as soon as it is its turn, and takes an environment for it.
func (e *Executor) acquire(ctx context.Context, s *Spec, noWait bool) (*environment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil, errShutdown
	}
	g := e.gateOf(s.Function)
	defer e.forget(g)
	l := e.limits(s.Function)
	queue, canWait := &e.queue, !noWait && e.cfg.QueueWait > 0
	if l.Reserved != nil {
		queue, canWait = &g.queue, canWait && *l.Reserved > 0
	}
	env, err := e.admit(g, s, l, queue.Len() == 0)
	if !canWait || serin.KindOf(err) != serin.KindThrottled || e.waiting >= maxWaiting {
		return env, err
	}
	return e.wait(ctx, s, queue, err)
}

// admit takes an environment for an invocation that may run now. Whoever is not first, because others wait, gets
// none but a provisioned one: nobody who waits could have used that. The caller holds e.mu.
//
// Errors: KindThrottled.
func (e *Executor) admit(g *gate, s *Spec, l Limits, first bool) (*environment, error) {
	if l.Reserved != nil && g.running >= *l.Reserved {
		return nil, errReserved
	}
	p := e.pools[s.Key()]
	if p != nil {
		if env := pop(&p.ahead.idle); env != nil {
			return e.occupy(g, env, slot{taken: true}), nil
		}
	}
	switch {
	case l.Reserved != nil && (!first || g.onDemand >= *l.Reserved-g.provisioned):
		return nil, errReserved
	case l.Reserved == nil && (!first || e.unreserved >= l.Unreserved):
		return nil, errAccount
	}
	var env *environment
	if p != nil {
		env = pop(&p.idle)
	}
	if env == nil {
		var err error
		if env, err = e.add(s, true); err != nil {
			return nil, err
		}
	}
	return e.occupy(g, env, slot{taken: true, unreserved: l.Reserved == nil}), nil
}

// pop takes the environment that was used last.
func pop(idle *[]*environment) *environment {
	last := len(*idle) - 1
	if last < 0 {
		return nil
	}
	env := (*idle)[last]
	*idle = (*idle)[:last]
	return env
}

// occupy gives an environment to an invocation. The caller holds e.mu.
func (e *Executor) occupy(g *gate, env *environment, s slot) *environment {
	g.running++
	if !env.provisioned {
		g.onDemand++
	}
	if s.unreserved {
		e.unreserved++
	}
	env.slot = s
	env.invocations++
	env.spilled = !env.provisioned && env.pool.ahead.want > 0
	if env.state == StateIdle {
		env.state = StateBusy
	}
	return env
}

// vacate says that the invocation on an environment has ended. The caller holds e.mu, and calls next when the
// environment is where it goes.
func (e *Executor) vacate(env *environment) {
	if !env.slot.taken {
		return
	}
	g := env.pool.gate
	g.running--
	if !env.provisioned {
		g.onDemand--
	}
	if env.slot.unreserved {
		e.unreserved--
	}
	env.slot = slot{}
}

// wait waits for the turn of an invocation, first come, first served. refusal is the error for one that has waited
// in vain. The caller holds e.mu.
func (e *Executor) wait(ctx context.Context, s *Spec, queue *list.List, refusal error) (*environment, error) {
	w := &waiter{spec: s, done: make(chan struct{})}
	place := queue.PushBack(w)
	e.waiting++
	e.mu.Unlock()
	timer := time.NewTimer(e.cfg.QueueWait)
	select {
	case <-w.done:
	case <-timer.C:
	case <-ctx.Done():
		refusal = context.Cause(ctx)
	}
	timer.Stop()
	e.mu.Lock()
	e.waiting--
	switch {
	case w.env == nil && w.err == nil: // nobody has answered
		queue.Remove(place)
		return nil, refusal
	case w.env != nil && ctx.Err() != nil:
		e.giveBack(w.env)
		return nil, context.Cause(ctx)
	default:
		return w.env, w.err
	}
}

// giveBack returns an environment that has not been used. The caller holds e.mu.
func (e *Executor) giveBack(env *environment) {
	env.invocations--
	e.vacate(env)
	if env.isNew() {
		e.remove(env)
	} else {
		e.idle(env)
	}
	e.next(env.pool)
}

// next lets in who waits for what a pool has just got or its function has just left. The caller holds e.mu.
func (e *Executor) next(p *pool) {
	defer e.forget(p.gate)
	if e.waiting == 0 {
		return
	}
	for _, queue := range [...]*list.List{&p.gate.queue, &e.queue} {
		for at := queue.Front(); at != nil && len(p.ahead.idle) > 0; {
			w, following := at.Value.(*waiter), at.Next()
			if w.spec.Key() == p.key {
				e.serve(queue, at)
			}
			at = following
		}
		for at := queue.Front(); at != nil && e.serve(queue, at); {
			at = queue.Front()
		}
	}
}

// serve answers a waiter if it can run now.
func (e *Executor) serve(queue *list.List, at *list.Element) bool {
	w := at.Value.(*waiter)
	env, err := e.admit(e.gateOf(w.spec.Function), w.spec, e.limits(w.spec.Function), true)
	if serin.KindOf(err) == serin.KindThrottled {
		return false
	}
	queue.Remove(at)
	w.env, w.err = env, err
	close(w.done)
	return true
}

// refuseWaiting tells everybody who waits that the executor closes. The caller holds e.mu.
func (e *Executor) refuseWaiting() {
	refuse := func(queue *list.List) {
		for at := queue.Front(); at != nil; at = queue.Front() {
			w := queue.Remove(at).(*waiter)
			w.err = errShutdown
			close(w.done)
		}
	}
	refuse(&e.queue)
	for _, g := range e.gates {
		refuse(&g.queue)
	}
}
