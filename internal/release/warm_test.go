package release_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
)

// warmer notes what it is asked for, and how the alias routed then. A canary takes it takes to get warm.
type warmer struct {
	aliases *aliases
	takes   time.Duration
	err     error

	mu    sync.Mutex
	asked []string
}

func (w *warmer) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, fmt.Sprintf(format, args...)+fmt.Sprintf(" while the canary gets %v", w.aliases.routing().Share(2)))
}

func (w *warmer) Prewarm(ctx context.Context, function string, version, like serin.VersionNumber, share float64) error {
	w.note("warm %s:%s for %v of %s", function, version, share, like)
	select {
	case <-time.After(w.takes):
		return w.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *warmer) KeepWarm(function string, version serin.VersionNumber) {
	w.note("keep %s:%s", function, version)
}

// withWarmer restarts the controller with something that warms.
func (w *world) withWarmer(takes time.Duration, err error) *warmer {
	w.kill()
	warm := &warmer{aliases: w.aliases, takes: takes, err: err}
	w.warmer = warm
	w.run()
	return warm
}

func TestCanaryIsWarmBeforeItsFirstRequest(t *testing.T) {
	inBubble(t, func(w *world) {
		w.live(1)
		warm := w.withWarmer(3*time.Second, nil)
		w.with(200, nil, func() {
			w.start(2, func(p *serin.Policy) { p.Steps = []float64{10, 100} })
			synctest.Wait()
			time.Sleep(2 * time.Second)
			if got := w.aliases.routing(); got.Weighted() {
				t.Errorf("the canary has %v of the traffic before it is warm", got.Weight)
			}
			time.Sleep(2 * time.Second)
			if got := w.aliases.routing(); got.Weight != 0.1 {
				t.Errorf("the alias routes %+v when the canary is warm", got)
			}
			time.Sleep(20 * time.Minute)
		})
		if got := w.aliases.routing(); got != (serin.Routing{Version: 2}) {
			t.Errorf("in the end: %+v", got)
		}
		want := []string{
			"warm shop:2 for 0.1 of 1 while the canary gets 0",
			"keep shop:1 while the canary gets 0.1", "warm shop:2 for 1 of 1 while the canary gets 0.1",
		}
		warm.mu.Lock()
		defer warm.mu.Unlock()
		if d := cmp.Diff(want, warm.asked); d != "" {
			t.Error(d)
		}
	})
}

// Nobody waits for a canary that is not wanted any more, and one that cannot be warmed is judged like any other.
func TestWarmingIsInNobodysWay(t *testing.T) {
	inBubble(t, func(w *world) {
		w.live(1)
		w.withWarmer(time.Hour, nil)
		r := w.start(2, nil)
		synctest.Wait()
		if _, err := w.Command(context.Background(), r.ID, serin.Instruction{Command: serin.CommandAbort}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, err := w.Get(context.Background(), r.ID); err != nil || got.Ending != serin.EndingAborted {
			t.Errorf("aborted while its canary gets warm: %+v, %v", got, err)
		}

		w.withWarmer(0, errors.New("no start"))
		w.start(3, nil)
		synctest.Wait()
		if got := w.aliases.routing(); got.Share(3) != 0.05 {
			t.Errorf("a canary that could not be warmed: %+v", got)
		}
	})
}
