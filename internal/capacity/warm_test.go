package capacity

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"serin"
	"serin/internal/executor"
	"serin/internal/router"
)

const handler = `
import os, time
def handler(event, context):
    time.sleep(event)
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
`

// world is a keeper of the function shop, whose versions are real processes.
type world struct {
	*Keeper
	t    *testing.T
	shop *serin.Function
	code string
}

func newWorld(t *testing.T, idle, keepWarm time.Duration) *world {
	t.Helper()
	ex, err := executor.New(executor.Config{Dir: t.TempDir(), Region: "us-east-1", IdleTimeout: idle})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := ex.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := ex.Resolve(t.Context(), "python3.12"); err != nil {
		if os.Getenv("SERIN_TEST_STRICT") != "" {
			t.Fatal(err)
		}
		t.Skipf("skipped: %v", err)
	}
	f, _ := shop(t)
	w := &world{t: t, shop: f, code: t.TempDir()}
	must(t, os.WriteFile(filepath.Join(w.code, "app.py"), []byte(handler), 0o644))
	table := router.New(serin.Place{Region: "us-east-1", Account: "000000000000"})
	table.Apply(1, "shop", f)
	w.Keeper = New(Config{Table: table, Executor: ex, Spec: w.spec, KeepWarm: keepWarm, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) spec(_ context.Context, f *serin.Function, v *serin.Version) (*executor.Spec, error) {
	return &executor.Spec{
		Function: f.Name, Version: v.Number.String(), Revision: v.RevisionID, Runtime: "python3.12", Handler: "app.handler",
		CodeDir: w.code, MemoryMB: 128, Timeout: 10 * time.Second, LogGroup: "g",
	}, nil
}

// burst runs n invocations of a version at a time and returns on what they ran.
func (w *world) burst(n int, number serin.VersionNumber) map[string]int {
	w.t.Helper()
	v, _ := w.shop.Version(number)
	spec, err := w.spec(w.t.Context(), w.shop, v)
	must(w.t, err)
	var mu sync.Mutex
	ran := map[string]int{}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			r, err := w.Executor.Invoke(w.t.Context(), spec, &executor.Invocation{RequestID: "id", Payload: []byte("0.4")})
			if err != nil {
				w.t.Error(err)
				return
			}
			var kind string
			if err := json.Unmarshal(r.Payload, &kind); err != nil {
				w.t.Errorf("%s: %v", r.Payload, err)
			}
			if r.Cold {
				kind = "cold"
			}
			mu.Lock()
			defer mu.Unlock()
			ran[kind]++
		})
	}
	all.Wait()
	return ran
}

// environments counts the environments of a version.
func (w *world) environments(version string) int {
	n := 0
	for _, e := range w.Executor.Environments() {
		if e.Key.Version == version {
			n++
		}
	}
	return n
}

// eventually waits until a condition holds that no event tells of.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(20 * time.Second); !holds(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("still not: %s", what)
		}
	}
}

func TestPrewarm(t *testing.T) {
	w := newWorld(t, time.Minute, time.Minute)
	must(t, w.Prewarm(t.Context(), "shop", 2, 1, 0.5))
	if n := w.environments("2"); n != 1 {
		t.Errorf("%d environments beside a version that has run nothing, want 1", n)
	}
	w.burst(4, 1)
	must(t, w.Prewarm(t.Context(), "shop", 2, 1, 0.7))
	if n := w.environments("2"); n != 3 {
		t.Errorf("%d environments for 0.7 of 4, want 3", n)
	}
	if ran := w.burst(3, 2); ran["on-demand"] != 3 {
		t.Errorf("the first invocations of what was warmed: %v", ran)
	}
	if err := w.Prewarm(t.Context(), "shop", 9, 1, 1); serin.KindOf(err) != serin.KindNotFound {
		t.Errorf("a version that does not exist: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(w.code, "app.py"), []byte("raise RuntimeError('no start')"), 0o644))
	if _, ok := errors.AsType[*executor.InitError](w.Prewarm(t.Context(), "shop", 3, 1, 1)); !ok {
		t.Error("a version that cannot start was warmed")
	}
}

func TestKeepWarm(t *testing.T) {
	w := newWorld(t, 100*time.Millisecond, 4*time.Second)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.burst(2, 1)
	}()
	v1, _ := w.shop.Version(1)
	eventually(t, "two run", func() bool { return w.concurrency(keyOf(w.shop, v1)) == 2 })
	began := time.Now()
	w.KeepWarm("shop", 1)
	<-ended
	w.burst(1, 2)
	eventually(t, "what nobody keeps is gone", func() bool { return w.environments("2") == 0 })
	if n := w.environments("1"); n != 2 {
		t.Errorf("%d environments are kept, want 2", n)
	}
	eventually(t, "the time is over", func() bool { return w.environments("1") == 0 })
	if held := time.Since(began); held < 4*time.Second {
		t.Errorf("kept for %v only", held)
	}
}

// Whatever happens to a function in whatever order, what is there in the end is what it asks for.
func TestKeeperConverges(t *testing.T) {
	w := newWorld(t, time.Minute, 0)
	change := func(rules func(*serin.Function, serin.Change)) {
		f := w.shop.Clone()
		rules(f, serin.Change{At: time.Now(), NewRevision: func() string { return "r" }})
		w.shop = f
		w.Table.Apply(w.Table.Applied()+1, "shop", f)
		w.Changed("shop")
	}
	provision := func(q string, n int) {
		change(func(f *serin.Function, c serin.Change) {
			_, err := f.ProvisionConcurrency(c, q, n, 1000)
			must(t, err)
		})
	}
	for n := range 5 { // nobody waits for any of it
		provision("1", n+1)
		change(func(f *serin.Function, _ serin.Change) { must(t, f.UnprovisionConcurrency("1")) })
	}
	provision("live", 3)
	provision("2", 1)
	eventually(t, "both are ready", func() bool {
		_, live, a, _ := w.Provisioned("shop", "live")
		_, two, b, _ := w.Provisioned("shop", "2")
		return live == 3 && two == 1 && a == Ready && b == Ready
	})
	if one, two := w.environments("1"), w.environments("2"); one != 3 || two != 1 {
		t.Errorf("%d and %d environments", one, two)
	}
	if ran := w.burst(4, 1); ran["provisioned-concurrency"] != 3 || ran["cold"] != 1 {
		t.Errorf("four at a time ran %v", ran)
	}
	w.Table.Apply(w.Table.Applied()+1, "shop", nil)
	w.Changed("shop")
	eventually(t, "nothing is kept", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.kept) == 0
	})
	if n := w.environments("2"); n != 0 {
		t.Errorf("%d environments of what is gone", n)
	}
}
