package release_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"serin"
)

// hooks answer what checks ask, and remember it.
type hooks struct {
	mu     sync.Mutex
	events []serin.CheckEvent
	tested []string // events for the version under test
	answer func(ctx context.Context, e serin.CheckEvent) (answer []byte, functionError string, err error)
}

func (h *hooks) invoke(ctx context.Context, function, qualifier string, payload []byte) ([]byte, string, error) {
	var e serin.CheckEvent
	h.mu.Lock()
	if function == "shop" {
		h.tested = append(h.tested, qualifier+" "+string(payload))
	} else if json.Unmarshal(payload, &e) == nil {
		h.events = append(h.events, e)
	}
	h.mu.Unlock()
	if h.answer == nil {
		return []byte("null"), "", nil
	}
	return h.answer(ctx, e)
}

func (h *hooks) calls() []serin.CheckEvent {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]serin.CheckEvent(nil), h.events...)
}

func checked(before, after []serin.Check) func(*serin.Policy) {
	return func(p *serin.Policy) {
		p.Steps, p.Pace, p.Bake = []float64{50, 100}, serin.PaceTime, serin.Duration(time.Second)
		p.Before, p.After = before, after
	}
}

var probe = []serin.Check{{Function: "probe:live"}}

// Checks run one after the other, each told which version it is about, and the traffic waits for them.
func TestChecks(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.hooks.answer = func(context.Context, serin.CheckEvent) ([]byte, string, error) {
			if w.aliases.routing() != (serin.Routing{Version: 1}) && len(w.hooks.calls()) < 2 {
				t.Errorf("traffic before the checks: %+v", w.aliases.routing())
			}
			return []byte(`{"statusCode":204}`), "", nil
		}
		before := append([]serin.Check{{Event: json.RawMessage(`{"smoke":true}`), Status: 204}}, probe...)
		r := w.until(w.start(2, checked(before, []serin.Check{{Function: "after"}})).ID, ended)
		if r.Ending != serin.EndingPromoted || w.aliases.routing() != (serin.Routing{Version: 2}) || len(r.Checks) != 3 {
			t.Fatalf("%s: %s; %+v", r.Ending, r.Reason, r.Checks)
		}
		calls := w.hooks.calls()
		if len(calls) != 2 || len(w.hooks.tested) != 1 || w.hooks.tested[0] != `2 {"smoke":true}` {
			t.Fatalf("%+v, %v", calls, w.hooks.tested)
		}
		if e := calls[0]; e.When != serin.BeforeTraffic || e.Version != 2 || e.Baseline != 1 || e.ReleaseID != r.ID || e.CheckID != r.Checks[1].ID ||
			!strings.HasSuffix(e.VersionARN, ":shop:2") {
			t.Errorf("%+v", e)
		}
		if calls[1].When != serin.AfterTraffic {
			t.Errorf("%+v", calls[1])
		}
	})
}

// A check that does not hold, for whatever reason, keeps the traffic away.
func TestChecksFailClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		check  serin.Check
		answer func(context.Context, serin.CheckEvent) ([]byte, string, error)
		detail string
	}{
		"the hook fails": {probe[0], func(context.Context, serin.CheckEvent) ([]byte, string, error) {
			return []byte(`{"errorMessage":"no"}`), "Unhandled", nil
		}, "Unhandled"},
		"there is no hook": {probe[0], func(context.Context, serin.CheckEvent) ([]byte, string, error) {
			return nil, "", errors.New("Function not found: probe")
		}, "Function not found"},
		"the hook hangs": {probe[0], func(ctx context.Context, _ serin.CheckEvent) ([]byte, string, error) {
			<-ctx.Done()
			return []byte("null"), "", nil
		}, "no answer within 1m0s"},
		"a server error": {serin.Check{Event: json.RawMessage("{}")}, func(context.Context, serin.CheckEvent) ([]byte, string, error) {
			return []byte(`{"statusCode":503}`), "", nil
		}, "status 503"},
		"another status": {serin.Check{Event: json.RawMessage("{}"), Status: 200}, func(context.Context, serin.CheckEvent) ([]byte, string, error) {
			return []byte(`{"statusCode":404}`), "", nil
		}, "status 404, not 200"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				t := w.t // of the bubble
				w.live(1)
				w.hooks.answer = tt.answer
				r := w.until(w.start(2, checked([]serin.Check{tt.check}, nil)).ID, ended)
				if r.Ending != serin.EndingRefused || !strings.Contains(r.Reason, tt.detail) || len(r.Steps) != 0 {
					t.Errorf("%s: %s", r.Ending, r.Reason)
				}
				if n := len(w.aliases.moves); n != 1 {
					t.Errorf("%d moves", n)
				}
				w.aliases.mu.Lock()
				delete(w.aliases.function.Aliases, "live") // a first release is checked, too
				w.aliases.mu.Unlock()
				p := serin.DefaultPolicy()
				p.Before = []serin.Check{tt.check}
				_, err := w.Start(t.Context(), request(2, p))
				kind(t, err, serin.KindConflict)
				if _, _, err := w.aliases.Alias("shop", "live"); err == nil {
					t.Error("the alias was created")
				}
			})
		})
	}
}

