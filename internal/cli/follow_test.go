package cli

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/api"
)

// stage is a server that plays the documents of one release. A call to Wait gets the next one, or waits when
// there is none until a command has brought more.
type stage struct {
	t        *testing.T
	mu       sync.Mutex
	coming   []*api.ReleaseDocument
	last     *api.ReleaseDocument
	more     chan struct{}
	failures int // answers with 503 before the next document
	gone     *serin.Error
	commands []serin.Command
	react    map[serin.Command][]*api.ReleaseDocument
	statuses int
}

func newStage(t *testing.T, documents ...*api.ReleaseDocument) (*stage, *connection) {
	t.Helper()
	for i, d := range documents {
		d.Saved = int64(i + 1)
	}
	s := &stage{t: t, last: documents[0], coming: documents[1:], more: make(chan struct{}, 1), react: map[serin.Command][]*api.ReleaseDocument{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, newConnection(server.URL, defaultRegion, defaultAccount, aws.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"})
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, api.Prefix)
	switch {
	case r.Method == http.MethodPost:
		s.reply(w, s.command(serin.Command(path[strings.LastIndexByte(path, '/')+1:])))
	case strings.HasPrefix(path, "functions/"):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.statuses++
		s.reply(w, helloStatus())
	default:
		s.wait(w, r)
	}
}

func (s *stage) wait(w http.ResponseWriter, r *http.Request) {
	for {
		s.mu.Lock()
		switch {
		case s.gone != nil:
			w.WriteHeader(http.StatusNotFound)
			s.reply(w, map[string]string{"message": s.gone.Message})
			s.mu.Unlock()
			return
		case s.failures > 0:
			s.failures--
			w.WriteHeader(http.StatusServiceUnavailable)
			s.mu.Unlock()
			return
		case len(s.coming) > 0:
			s.last, s.coming = s.coming[0], s.coming[1:]
			s.reply(w, s.last)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *stage) command(c serin.Command) *api.ReleaseDocument {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, c)
	for i, d := range s.react[c] {
		d.Saved = s.last.Saved + int64(i) + 1
	}
	s.coming = append(s.coming, s.react[c]...)
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.last
}

func (s *stage) reply(w io.Writer, document any) {
	if err := json.NewEncoder(w).Encode(document); err != nil {
		s.t.Error(err)
	}
}

// watch follows the first document and returns the exit code and the types of the events.
func watch(ctx context.Context, t *testing.T, conn *connection, first *api.ReleaseDocument, change ...func(*follower)) (int, []string, string, error) {
	t.Helper()
	var text strings.Builder
	var events []event
	f := &follower{app: &app{System: System{Stderr: &text}}, conn: conn, within: rollbackWithin}
	f.sink = func(e event) { events = append(events, e) }
	for _, c := range change {
		c(f)
	}
	d, code, err := f.follow(ctx, first)
	if d == nil {
		t.Fatal("no last document")
	}
	return code, typesOf(events), text.String(), err
}

var (
	few         = counts(serin.Counts{Requests: 90}, serin.Counts{Requests: 10})
	rollingBack = phase(serin.PhaseRollingBack, "going back")
	personHolds = phase(serin.PhaseHeld, "held by ana")
	blindHold   = phase(serin.PhaseHeld, "not enough evidence after 30m0s: 10 requests of the canary")
	aborted     = endedAs(serin.EndingAborted, serin.VerdictNotEnough, "aborted by ana")
	promoted    = endedAs(serin.EndingPromoted, serin.VerdictNoWorse, "fine")
)

func inConflict(d *api.ReleaseDocument) { d.Conflict = true }

func TestFollow(t *testing.T) {
	for name, c := range map[string]struct {
		documents []*api.ReleaseDocument
		code      int
		events    []string
	}{
		"promoted": {
			[]*api.ReleaseDocument{running(), running(few), running(promoted)},
			exitDone,
			[]string{"started", "step", "sample", "sample", "verdict", "step ended", "promoted"},
		},
		"worse": {
			[]*api.ReleaseDocument{running(), running(rollingBack), running(endedAs(serin.EndingRolledBack, serin.VerdictWorse, "worse"))},
			exitWorse,
			[]string{"started", "step", "verdict", "step ended", "rolledBack"},
		},
		"rolled back by policy": {
			[]*api.ReleaseDocument{running(), running(endedAs(serin.EndingRolledBack, serin.VerdictNotEnough, "policy"))},
			exitNotEnough,
			[]string{"started", "step", "step ended", "rolledBack"},
		},
		"held by policy": {
			[]*api.ReleaseDocument{running(), running(blindHold)},
			exitNotEnough,
			[]string{"started", "step", "held"},
		},
		"held by a person, then resumed": {
			[]*api.ReleaseDocument{running(), running(personHolds), running(), running(promoted)},
			exitDone,
			[]string{"started", "step", "held", "resumed", "verdict", "step ended", "promoted"},
		},
		"aborted": {
			[]*api.ReleaseDocument{running(), running(aborted)},
			exitAborted,
			[]string{"started", "step", "step ended", "rolledBack"},
		},
		"conflict": {
			[]*api.ReleaseDocument{running(), running(aborted, inConflict)},
			exitConflict,
			[]string{"started", "step", "step ended"},
		},
		"over before it began": {
			[]*api.ReleaseDocument{running(promoted)},
			exitDone,
			[]string{"started", "verdict", "step", "step ended", "promoted"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, conn := newStage(t, c.documents...)
			code, events, _, err := watch(t.Context(), t, conn, c.documents[0])
			if err != nil || code != c.code {
				t.Errorf("exit code %d, %v; want %d", code, err, c.code)
			}
			if diff := cmp.Diff(c.events, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// A server that restarts is waited for; one that does not know the release is not.
func TestFollowServerTrouble(t *testing.T) {
	first := running()
	s, conn := newStage(t, first, running(promoted))
	s.failures = 3
	if code, _, _, err := watch(t.Context(), t, conn, first); code != exitDone || err != nil {
		t.Errorf("after three failures: exit code %d, %v", code, err)
	}
	if s.failures != 0 {
		t.Errorf("%d failures were not asked for", s.failures)
	}

	first = running()
	s, conn = newStage(t, first)
	s.gone = serin.Errorf(serin.KindNotFound, "Release not found: x")
	if code, _, _, err := watch(t.Context(), t, conn, first); code != exitNotFound || err == nil {
		t.Errorf("a release that is gone: exit code %d, %v", code, err)
	}
	if code, _, _, err := watch(t.Context(), t, conn, running(rollingBack)); code != exitRollbackFailed || err == nil {
		t.Errorf("a rollback that is gone: exit code %d, %v", code, err)
	}
}

func TestFollowSlowRollback(t *testing.T) {
	first := running(rollingBack)
	_, conn := newStage(t, first)
	code, _, _, err := watch(t.Context(), t, conn, first, func(f *follower) { f.within = time.Millisecond })
	if code != exitRollbackFailed || err == nil || !strings.Contains(err.Error(), "act now: serin status --function hello") {
		t.Errorf("exit code %d, %v", code, err)
	}
}

// An interruption aborts the release, and the command waits until the traffic is back.
func TestFollowInterrupted(t *testing.T) {
	first := running()
	s, conn := newStage(t, first)
	s.react[serin.CommandAbort] = []*api.ReleaseDocument{running(rollingBack), running(aborted)}
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	code, events, text, err := watch(ctx, t, conn, first)
	if code != exitAborted || err != nil || len(s.commands) != 1 || s.commands[0] != serin.CommandAbort {
		t.Errorf("exit code %d, %v, commands %v", code, err, s.commands)
	}
	if events[len(events)-1] != eventRolledBack || !strings.Contains(text, "interrupted: rolling back to v1") {
		t.Errorf("events %v, text %q", events, text)
	}
}

// On a terminal keys command the release, and the screen is left as it was found.
func TestFollowOnTerminal(t *testing.T) {
	first := running()
	s, conn := newStage(t, first)
	s.react[serin.CommandHold] = []*api.ReleaseDocument{running(personHolds)}
	s.react[serin.CommandResume] = []*api.ReleaseDocument{running()}
	s.react[serin.CommandPromote] = []*api.ReleaseDocument{running(promoted)}
	keys, typed := io.Pipe()
	defer typed.Close()
	go func() { _, _ = typed.Write([]byte("hrpy")) }()
	raw := 0
	var screenText strings.Builder
	code, _, _, err := watch(t.Context(), t, conn, first, func(f *follower) {
		f.Stdin = keys
		f.Terminal = &Terminal{
			Raw:   func() (func(), error) { raw++; return func() { raw-- }, nil },
			Width: func() int { return 200 },
		}
		f.screen = &screen{to: &screenText, width: f.Terminal.Width}
	})
	if code != exitDone || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	want := []serin.Command{serin.CommandHold, serin.CommandResume, serin.CommandPromote}
	if diff := cmp.Diff(want, s.commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if raw != 0 {
		t.Error("the terminal was left in raw mode")
	}
	for _, part := range []string{"hello  live  v1 ▸ v2", "[p]romote  [s]kip the step  [h]old", "promote without enough evidence?", "observed v1 74.2 %", "p95"} {
		if !strings.Contains(screenText.String(), part) {
			t.Errorf("the screen never showed %q", part)
		}
	}
	if s.statuses == 0 || !strings.HasSuffix(screenText.String(), "\x1b[J") {
		t.Errorf("%d statuses; the screen ends with %q", s.statuses, screenText.String()[max(0, screenText.Len()-40):])
	}
}

func TestFollowDetach(t *testing.T) {
	first := running()
	s, conn := newStage(t, first)
	keys, typed := io.Pipe()
	defer typed.Close()
	go func() { _, _ = typed.Write([]byte("\x03d")) }()
	code, _, _, err := watch(t.Context(), t, conn, first, func(f *follower) {
		f.Stdin = keys
		f.Terminal = &Terminal{Raw: func() (func(), error) { return func() {}, nil }, Width: func() int { return 80 }}
		f.screen = &screen{to: io.Discard, width: f.Terminal.Width}
	})
	if code != exitDone || err != nil || len(s.commands) != 0 {
		t.Errorf("exit code %d, %v, commands %v", code, err, s.commands)
	}
}

func TestPace(t *testing.T) {
	var p pace
	p.count(0, began)
	p.count(1, began.Add(100*time.Millisecond)) // too soon to say
	if p.perSecond != 0 {
		t.Errorf("after 0.1 s: %v", p.perSecond)
	}
	p.count(20, began.Add(time.Second))
	if p.perSecond != 20 {
		t.Errorf("after 1 s: %v", p.perSecond)
	}
	p.count(20, began.Add(2*time.Second))
	if p.perSecond != 14 {
		t.Errorf("after a second without requests: %v", p.perSecond)
	}
}

// The answer to a command can overtake what the server was waiting to say.
func TestFollowStaleDocument(t *testing.T) {
	first, stale, answer := running(), running(), running(aborted)
	first.Saved, stale.Saved, answer.Saved = 1, 2, 3
	var events []event
	f := &follower{app: &app{}, sink: func(e event) { events = append(events, e) }, within: rollbackWithin}
	for _, d := range []*api.ReleaseDocument{first, answer, stale} {
		f.see(d)
	}
	if f.release != answer {
		t.Error("an older document took the place of a newer one")
	}
	if diff := cmp.Diff([]string{"started", "step", "step ended", "rolledBack"}, typesOf(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
