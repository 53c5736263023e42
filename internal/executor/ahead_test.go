package executor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// environmentOf runs an invocation and returns the variables that the function sees.
func environmentOf(tb testing.TB, e *Executor, s *Spec) (*Result, []string) {
	tb.Helper()
	r := invoke(tb, e, s, `{"do":"context"}`)
	var seen struct{ Env []string }
	unmarshal(tb.(*testing.T), r.Payload, &seen)
	return r, seen.Env
}

func wantProvisioned(tb testing.TB, e *Executor, s *Spec, n int) {
	tb.Helper()
	if have, ready := e.Provisioned(s.Key()); have != n || ready != n {
		tb.Errorf("%d provisioned environments, %d of them initialised; want %d", have, ready, n)
	}
}

func TestProvision(t *testing.T) {
	e := newExecutor(t, Config{IdleTimeout: 50 * time.Millisecond})
	s := goSpec(t)
	lost := make(chan struct{}, 1)
	if err := e.Provision(t.Context(), s, 3, lost); err != nil {
		t.Fatal(err)
	}
	wantProvisioned(t, e, s, 3)
	r, env := environmentOf(t, e, s)
	if r.Cold || !r.Provisioned || r.Spilled || !slices.Contains(env, "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency") {
		t.Errorf("result %+v in %v", r, env)
	}

	// What is beyond it runs on demand, and expires.
	for range 3 {
		busyFor(t, e, s, 400)
	}
	r, env = environmentOf(t, e, s)
	if !r.Cold || r.Provisioned || !r.Spilled || !slices.Contains(env, "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand") {
		t.Errorf("beyond it: %+v in %v", r, env)
	}
	eventually(t, "only what is provisioned is left", func() bool { return states(e)[StateIdle] == 3 && len(e.Environments()) == 3 })
	wantProvisioned(t, e, s, 3)

	// One that dies is told of, and replaced when asked for.
	select {
	case <-lost:
		t.Error("none was lost yet")
	default:
	}
	processOf(t, e, e.Environments()[0].ID).Signal(syscall.SIGKILL)
	<-lost
	if have, _ := e.Provisioned(s.Key()); have != 2 {
		t.Errorf("%d are left", have)
	}
	if err := e.Provision(t.Context(), s, 3, lost); err != nil {
		t.Fatal(err)
	}
	wantProvisioned(t, e, s, 3)

	// Less: idle ones end now, busy ones after their invocation.
	done := busyFor(t, e, s, 200)
	if err := e.Provision(t.Context(), s, 0, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(e.Environments()); n != 1 {
		t.Errorf("%d environments, want the busy one", n)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "nothing is left", func() bool { return len(e.Environments()) == 0 })
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pools) != 0 || len(e.gates) != 0 {
		t.Errorf("%d pools and %d gates are left", len(e.pools), len(e.gates))
	}
}

func TestProvisionFails(t *testing.T) {
	e := newExecutor(t, Config{})
	broken := pythonSpec(t, "raise RuntimeError('no start')\n")
	needInterpreter(t, e, broken.Runtime)
	err := e.Provision(t.Context(), broken, 5, nil)
	if why, ok := errors.AsType[*InitError](err); !ok || !strings.Contains(why.Message, "no start") {
		t.Errorf("error %v", err)
	}
	eventually(t, "nothing is left", func() bool { return len(e.Environments()) == 0 })
}

// slowStart asks for its first invocation late.
const slowStart = `
sleep 0.4
while true; do
  headers=$(mktemp)
  curl -sS -D "$headers" -o /dev/null "$api/invocation/next"
  id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  curl -sS -o /dev/null "$api/invocation/$id/response" -d 1
done`

// A provisioned environment has more time to initialise than one that an invocation waits for.
func TestProvisionInitLimit(t *testing.T) {
	e := newExecutor(t, Config{InitTimeout: 100 * time.Millisecond})
	s := shellSpec(t, slowStart)
	if err := e.Warm(t.Context(), s, 1); err == nil {
		t.Error("Warm took longer than an initialisation may")
	}
	if err := e.Provision(t.Context(), s, 1, nil); err != nil {
		t.Fatal(err)
	}
	if r := invoke(t, e, s, `{}`); !r.Provisioned || r.Cold {
		t.Errorf("result %+v", r)
	}
	for timeout, want := range map[time.Duration]time.Duration{3 * time.Second: 130 * time.Second, 900 * time.Second: 900 * time.Second} {
		env := &environment{executor: e, spec: &Spec{Timeout: timeout}, provisioned: true}
		if got := env.initLimit(); got != want {
			t.Errorf("timeout %v: %v to initialise, want %v", timeout, got, want)
		}
	}
}

func TestProvisionIsGivenUp(t *testing.T) {
	e := newExecutor(t, Config{})
	s := pythonSpec(t, "import time\ntime.sleep(600)\n")
	needInterpreter(t, e, s.Runtime)
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- e.Provision(ctx, s, 1, nil) }()
	eventually(t, "it starts", func() bool {
		all := e.Environments()
		if len(all) != 1 {
			return false
		}
		return processOf(t, e, all[0].ID) != nil
	})
	p := processOf(t, e, e.Environments()[0].ID)
	over := errors.New("over")
	cancel(over)
	if err := <-failed; !errors.Is(err, over) {
		t.Errorf("error %v, want the cause", err)
	}
	wantEnded(t, p)
}

func TestHold(t *testing.T) {
	e := newExecutor(t, Config{IdleTimeout: 50 * time.Millisecond})
	s := goSpec(t)
	a, b, c := busyFor(t, e, s, 200), busyFor(t, e, s, 200), busyFor(t, e, s, 200)
	if n := e.Concurrency(s.Key(), time.Now().Add(-time.Minute)); n != 3 {
		t.Errorf("concurrency %d, want 3", n)
	}
	e.Hold(s.Key(), 2)
	if err := errors.Join(<-a, <-b, <-c); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one expires", func() bool { return len(e.Environments()) == 2 })
	began := time.Now()
	time.AfterFunc(200*time.Millisecond, func() { e.Hold(s.Key(), 0) })
	eventually(t, "all expire", func() bool { return len(e.Environments()) == 0 })
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("they were held for only %v", took)
	}
	if n := e.Concurrency(s.Key(), time.Now().Add(-time.Minute)); n != 0 {
		t.Errorf("concurrency %d of nothing", n)
	}
}

// What is warmed takes no environment from others; what is provisioned does.
func TestRoomForWhatIsAhead(t *testing.T) {
	e := newExecutor(t, Config{MaxEnvironments: 1})
	idle, ahead := goSpec(t), goSpec(t)
	ahead.Version = "2"
	invoke(t, e, idle, `{}`)
	wantError(t, e.Warm(t.Context(), ahead, 1), errAccount.Kind, errAccount.Reason)
	if err := e.Provision(t.Context(), ahead, 1, nil); err != nil {
		t.Fatal(err)
	}
	wantProvisioned(t, e, ahead, 1)
	wantError(t, try(t.Context(), e, idle, `{}`), errAccount.Kind, errAccount.Reason)
}
