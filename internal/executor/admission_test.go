package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"serin"
)

// reserving limits every function to n, or, if n is negative, all together to -n.
func reserving(n int) func(string) Limits {
	if n < 0 {
		return func(string) Limits { return Limits{Unreserved: -n} }
	}
	return func(string) Limits { return Limits{Reserved: &n, Unreserved: 1000} }
}

// try runs an invocation and returns its error.
func try(ctx context.Context, e *Executor, s *Spec, payload string) error {
	_, err := e.Invoke(ctx, s, &Invocation{RequestID: testID, Payload: []byte(payload)})
	return err
}

func waitingIn(e *Executor) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waiting
}

// busyFor occupies an environment and returns when it runs, with a channel for its end.
func busyFor(tb testing.TB, e *Executor, s *Spec, millis int) <-chan error {
	tb.Helper()
	before := states(e)[StateBusy]
	done := make(chan error, 1)
	go func() { done <- try(tb.Context(), e, s, `{"do":"sleep","n":`+strconv.Itoa(millis)+`}`) }()
	eventually(tb, "it runs", func() bool { return states(e)[StateBusy] > before })
	return done
}

func TestReservedConcurrency(t *testing.T) {
	e := newExecutor(t, Config{Limits: reserving(1)})
	s, other := goSpec(t), goSpec(t)
	other.Version = "2"
	done := busyFor(t, e, s, 300)
	wantError(t, try(t.Context(), e, s, `{}`), serin.KindThrottled, "ReservedFunctionConcurrentInvocationLimitExceeded")
	wantError(t, try(t.Context(), e, other, `{}`), serin.KindThrottled, "ReservedFunctionConcurrentInvocationLimitExceeded")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := try(t.Context(), e, other, `{}`); err != nil {
		t.Errorf("the place that was left: %v", err)
	}
	stopped := newExecutor(t, Config{Limits: reserving(0), QueueWait: time.Hour})
	wantError(t, try(t.Context(), stopped, s, `{}`), serin.KindThrottled, "ReservedFunctionConcurrentInvocationLimitExceeded")
	if n := len(stopped.gates); n != 0 {
		t.Errorf("%d functions are counted although nothing runs", n)
	}
}

