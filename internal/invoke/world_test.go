package invoke

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"serin"
	"serin/internal/metrics"
	"serin/internal/router"
	"serin/internal/store"
)

var place = serin.Place{Region: "us-east-1", Account: "000000000000"}

// world is a queue on a real store in fake time, with functions that are Go functions.
type world struct {
	*Queue
	t       *testing.T
	began   time.Time
	log     *lines
	invoker *Invoker
	stop    func() // as at the shutdown of a server

	mu        sync.Mutex
	functions map[string]func(context.Context, *Request) (*Response, error)
	calls     []call
	posts     func(*http.Request) (*http.Response, error)
	ids       int
	seq       int64
}

// call is an invocation.
type call struct {
	At time.Duration // after the beginning of the test
	Request
}

// inBubble runs a test with a running queue in fake time.
func inBubble(t *testing.T, test func(*world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, began: time.Now(), log: &lines{}, functions: map[string]func(context.Context, *Request) (*Response, error){}}
		table := router.New(place)
		w.Queue = NewQueue(QueueConfig{
			Place: place, Store: s, Table: table, Recorder: metrics.New(time.Now), Transport: w, Now: time.Now,
			NewID: w.newID, Log: slog.New(slog.NewTextHandler(w.log, nil)), Concurrency: 8,
		})
		w.invoker = New(Config{Place: place, Table: table, Queue: w.Queue})
		w.run()
		synctest.Wait()
		test(w)
		w.stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// run starts the queue; after stop it is as if the server had been started again.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx, w.call); err != nil {
			w.t.Error(err)
		}
	}()
	w.stop = func() { cancel(); <-done }
}

func (w *world) newID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return "new-" + strconv.Itoa(w.ids)
}

// call stands for [Invoker.Invoke].
func (w *world) call(ctx context.Context, in *Request) (*Response, error) {
	w.mu.Lock()
	w.calls = append(w.calls, call{time.Since(w.began), *in})
	f := w.functions[in.FunctionName]
	w.mu.Unlock()
	if f == nil {
		return nil, serin.Errorf(serin.KindNotFound, "Function not found: %s", place.FunctionARN(in.FunctionName, in.Qualifier))
	}
	return f(ctx, in)
}

// RoundTrip carries what the queue posts to a URL.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) { return w.posts(r) }

// function makes a function of the domain, or changes it, and says what it does; nil leaves that as it is.
func (w *world) function(name string, change func(*serin.Function), does func(context.Context, *Request) (*Response, error)) {
	w.t.Helper()
	c := serin.Change{At: time.Now(), NewRevision: func() string { return "r" }}
	f, ok := w.Table.Function(name)
	if ok {
		f = f.Clone()
	} else {
		f = serin.NewFunction(c, place, name, serin.Configuration{}, serin.Code{}, nil, 0)
		f.Settle(c, "")
	}
	if change != nil {
		change(f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	w.Table.Apply(w.seq, name, f)
	if does != nil {
		w.functions[name] = does
	}
}

// remove deletes a function.
func (w *world) remove(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	w.Table.Apply(w.seq, name, nil)
	delete(w.functions, name)
}

// on sets the handling of events of a qualifier.
func (w *world) on(qualifier string, ch serin.EventInvokeChange) func(*serin.Function) {
	return func(f *serin.Function) {
		if _, err := f.PutEventInvoke(serin.Change{At: time.Now()}, qualifier, ch); err != nil {
			w.t.Fatal(err)
		}
	}
}

func deadLetter(target string) func(*serin.Function) {
	return func(f *serin.Function) {
		latest := *f.Latest
		latest.Config.DeadLetterTarget = target
		f.Latest = &latest
	}
}

func all(changes ...func(*serin.Function)) func(*serin.Function) {
	return func(f *serin.Function) {
		for _, c := range changes {
			c(f)
		}
	}
}

// send sends an event as a caller does.
func (w *world) send(name, id, payload string) {
	w.t.Helper()
	function, qualifier, _ := strings.Cut(name, ":")
	out, err := w.invoker.Invoke(context.Background(), &Request{
		FunctionName: function, Qualifier: qualifier, Type: Event, RequestID: id, TraceID: "trace", ClientContext: `{"not":"kept"}`, Payload: []byte(payload),
	})
	if err != nil || out.ExecutedVersion != "" || out.Payload != nil {
		w.t.Fatalf("Invoke: %+v, %v", out, err)
	}
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// timesOf returns when a function was invoked.
func (w *world) timesOf(name string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var times []time.Duration
	for _, c := range w.calls {
		if c.FunctionName == name {
			times = append(times, c.At)
		}
	}
	return times
}

// last returns the newest invocation of a function.
func (w *world) last(name string) call {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range slices.Backward(w.calls) {
		if c.FunctionName == name {
			return c
		}
	}
	w.t.Fatalf("%s was never invoked", name)
	return call{}
}

// empty expects that nothing is in the queue any more.
func (w *world) empty() {
	w.t.Helper()
	lanes, err := w.Store.EventLanes(context.Background())
	if err != nil || len(lanes) > 0 {
		w.t.Errorf("in the queue: %v, %v", lanes, err)
	}
}

func (w *world) expect(what string, got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func answers(payload string) func(context.Context, *Request) (*Response, error) {
	return func(context.Context, *Request) (*Response, error) {
		return &Response{ExecutedVersion: "$LATEST", Payload: []byte(payload)}, nil
	}
}

func fails(context.Context, *Request) (*Response, error) {
	return &Response{ExecutedVersion: "$LATEST", FunctionError: "Unhandled", Payload: []byte(`{"errorType":"E","errorMessage":"no"}`)}, nil
}

func throttled(context.Context, *Request) (*Response, error) {
	return nil, &serin.Error{Kind: serin.KindThrottled, Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", Message: "Rate Exceeded."}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// find returns the lines with all of the parts.
func (l *lines) find(parts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) }) {
			found = append(found, line)
		}
	}
	return found
}

const minute, second = time.Minute, time.Second

func arn(name string) string { return "arn:aws:lambda:us-east-1:000000000000:function:" + name }

func to(success, failure string) serin.EventInvokeChange {
	return serin.EventInvokeChange{Destinations: &serin.Destinations{OnSuccess: success, OnFailure: failure}}
}

// condition checks the newest record that a function got.
func (w *world) condition(function, condition string, count, status int) {
	w.t.Helper()
	var r record
	if err := json.Unmarshal(w.last(function).Payload, &r); err != nil {
		w.t.Fatal(err)
	}
	w.expect("condition", r.RequestContext.Condition, condition)
	w.expect("approximateInvokeCount", r.RequestContext.ApproximateInvokeCount, count)
	got := 0
	if r.ResponseContext != nil {
		got = r.ResponseContext.StatusCode
	}
	w.expect("statusCode", got, status)
}

// gauge counts how many run at a time.
type gauge struct {
	mu        sync.Mutex
	now, most int
	runs      int
}

// during is a function that takes its time.
func (g *gauge) during(d time.Duration) func(context.Context, *Request) (*Response, error) {
	return func(context.Context, *Request) (*Response, error) {
		g.mu.Lock()
		g.now++
		g.runs++
		g.most = max(g.most, g.now)
		g.mu.Unlock()
		time.Sleep(d)
		g.mu.Lock()
		g.now--
		g.mu.Unlock()
		return &Response{Payload: []byte("null")}, nil
	}
}

// seen is how many ran at a time, and how many in all.
func (g *gauge) seen() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return []int{g.most, g.runs}
}
