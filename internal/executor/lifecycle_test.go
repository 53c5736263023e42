package executor

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"serin"
	"serin/internal/sandbox"
)

// eventually waits until a condition holds that no event tells of.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			tb.Fatalf("still not: %s", what)
		}
	}
}

// processOf returns the process of an environment that exists.
func processOf(tb testing.TB, e *Executor, id string) *sandbox.Process {
	tb.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for env := range e.envs {
		if env.id == id {
			return env.process
		}
	}
	tb.Fatalf("there is no environment %s", id)
	return nil
}

// wantEnded waits for the end of a process.
func wantEnded(tb testing.TB, p *sandbox.Process) {
	tb.Helper()
	select {
	case <-p.Done():
	case <-time.After(10 * time.Second):
		tb.Fatal("the process does not end")
	}
}

// wantError checks that err is a domain error of a kind and reason.
func wantError(tb testing.TB, err error, kind serin.Kind, reason string) {
	tb.Helper()
	e, ok := errors.AsType[*serin.Error](err)
	if !ok || e.Kind != kind || e.Reason != reason || e.Message == "" {
		tb.Fatalf("error %#v, want kind %v and reason %q", err, kind, reason)
	}
}

// states counts the environments by state.
func states(e *Executor) map[State]int {
	m := map[State]int{}
	for _, i := range e.Environments() {
		m[i.State]++
	}
	return m
}

func TestConcurrentInvocations(t *testing.T) {
	e := newExecutor(t, Config{})
	s := goSpec(t)
	const n = 5
	var mu sync.Mutex
	used := map[string]bool{}
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			r := invoke(t, e, s, `{"do":"sleep","n":800}`)
			mu.Lock()
			defer mu.Unlock()
			used[r.EnvironmentID] = true
		})
	}
	eventually(t, "all busy", func() bool { return states(e)[StateBusy] == n })
	group.Wait()
	if len(used) != n || states(e)[StateIdle] != n {
		t.Errorf("%d invocations at a time used %d environments, %v", n, len(used), states(e))
	}
	first := invoke(t, e, s, `{}`)
	for range 3 {
		if r := invoke(t, e, s, `{}`); r.EnvironmentID != first.EnvironmentID || r.Cold {
			t.Errorf("environment %s after %s", r.EnvironmentID, first.EnvironmentID)
		}
	}
}

// TestManyInvocations looks for invocations that get the answer of another.
func TestManyInvocations(t *testing.T) {
	e := newExecutor(t, Config{})
	specs := []*Spec{goSpec(t), pythonSpec(t, "def handler(event, context):\n    return event['echo']\n"), nodeSpec(t, "exports.handler = async (e) => e.echo;")}
	var group sync.WaitGroup
	for i, s := range specs {
		if _, err := e.Resolve(t.Context(), s.Runtime); err != nil {
			t.Logf("without %s: %v", s.Runtime, err)
			continue
		}
		for worker := range 3 {
			group.Go(func() {
				for n := range 100 {
					want := strconv.Itoa(i*1_000_000 + worker*1000 + n)
					r, err := e.Invoke(t.Context(), s, &Invocation{RequestID: "id-" + want, Payload: []byte(`{"do":"echo","echo":` + want + `}`)})
					if err != nil || string(r.Payload) != want {
						t.Errorf("%s: %s, %v, want %s", s.Runtime, r.Payload, err, want)
						return
					}
				}
			})
		}
	}
	group.Wait()
}

func TestLastUsedFirst(t *testing.T) {
	e := newExecutor(t, Config{})
	s := goSpec(t)
	long := make(chan *Result)
	go func() { long <- invoke(t, e, s, `{"do":"sleep","n":300}`) }()
	eventually(t, "the long invocation runs", func() bool { return states(e)[StateBusy] == 1 })
	short := invoke(t, e, s, `{}`)
	last := <-long
	if r := invoke(t, e, s, `{}`); r.EnvironmentID != last.EnvironmentID || r.EnvironmentID == short.EnvironmentID {
		t.Errorf("used %s, want the one that was used last, %s", r.EnvironmentID, last.EnvironmentID)
	}
}

func TestIdleEnvironmentsExpire(t *testing.T) {
	e := newExecutor(t, Config{IdleTimeout: 50 * time.Millisecond})
	s := goSpec(t)
	r := invoke(t, e, s, `{}`)
	p := processOf(t, e, r.EnvironmentID)
	wantEnded(t, p)
	eventually(t, "the environment is forgotten", func() bool { return len(e.Environments()) == 0 })
	if next := invoke(t, e, s, `{}`); !next.Cold || next.EnvironmentID == r.EnvironmentID {
		t.Errorf("result %+v", next)
	}
}

