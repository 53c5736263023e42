package notify_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"serin"
	"serin/internal/notify"
	"serin/internal/release"
	"serin/internal/store"
)

// call is a request that a target got.
type call struct {
	at     time.Time
	url    string
	header http.Header
	body   string
}

// world is a store and targets, in fake time.
type world struct {
	t       *testing.T
	store   *store.Store
	targets []notify.Target
	mu      sync.Mutex
	calls   []call
	answer  func(n int, c call) (status int, body string) // n counts from 0
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	n, c := len(w.calls), call{time.Now(), r.URL.String(), r.Header, string(body)}
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	status, text := w.answer(n, c)
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(text))}, nil
}

func (w *world) seen() []call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]call(nil), w.calls...)
}

// run tells for a while, by a server of its own.
func (w *world) run(d time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	n := notify.New(notify.Config{Store: w.store, Targets: w.targets, Now: time.Now, Transport: w, Log: slog.New(slog.DiscardHandler)})
	done := make(chan struct{})
	go func() { defer close(done); _ = n.Run(ctx) }()
	time.Sleep(d)
	stop()
	<-done
}

func inBubble(t *testing.T, targets []string, test func(*world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, store: s, answer: func(int, call) (int, string) { return 200, "{}" }}
		for _, text := range targets {
			target, err := notify.ParseTarget(text, notify.Secrets{Webhook: "s3cret", SlackToken: "xoxb-1"})
			if err != nil {
				t.Fatal(err)
			}
			w.targets = append(w.targets, target)
		}
		test(w)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// save writes a release and what is to be told about it.
func (w *world) save(types ...serin.ReleaseEventType) {
	w.t.Helper()
	r := &serin.Release{ID: "rel", Function: "shop", Alias: "live", Phase: serin.PhaseRunning}
	var notices []store.Notice
	for i, typ := range types {
		r.Log = append(r.Log, serin.ReleaseEvent{Type: typ, At: time.Now().UTC(), By: "ana", Reason: "<because>"})
		doc, err := json.Marshal(release.Notice{
			ID: fmt.Sprint("rel-", i+1), ReleaseID: "rel", Function: "shop", Alias: "live", From: 1, To: 2, Phase: r.Phase, Event: r.Log[i], Log: r.Log,
			New: []serin.Failure{{Text: "KeyError 'tenant'", Canary: 9}},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, t := range w.targets {
			notices = append(notices, store.Notice{Release: "rel", Target: t.Name, Document: string(doc)})
		}
	}
	if err := w.store.CreateRelease(w.t.Context(), r, notices...); err != nil {
		w.t.Fatal(err)
	}
}

// Whoever knows the secret can tell that a CloudEvent is the server's.
func TestCloudEvents(t *testing.T) {
	inBubble(t, []string{"https://hooks.example/x?key=1"}, func(w *world) {
		w.save(serin.ReleaseStarted, serin.ReleaseStep)
		w.run(time.Minute)
		calls := w.seen()
		if len(calls) != 2 {
			w.t.Fatalf("%d calls", len(calls))
		}
		for i, c := range calls {
			var event struct {
				SpecVersion, ID, Type, Subject, Source string
				Time                                   time.Time
				Data                                   release.Notice
			}
			if err := json.Unmarshal([]byte(c.body), &event); err != nil {
				w.t.Fatal(err)
			}
			if event.SpecVersion != "1.0" || event.ID != fmt.Sprint("rel-", i+1) || event.Subject != "shop:live" || event.Data.ReleaseID != "rel" ||
				event.Type != "dev.serin.release."+[]string{"started", "step"}[i] || event.Time.IsZero() {
				w.t.Errorf("%+v", event)
			}
			if !strings.HasPrefix(c.header.Get("Content-Type"), "application/cloudevents+json") {
				w.t.Errorf("content type %s", c.header.Get("Content-Type"))
			}
			seconds, sum, _ := strings.Cut(strings.TrimPrefix(c.header.Get(notify.SignatureHeader), "t="), ",v1=")
			mac := hmac.New(sha256.New, []byte("s3cret"))
			mac.Write([]byte(seconds + "." + c.body))
			if sum != hex.EncodeToString(mac.Sum(nil)) {
				w.t.Errorf("signature %s", c.header.Get(notify.SignatureHeader))
			}
		}
	})
}

// A notice is told until it is taken, in the order of the release, over restarts; until then everybody can see it.
func TestNoticesOutlastFailuresAndRestarts(t *testing.T) {
	inBubble(t, []string{"http://a.example/secret", "http://b.example/"}, func(w *world) {
		broken := true
		w.answer = func(_ int, c call) (int, string) {
			if strings.Contains(c.url, "a.example") && broken {
				return 503, "not now"
			}
			return 204, ""
		}
		w.save(serin.ReleaseStarted, serin.ReleaseHeld)
		w.run(time.Minute)
		waiting, err := w.store.ReleaseNotices(w.t.Context(), "rel")
		if err != nil || len(waiting) != 2 || waiting[0].Failures < 4 || !strings.Contains(waiting[0].Error, "503") || waiting[1].Failures != 0 ||
			strings.Contains(waiting[0].Target, "secret") {
			w.t.Fatalf("%+v, %v", waiting, err)
		}
		broken = false
		w.run(5 * time.Minute)
		order := map[string][]string{}
		for _, c := range w.seen() {
			var event struct{ ID string }
			_ = json.Unmarshal([]byte(c.body), &event)
			order[c.url] = append(order[c.url], event.ID)
		}
		a := order["http://a.example/secret"]
		if got := strings.Join(order["http://b.example/"], " "); got != "rel-1 rel-2" {
			w.t.Errorf("b was told %s", got)
		}
		if len(a) < 6 || a[len(a)-2] != "rel-1" || a[len(a)-1] != "rel-2" {
			w.t.Errorf("a was told %v", a)
		}
		if waiting, _ = w.store.ReleaseNotices(w.t.Context(), "rel"); len(waiting) != 0 {
			w.t.Errorf("left: %+v", waiting)
		}
	})
}

// Slack gets one message per release, which is then edited in place.
func TestSlackMessageIsEdited(t *testing.T) {
	inBubble(t, []string{"slack:#deploys"}, func(w *world) {
		w.answer = func(n int, _ call) (int, string) {
			if n == 0 {
				return 200, `{"ok":false,"error":"ratelimited"}`
			}
			return 200, `{"ok":true,"channel":"C1","ts":"17.5"}`
		}
		w.save(serin.ReleaseStarted, serin.ReleaseStep, serin.ReleaseRolledBack)
		w.run(time.Minute)
		calls := w.seen()
		if len(calls) != 4 {
			w.t.Fatalf("%d calls", len(calls))
		}
		for i, want := range []string{"/api/chat.postMessage", "/api/chat.postMessage", "/api/chat.update", "/api/chat.update"} {
			var body struct{ Channel, TS, Text string }
			if err := json.Unmarshal([]byte(calls[i].body), &body); err != nil {
				w.t.Fatal(err)
			}
			if !strings.HasSuffix(calls[i].url, want) || calls[i].header.Get("Authorization") != "Bearer xoxb-1" {
				w.t.Errorf("call %d: %s", i, calls[i].url)
			}
			if edited := i > 1; edited != (body.TS == "17.5" && body.Channel == "C1") {
				w.t.Errorf("call %d: %+v", i, body)
			}
			if i == 3 && (!strings.Contains(body.Text, "rolled back by ana: &lt;because&gt;") || !strings.Contains(body.Text, "started") ||
				!strings.Contains(body.Text, "new in version 2: KeyError 'tenant', 9×")) {
				w.t.Errorf("the message is %s", body.Text)
			}
		}
	})
}

// Where nothing can be edited, only what matters is told.
func TestSlackWebhook(t *testing.T) {
	inBubble(t, []string{"https://hooks.slack.com/services/T/B/x"}, func(w *world) {
		w.save(serin.ReleaseStarted, serin.ReleaseStep, serin.ReleasePromoted)
		w.run(time.Minute)
		if calls := w.seen(); len(calls) != 2 || !strings.Contains(calls[1].body, "promoted") {
			w.t.Errorf("%+v", calls)
		}
	})
}

// A target that is gone, or never answers, is given up after days, and blocks nobody else.
func TestNoticesAreGivenUp(t *testing.T) {
	inBubble(t, []string{"http://a.example/"}, func(w *world) {
		w.answer = func(int, call) (int, string) { return 302, "" }
		w.save(serin.ReleaseStarted)
		w.run(24 * time.Hour)
		if waiting, _ := w.store.ReleaseNotices(w.t.Context(), "rel"); len(waiting) != 1 {
			w.t.Fatal("given up too early")
		}
		w.run(72 * time.Hour)
		if waiting, _ := w.store.ReleaseNotices(w.t.Context(), "rel"); len(waiting) != 0 {
			w.t.Errorf("not given up: %+v", waiting)
		}
	})
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"slack:#a", "slack:", "https://a.example/x", "http://", "ftp://a", "\x00", "https://[::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := notify.ParseTarget(s, notify.Secrets{SlackToken: "t"})
		if (err == nil) != (target.Name != "") || err != nil && serin.KindOf(err) != serin.KindInvalid {
			t.Errorf("%q: %q, %v", s, target.Name, err)
		}
	})
}