func TestCheckAfterTrafficRollsBack(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.hooks.answer = func(_ context.Context, e serin.CheckEvent) ([]byte, string, error) {
			return nil, map[serin.When]string{serin.AfterTraffic: "Unhandled"}[e.When], nil
		}
		r := w.until(w.start(2, checked(probe, probe)).ID, ended)
		if r.Ending != serin.EndingRolledBack || w.aliases.routing() != (serin.Routing{Version: 1}) || !strings.Contains(r.Reason, "probe:live") {
			t.Errorf("%s: %s; %+v", r.Ending, r.Reason, w.aliases.routing())
		}
	})
}

// A check can be aborted, and nothing else.
func TestAbortDuringACheck(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		stopped := make(chan struct{})
		w.hooks.answer = func(ctx context.Context, _ serin.CheckEvent) ([]byte, string, error) {
			<-ctx.Done()
			close(stopped)
			return nil, "", ctx.Err()
		}
		id := w.start(2, checked(probe, nil)).ID
		w.until(id, func(r *serin.Release) bool { return len(r.Checks) == 1 })
		time.Sleep(time.Second)
		_, err := instruct(w, id, serin.Instruction{Command: serin.CommandPromote})
		kind(t, err, serin.KindConflict)
		if _, err = instruct(w, id, serin.Instruction{Command: serin.CommandAbort}); err != nil {
			t.Fatal(err)
		}
		if r := w.until(id, ended); r.Ending != serin.EndingAborted || w.aliases.routing() != (serin.Routing{Version: 1}) {
			t.Errorf("%s: %+v", r.Ending, w.aliases.routing())
		}
		<-stopped
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A hook at a URL is told the same id however often it is called, and a redirect is no success.
func TestHookAtAURL(t *testing.T) {
	for status, ending := range map[int]serin.Ending{200: serin.EndingPromoted, 204: serin.EndingPromoted, 302: serin.EndingRefused, 500: serin.EndingRefused} {
		inBubble(t, func(w *world) {
			t := w.t // of the bubble
			w.live(1)
			w.transport = func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Serin-Check-Id") != "release-1-before-1" || r.URL.Host != "ci.example" || r.Method != http.MethodPost {
					t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
				}
				return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{"Location": {"http://elsewhere.example"}}, Body: http.NoBody}, nil
			}
			r := w.until(w.start(2, checked([]serin.Check{{URL: "https://ci.example/hook?secret"}}, nil)).ID, ended)
			if r.Ending != ending || strings.Contains(r.Reason, "secret") {
				t.Errorf("%d: %s: %s", status, r.Ending, r.Reason)
			}
		})
	}
}

// The check that the server was killed in runs again, under the same id, until its time is over.
func TestCheckGoesOnAfterAKill(t *testing.T) {
	inBubble(t, func(w *world) {
		t := w.t // of the bubble
		w.live(1)
		w.hooks.answer = func(ctx context.Context, _ serin.CheckEvent) ([]byte, string, error) {
			if len(w.hooks.calls()) == 1 {
				<-ctx.Done()
				return nil, "", ctx.Err()
			}
			return nil, "", nil
		}
		id := w.start(2, checked(probe, nil)).ID
		w.until(id, func(r *serin.Release) bool { return len(r.Checks) == 1 })
		time.Sleep(time.Second)
		w.kill()
		w.run()
		r := w.until(id, ended)
		calls := w.hooks.calls()
		if r.Ending != serin.EndingPromoted || len(calls) != 2 || calls[0].CheckID != calls[1].CheckID || !calls[0].Deadline.Equal(calls[1].Deadline) {
			t.Errorf("%s: %+v", r.Ending, calls)
		}
	})
}