func TestRetire(t *testing.T) {
	e := newExecutor(t, Config{})
	kept, retired := goSpec(t), goSpec(t)
	kept.Version = "2"
	keptID := invoke(t, e, kept, `{}`).EnvironmentID
	busy := make(chan *Result)
	go func() { busy <- invoke(t, e, retired, `{"do":"sleep","n":300}`) }()
	eventually(t, "the long invocation runs", func() bool { return states(e)[StateBusy] == 1 })
	idle := processOf(t, e, invoke(t, e, retired, `{}`).EnvironmentID)
	e.Retire(func(k Key) bool { return k == kept.Key() })
	wantEnded(t, idle)
	if n := states(e); n[StateBusy] != 1 || n[StateIdle] != 1 {
		t.Errorf("after Retire: %v", n)
	}
	if r := <-busy; r.Outcome != serin.OutcomeOK {
		t.Errorf("the busy environment: %+v", r)
	}
	if n := states(e); len(e.Environments()) != 1 || n[StateIdle] != 1 {
		t.Errorf("after the invocation: %v", n)
	}
	if r := invoke(t, e, kept, `{}`); r.EnvironmentID != keptID {
		t.Errorf("the version that is kept has a new environment")
	}
	if r := invoke(t, e, retired, `{}`); !r.Cold {
		t.Errorf("the version that was retired has a used environment")
	}
}

func TestConcurrencyLimit(t *testing.T) {
	e := newExecutor(t, Config{MaxEnvironments: 2})
	a, b := goSpec(t), goSpec(t)
	b.Version = "2"
	first := processOf(t, e, invoke(t, e, a, `{}`).EnvironmentID)
	busy := make(chan *Result, 2)
	go func() { busy <- invoke(t, e, b, `{"do":"sleep","n":500}`) }()
	eventually(t, "one is busy", func() bool { return states(e)[StateBusy] == 1 })
	go func() { busy <- invoke(t, e, b, `{"do":"sleep","n":500}`) }()
	wantEnded(t, first) // it made room
	eventually(t, "two are busy", func() bool { return states(e)[StateBusy] == 2 })
	_, err := e.Invoke(t.Context(), a, &Invocation{RequestID: testID, Payload: []byte(`{}`)})
	wantError(t, err, serin.KindThrottled, "ConcurrentInvocationLimitExceeded")
	if err.Error() != "Rate Exceeded." {
		t.Errorf("message %q", err)
	}
	for range 2 {
		if r := <-busy; r.Outcome != serin.OutcomeOK {
			t.Errorf("result %+v", r)
		}
	}
	if r := invoke(t, e, a, `{}`); r.Outcome != serin.OutcomeOK {
		t.Errorf("result %+v", r)
	}
}

func TestCallerGoesAway(t *testing.T) {
	e := newExecutor(t, Config{})
	s := goSpec(t)
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	type ended struct {
		r   *Result
		err error
	}
	done := make(chan ended)
	go func() {
		r, err := e.Invoke(ctx, s, &Invocation{RequestID: testID, Payload: []byte(`{"do":"sleep","n":200}`)})
		done <- ended{r, err}
	}()
	eventually(t, "it runs", func() bool { return states(e)[StateBusy] == 1 })
	cancel(gone)
	first := <-done
	if first.err != nil || first.r.Outcome != serin.OutcomeOK || first.r.Duration < 200*time.Millisecond {
		t.Fatalf("result %+v, %v", first.r, first.err)
	}
	if r := invoke(t, e, s, `{}`); r.EnvironmentID != first.r.EnvironmentID {
		t.Errorf("the environment was not used again")
	}
	if _, err := e.Invoke(ctx, s, &Invocation{RequestID: testID, Payload: []byte(`{}`)}); !errors.Is(err, gone) {
		t.Errorf("error %v, want the cause", err)
	}
}