func TestUnreservedConcurrencyIsShared(t *testing.T) {
	one := 1
	e := newExecutor(t, Config{Limits: func(function string) Limits {
		if function == "reserved" {
			return Limits{Reserved: &one, Unreserved: 1}
		}
		return Limits{Unreserved: 1}
	}})
	a, b, reserved := goSpec(t), goSpec(t), goSpec(t)
	b.Function, reserved.Function = "another", "reserved"
	done := busyFor(t, e, a, 300)
	wantError(t, try(t.Context(), e, b, `{}`), serin.KindThrottled, "ConcurrentInvocationLimitExceeded")
	if err := try(t.Context(), e, reserved, `{}`); err != nil {
		t.Errorf("what is reserved: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := try(t.Context(), e, b, `{}`); err != nil {
		t.Errorf("what is free again: %v", err)
	}
}

// When all that is reserved is provisioned, only the version that has it can run, as on AWS.
func TestProvisionedConcurrencyIsPartOfTheReservation(t *testing.T) {
	e := newExecutor(t, Config{Limits: reserving(2)})
	s, other := goSpec(t), goSpec(t)
	other.Version = "2"
	if err := e.Provision(t.Context(), s, 2, nil); err != nil {
		t.Fatal(err)
	}
	wantError(t, try(t.Context(), e, other, `{}`), serin.KindThrottled, "ReservedFunctionConcurrentInvocationLimitExceeded")
	first, second := busyFor(t, e, s, 300), busyFor(t, e, s, 300)
	wantError(t, try(t.Context(), e, s, `{}`), serin.KindThrottled, "ReservedFunctionConcurrentInvocationLimitExceeded")
	if err := errors.Join(<-first, <-second); err != nil {
		t.Fatal(err)
	}
	if err := e.Provision(t.Context(), s, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := try(t.Context(), e, other, `{}`); err != nil {
		t.Errorf("what is not provisioned any more: %v", err)
	}
}

// Whoever waits gets in in the order of coming.
func TestQueueIsFair(t *testing.T) {
	for _, limit := range []int{1, -1} {
		e := newExecutor(t, Config{Limits: reserving(limit), QueueWait: time.Minute})
		s := pythonSpec(t, "import time\ndef handler(event, context):\n    time.sleep(event['s'])\n    return time.time_ns()\n")
		needInterpreter(t, e, s.Runtime)
		const n = 20
		ends := make([]int64, n+1)
		var all sync.WaitGroup
		for i := range n + 1 {
			all.Go(func() {
				seconds := 0.0
				if i == 0 {
					seconds = 0.5 // all others are waiting before it ends
				}
				r, err := e.Invoke(t.Context(), s, &Invocation{RequestID: testID, Payload: fmt.Appendf(nil, `{"s":%v}`, seconds)})
				if err != nil {
					t.Error(err)
					return
				}
				ends[i], _ = strconv.ParseInt(string(r.Payload), 10, 64)
			})
			if i == 0 {
				eventually(t, "the first runs", func() bool { return states(e)[StateBusy] == 1 })
			} else {
				eventually(t, "it waits", func() bool { return waitingIn(e) == i })
			}
		}
		all.Wait()
		if !slices.IsSorted(ends) || ends[0] == 0 {
			t.Errorf("limit %d: ended at %v", limit, ends)
		}
		if n := len(e.Environments()); n != 1 {
			t.Errorf("limit %d: %d environments", limit, n)
		}
	}
}

func TestQueueHasAnEnd(t *testing.T) {
	e := newExecutor(t, Config{Limits: reserving(1), QueueWait: 50 * time.Millisecond})
	s := goSpec(t)
	done := busyFor(t, e, s, 600)
	wantError(t, try(t.Context(), e, s, `{}`), serin.KindThrottled, "ReservedFunctionConcurrentInvocationLimitExceeded")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := waitingIn(e); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

func TestWhoNeedNotWait(t *testing.T) {
	e := newExecutor(t, Config{Limits: reserving(1), QueueWait: time.Hour})
	s := goSpec(t)
	done := busyFor(t, e, s, 500)
	_, err := e.Invoke(t.Context(), s, &Invocation{RequestID: testID, Payload: []byte(`{}`), NoWait: true})
	wantError(t, err, serin.KindThrottled, "ReservedFunctionConcurrentInvocationLimitExceeded")

	// Whoever hangs up makes room for the next.
	gone := errors.New("gone")
	ctx, hangUp := context.WithCancelCause(t.Context())
	left, next := make(chan error, 1), make(chan error, 1)
	go func() { left <- try(ctx, e, s, `{}`) }()
	eventually(t, "the first waits", func() bool { return waitingIn(e) == 1 })
	go func() { next <- try(t.Context(), e, s, `{}`) }()
	eventually(t, "the second waits", func() bool { return waitingIn(e) == 2 })
	hangUp(gone)
	if err := <-left; !errors.Is(err, gone) {
		t.Errorf("error %v, want the cause", err)
	}
	if err := errors.Join(<-done, <-next); err != nil {
		t.Error(err)
	}
}

func TestCloseRefusesWhoWaits(t *testing.T) {
	e := newExecutor(t, Config{Limits: reserving(1), QueueWait: time.Hour})
	s := goSpec(t)
	done := busyFor(t, e, s, 300)
	waits := make(chan error, 1)
	go func() { waits <- try(t.Context(), e, s, `{}`) }()
	eventually(t, "it waits", func() bool { return waitingIn(e) == 1 })
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-waits; !errors.Is(err, errShutdown) {
		t.Errorf("error %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the running invocation: %v", err)
	}
}

// A provisioned environment that becomes free goes to the first who can use it, past others who cannot.
func TestQueueForProvisionedConcurrency(t *testing.T) {
	e := newExecutor(t, Config{Limits: reserving(1), QueueWait: time.Minute})
	s, other := goSpec(t), goSpec(t)
	other.Version = "2"
	if err := e.Provision(t.Context(), s, 1, nil); err != nil {
		t.Fatal(err)
	}
	done := busyFor(t, e, s, 300)
	blocked, served := make(chan error, 1), make(chan error, 1)
	go func() { blocked <- try(t.Context(), e, other, `{}`) }()
	eventually(t, "the other version waits", func() bool { return waitingIn(e) == 1 })
	go func() {
		r, err := e.Invoke(t.Context(), s, &Invocation{RequestID: testID, Payload: []byte(`{}`)})
		if err == nil && !r.Provisioned {
			err = errors.New("it did not run on the provisioned environment")
		}
		served <- err
	}()
	eventually(t, "both wait", func() bool { return waitingIn(e) == 2 })
	if err := errors.Join(<-done, <-served); err != nil {
		t.Error(err)
	}
	if n := waitingIn(e); n != 1 {
		t.Errorf("%d wait, want the other version", n)
	}
	if err := e.Provision(t.Context(), s, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-blocked; err != nil {
		t.Errorf("the other version, when nothing is provisioned any more: %v", err)
	}
}

// BenchmarkAdmission is what the bookkeeping of a warm invocation costs: it is let in, gets an idle environment and gives
// it back.
func BenchmarkAdmission(b *testing.B) {
	e := newExecutor(b, Config{Limits: reserving(10)})
	s := goSpec(b)
	if err := e.Warm(b.Context(), s, 1); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		env, err := e.acquire(b.Context(), s, false)
		if err != nil {
			b.Fatal(err)
		}
		e.release(env)
	}
}
