package codedeploy_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/google/go-cmp/cmp"
)

// effects is the log of a server that is killed at its at-th effect: from then on no goroutine of it has another one.
type effects struct {
	mu   sync.Mutex
	seen int
	at   int
	kill func()
	hit  atomic.Bool
}

func (e *effects) Enabled(context.Context, slog.Level) bool { return true }
func (e *effects) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e *effects) WithGroup(string) slog.Handler            { return e }

func (e *effects) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, "effect ") {
		return nil
	}
	e.mu.Lock()
	e.seen++
	now, dead := e.seen == e.at, e.seen >= e.at
	e.mu.Unlock()
	if now {
		e.hit.Store(true)
		e.kill()
	}
	if dead {
		runtime.Goexit()
	}
	return nil
}

// Killed between any two effects of a deployment or its release, the server converges to the same end: the same traffic
// in the same order, every hook under one id, one rollback, and a group that is free for the next deployment.
func TestCrashMatrix(t *testing.T) {
	promoted := []string{"1", "1+2@0.1", "1+2@1", "2"}
	for name, c := range map[string]struct {
		after  types.LifecycleEventStatus // what the second hook reports; nothing for a stop during the first step
		status types.DeploymentStatus
		moves  []string
		least  int
	}{
		"succeeds":   {types.LifecycleEventStatusSucceeded, types.DeploymentStatusSucceeded, promoted, 20},
		"fails":      {types.LifecycleEventStatusFailed, types.DeploymentStatusFailed, []string{"1", "1+2@0.1", "1+2@1", "1"}, 20},
		"is stopped": {"", types.DeploymentStatusStopped, []string{"1", "1+2@0.1", "1"}, 14},
	} {
		t.Run(name, func(t *testing.T) {
			points := 0
			for n := 1; ; n++ {
				happened := false
				inBubble(t, func(w *world) {
					t := w.t // of the bubble
					w.report = func(e hookEvent) types.LifecycleEventStatus {
						if e.function == "post" {
							return c.after
						}
						return types.LifecycleEventStatusSucceeded
					}
					w.group("CodeDeployDefault.LambdaCanary10Percent5Minutes", allRollbacks)
					var id string
					id, happened = w.travel(n, c.after == "")
					info := w.ended(id)
					if info.Status != c.status {
						t.Errorf("killed at effect %d: %s %+v", n, info.Status, info.ErrorInformation)
					}
					if d := cmp.Diff(c.moves, w.aliases.moves); d != "" {
						t.Errorf("killed at effect %d: %s", n, d)
					}
					ids := map[string]string{}
					for _, e := range w.received() {
						ids[e.function+e.ExecutionID] = e.ExecutionID
					}
					if want := map[bool]int{true: 1, false: 2}[c.after == ""]; len(ids) != want {
						t.Errorf("killed at effect %d: hooks %v", n, ids)
					}
					checkAfterwards(w, n, info)
				})
				if !happened {
					break
				}
				points++
			}
			if points < c.least {
				t.Errorf("killed at %d effects only", points)
			}
		})
	}
}

// travel deploys with a server that is killed at its n-th effect, and starts the next one. It reports whether there was
// an n-th.
func (w *world) travel(n int, stopped bool) (id string, happened bool) {
	w.kill()
	e := &effects{at: n}
	w.log = e
	e.kill = func() { w.stop() }
	w.run()
	id = w.deploy(spec("1", "2", "pre", "post"))
	alive := func() bool { return !e.hit.Load() && w.get(id).CompleteTime == nil }
	asked := false
	if stopped {
		for alive() && w.routing() == "1" {
			time.Sleep(100 * time.Millisecond)
		}
		// Whoever asks for the stop is gone with the server if it is killed by then.
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if alive() {
				_, err := w.StopDeployment(w.ctx, &sdk.StopDeploymentInput{DeploymentId: &id, AutoRollbackEnabled: aws.Bool(true)})
				asked = err == nil
			}
		}()
		<-answered
	}
	for alive() {
		time.Sleep(time.Second)
	}
	w.kill()
	w.log = slog.DiscardHandler
	w.run()
	if stopped && !asked { // it may be on record all the same
		w.eventually("the first step", func() bool { return w.get(id).CompleteTime != nil || w.routing() != "1" })
		_, _ = w.StopDeployment(w.ctx, &sdk.StopDeploymentInput{DeploymentId: &id, AutoRollbackEnabled: aws.Bool(true)})
	}
	return id, e.hit.Load()
}

func checkAfterwards(w *world, n int, info *types.DeploymentInfo) {
	w.t.Helper()
	out, err := w.ListDeployments(w.ctx, &sdk.ListDeploymentsInput{})
	want := 1
	if info.Status != types.DeploymentStatusSucceeded {
		want = 2
		checkRollback(w, info)
	}
	if err != nil || len(out.Deployments) != want {
		w.t.Errorf("killed at effect %d: deployments %v, %v", n, out, err)
	}
	from, to := "1", "3"
	if want == 1 {
		from = "2"
	}
	if next := w.ended(w.deploy(spec(from, to))); next.Status != types.DeploymentStatusSucceeded && w.report == nil {
		w.t.Errorf("killed at effect %d: the next deployment %s %+v", n, next.Status, next.ErrorInformation)
	}
}