func TestCloseWaits(t *testing.T) {
	e := newExecutor(t, Config{})
	s := goSpec(t)
	idle := processOf(t, e, invoke(t, e, s, `{}`).EnvironmentID)
	busy := make(chan *Result)
	go func() { busy <- invoke(t, e, s, `{"do":"sleep","n":300}`) }()
	eventually(t, "it runs", func() bool { return states(e)[StateBusy] == 1 })
	closed := make(chan error)
	go func() { closed <- e.Close(t.Context()) }()
	eventually(t, "new invocations are refused", func() bool {
		_, err := e.Invoke(t.Context(), s, &Invocation{RequestID: testID, Payload: []byte(`{}`)})
		return errors.Is(err, errShutdown)
	})
	if r := <-busy; r.Outcome != serin.OutcomeOK {
		t.Errorf("the running invocation ended with %+v", r)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	wantEnded(t, idle)
	if err := e.Warm(t.Context(), s, 1); !errors.Is(err, errShutdown) {
		t.Errorf("Warm: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func TestCloseLosesPatience(t *testing.T) {
	e := newExecutor(t, Config{})
	s := goSpec(t)
	slow := pythonSpec(t, "import time\ntime.sleep(60)\n")
	failed := make(chan error)
	for _, s := range []*Spec{s, slow} {
		go func() {
			_, err := e.Invoke(t.Context(), s, &Invocation{RequestID: testID, Payload: []byte(`{"do":"sleep","n":60000}`)})
			failed <- err
		}()
	}
	eventually(t, "both run", func() bool {
		n := states(e)
		return n[StateBusy] == 1 && n[StateStarting] == 1 || len(e.Environments()) == 1
	})
	var processes []*sandbox.Process
	eventually(t, "they have processes", func() bool {
		processes = nil
		e.mu.Lock()
		defer e.mu.Unlock()
		for env := range e.envs {
			if env.process == nil {
				return false
			}
			processes = append(processes, env.process)
		}
		return true
	})
	impatient := errors.New("impatient")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(impatient)
	if err := e.Close(ctx); !errors.Is(err, impatient) {
		t.Errorf("Close: %v", err)
	}
	for range 2 {
		if err := <-failed; err == nil {
			t.Error("an invocation that was cut off succeeded")
		}
	}
	for _, p := range processes {
		select {
		case <-p.Done():
		default:
			t.Error("a process is left")
		}
	}
}

func TestWarm(t *testing.T) {
	e := newExecutor(t, Config{})
	s := goSpec(t)
	for range 2 { // the second time there is nothing to do
		if err := e.Warm(t.Context(), s, 3); err != nil {
			t.Fatal(err)
		}
		if n := states(e); n[StateIdle] != 3 || len(e.Environments()) != 3 {
			t.Fatalf("environments %v", n)
		}
	}
	if r := invoke(t, e, s, `{}`); r.Cold || r.InitDuration != 0 {
		t.Errorf("result %+v", r)
	}
	broken := pythonSpec(t, "raise RuntimeError('no start')\n")
	needInterpreter(t, e, broken.Runtime)
	if err := e.Warm(t.Context(), broken, 1); err == nil || !strings.Contains(err.Error(), "no start") {
		t.Errorf("Warm of a broken version: %v", err)
	}
	if n := len(e.Environments()); n != 3 {
		t.Errorf("%d environments", n)
	}
}

// slowToAsk answers every invocation with 1 and is then busy for as many seconds as the event says.
const slowToAsk = `
while true; do
  headers=$(mktemp)
  pause=$(curl -sS -D "$headers" "$api/invocation/next")
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -o /dev/null "$api/invocation/$id/response" -d 1
  sleep "$pause"
done`

func TestRuntimeThatIsBusyAfterItAnswered(t *testing.T) {
	e := newExecutor(t, Config{})
	e.settleTime = defaultSettleTime
	s := shellSpec(t, slowToAsk)
	first := invoke(t, e, s, `1`)
	second := invoke(t, e, s, `0`)
	if second.EnvironmentID == first.EnvironmentID || !second.Cold {
		t.Fatalf("the second invocation waited: %+v", second)
	}
	eventually(t, "the first has settled", func() bool { return states(e)[StateIdle] == 2 })
	for _, i := range e.Environments() {
		if i.Invocations != 1 {
			t.Errorf("environment %s has run %d invocations, want 1", i.ID, i.Invocations)
		}
	}
	e.settleTime = 10 * time.Second
	// It settled last, so it is next.
	if r := invoke(t, e, s, `0`); r.EnvironmentID != first.EnvironmentID {
		t.Errorf("used %s, want %s", r.EnvironmentID, first.EnvironmentID)
	}
}

func TestRuntimeThatNeverAsksAgain(t *testing.T) {
	e := newExecutor(t, Config{})
	e.settleTime = defaultSettleTime
	s := shellSpec(t, slowToAsk)
	s.Timeout = 2 * time.Second
	r := invoke(t, e, s, `1000`)
	p := processOf(t, e, r.EnvironmentID)
	if second := invoke(t, e, s, `0`); second.EnvironmentID == r.EnvironmentID {
		t.Fatal("the second invocation waited")
	}
	wantEnded(t, p)
}

func TestRuntimeThatEndsAfterItAnswered(t *testing.T) {
	e := newExecutor(t, Config{})
	s := shellSpec(t, strings.Replace(slowToAsk, `sleep "$pause"`, "exit 1", 1))
	for range 3 {
		if r := invoke(t, e, s, `0`); r.Outcome != serin.OutcomeOK || string(r.Payload) != "1" || !r.Cold {
			t.Fatalf("result %+v", r)
		}
	}
	eventually(t, "no environment is left", func() bool { return len(e.Environments()) == 0 })
}
