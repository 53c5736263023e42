package invoke

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"serin"
	"serin/internal/metrics"
	"serin/internal/router"
	"serin/internal/store"
)

// QueueConfig is what a [Queue] works with.
type QueueConfig struct {
	Place    serin.Place
	Store    *store.Store
	Table    *router.Table
	Recorder *metrics.Recorder
	// Transport carries records to URLs; nil stands for one with the usual limits.
	Transport http.RoundTripper
	Now       func() time.Time
	NewID     func() string // fresh UUIDs
	Log       *slog.Logger
	// Concurrency is how many events run at a time (default 16 for each CPU). No function gets more than half of it.
	Concurrency int
}

const (
	// concurrencyPerCPU is how many events run at a time by default: they mostly wait.
	concurrencyPerCPU = 16
	// glance is how many of the events that are due are looked at first.
	glance = 64
	// perHost is how many records are on their way to one host at a time.
	perHost = 8
	// leaseTime is how long events stay away from other servers after the server that runs them has died. One that
	// is restarted with the same data has its own back at once.
	leaseTime = time.Minute
	// pause is how long the queue waits after the database has failed, or a document could not be read.
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	unreadable   = 5 * time.Minute
)

// Queue runs events: asynchronous invocations, and the records that tell of their ends.
//
// An event is in the store from before its acceptance to after its end. The queue leases those that are due, runs
// each of them as an ordinary invocation, and then, in one transaction, either returns it to be tried again later,
// or removes it and enqueues what it entails. So it runs at least once, whenever the server dies; it runs once
// more if that happens between the answer of the function and the transaction, or if the lease has run out because the
// server stood still for longer than that.
//
// Events wait in lanes, one for each function and for each host. A lane has only so many events running, so a
// function that is slow, or down to a small reserved concurrency, keeps nobody else's events from running.
type Queue struct {
	QueueConfig
	client *http.Client
	wake   chan struct{} // says that an event has been dealt with
	invoke func(context.Context, *Request) (*Response, error)
	runs   sync.WaitGroup
	stop   <-chan struct{} // closed when Run is to end

	mu      sync.Mutex
	running map[int64]*leased // by event
	busy    map[string]int    // how many of them are of each lane
}

// leased is an event that runs.
type leased struct {
	lane  string
	lease store.Lease // changes if the queue gets the event again while it still runs
}

// NewQueue returns a queue that can accept events. They run under [Queue.Run].
func NewQueue(cfg QueueConfig) *Queue {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = concurrencyPerCPU * runtime.GOMAXPROCS(0)
	}
	if cfg.Transport == nil {
		cfg.Transport = newTransport()
	}
	return &Queue{
		QueueConfig: cfg, client: newClient(cfg.Transport), wake: make(chan struct{}, 1),
		running: map[int64]*leased{}, busy: map[string]int{},
	}
}

// accept keeps an event and returns when it is on disk. The payload is JSON.
//
// Errors: KindTooLarge, and those of [store.Store.Enqueue].
func (q *Queue) accept(ctx context.Context, route router.Route, qualifier string, in *Request, payload []byte) error {
	if len(payload) > maxEventPayload {
		return serin.Errorf(serin.KindTooLarge, "%d byte payload is too large for the Event invocation type (limit %d bytes)", len(payload), maxEventPayload)
	}
	now := q.Now()
	e := &event{
		RequestID: in.RequestID, Function: route.Function.Name, Qualifier: qualifier, TraceID: in.TraceID,
		Key:      headerKey(in.Header, route.Function.RouteSettingsAt(qualifier).Key),
		Accepted: now, Settings: settingsOf(route.Function, route.Version, qualifier),
	}
	packed, err := e.pack(payload, now)
	if err != nil {
		return err
	}
	if err := q.Store.Enqueue(ctx, packed); err != nil {
		return err
	}
	q.Recorder.EventReceived(e.Function, e.Qualifier)
	return nil
}

// Run runs events by invoke until the context ends and those that are running have ended.
func (q *Queue) Run(ctx context.Context, invoke func(context.Context, *Request) (*Response, error)) error {
	q.invoke, q.stop = invoke, ctx.Done()
	defer q.client.CloseIdleConnections()
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var renewing sync.WaitGroup
	renewing.Go(func() { q.renew(inner) })
	q.release(ctx) // what an earlier server on the same data had leased
	wait := firstPause
	for ctx.Err() == nil {
		changed := q.Store.EventsChanged() // before looking
		next, err := q.dispatch(ctx)
		if err == nil {
			wait = firstPause
		} else if ctx.Err() == nil {
			q.Log.WarnContext(ctx, "cannot read the queue of events, trying again", "error", err, "pause", wait)
			next = q.Now().Add(wait)
			wait = min(2*wait, longestPause)
		}
		q.sleep(ctx, changed, next)
	}
	q.runs.Wait()
	cancel()
	renewing.Wait()
	q.release(ctx) // what could not be returned
	return nil
}

func (q *Queue) release(ctx context.Context) {
	n, err := q.Store.ReleaseEvents(context.WithoutCancel(ctx), q.Now())
	if err != nil {
		q.Log.WarnContext(ctx, "cannot release events; they run when their leases end", "error", err)
	} else if n > 0 {
		q.Log.InfoContext(ctx, "released events that this server had not finished", "events", n)
	}
}

// sleep waits until there may be something to do.
func (q *Queue) sleep(ctx context.Context, changed <-chan struct{}, next time.Time) {
	if poll := q.Store.EventPoll(); poll > 0 {
		if again := q.Now().Add(poll); next.IsZero() || again.Before(next) {
			next = again
		}
	}
	var alarm <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(next.Sub(q.Now()))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-q.wake:
	case <-alarm:
	}
}

// dispatch takes what is due and has room, and starts it. It returns when the next event will be due, or zero.
func (q *Queue) dispatch(ctx context.Context) (time.Time, error) {
	for q.free() > 0 {
		now := q.Now()
		due, err := q.Store.DueEvents(ctx, now, glance)
		if err != nil {
			return time.Time{}, err
		}
		wants := q.wants(due.Lanes)
		if len(wants) == 0 && due.More { // a lane without room is in front
			if wants, err = q.wantsBehind(ctx, now); err != nil {
				return time.Time{}, err
			}
		}
		if len(wants) == 0 {
			return due.Next, nil
		}
		taken, err := q.Store.TakeEvents(ctx, wants, now, now.Add(leaseTime))
		if err != nil {
			return time.Time{}, err
		}
		for _, t := range taken {
			q.start(ctx, t)
		}
		if len(taken) == 0 { // other servers were faster
			return now.Add(firstPause), nil
		}
	}
	return time.Time{}, nil
}

// free is how many more events can run.
func (q *Queue) free() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.Concurrency - len(q.running)
}

// wants shares out the room among the lanes, in which something is due, those first that have the least running.
func (q *Queue) wants(lanes []string) (wants []store.EventWant) {
	free := q.free()
	q.mu.Lock()
	defer q.mu.Unlock()
	type open struct {
		lane       string
		busy, room int
	}
	var all []open
	for _, l := range lanes {
		if o := (open{l, q.busy[l], q.limit(l) - q.busy[l]}); o.room > 0 {
			all = append(all, o)
		}
	}
	slices.SortStableFunc(all, func(a, b open) int { return a.busy - b.busy })
	for i, o := range all {
		if n := min(o.room, max(1, free/(len(all)-i)), free); n > 0 {
			wants = append(wants, store.EventWant{Lane: o.lane, Most: n})
			free -= n
		}
	}
	return wants
}

// wantsBehind is wants for all lanes.
func (q *Queue) wantsBehind(ctx context.Context, now time.Time) ([]store.EventWant, error) {
	lanes, err := q.Store.EventLanes(ctx)
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(l store.Lane) bool { return l.Due.After(now) })
	slices.SortFunc(lanes, func(a, b store.Lane) int { return a.Due.Compare(b.Due) })
	names := make([]string, len(lanes))
	for i, l := range lanes {
		names[i] = l.Name
	}
	return q.wants(names), nil
}

// limit is how many events of a lane run at a time.
func (q *Queue) limit(lane string) int {
	f, ok := q.Table.Function(lane)
	switch {
	case isURL(lane):
		return perHost
	case ok && f.Reserved != nil && *f.Reserved > 0: // those of a function with 0 are ended, not run
		return min(*f.Reserved, max(q.Concurrency/2, 1))
	default:
		return max(q.Concurrency/2, 1)
	}
}

// start runs an event on a goroutine of its own.
func (q *Queue) start(ctx context.Context, t store.TakenEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.running[t.Lease.Event]; r != nil { // its lease ran out before it could be extended
		r.lease = t.Lease
		return
	}
	q.running[t.Lease.Event] = &leased{t.Lane, t.Lease}
	q.busy[t.Lane]++
	q.runs.Go(func() {
		q.process(context.WithoutCancel(ctx), t)
		q.end(t)
	})
}

func (q *Queue) end(t store.TakenEvent) {
	q.mu.Lock()
	delete(q.running, t.Lease.Event)
	if q.busy[t.Lane]--; q.busy[t.Lane] == 0 {
		delete(q.busy, t.Lane)
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// renew keeps the leases of what runs from ending.
func (q *Queue) renew(ctx context.Context) {
	ticker := time.NewTicker(leaseTime / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		leases := q.leases()
		if len(leases) == 0 {
			continue
		}
		if err := q.Store.ExtendEvents(ctx, leases, q.Now().Add(leaseTime)); err != nil && ctx.Err() == nil {
			q.Log.WarnContext(ctx, "cannot extend the leases on events; they may run twice", "events", len(leases), "error", err)
		}
	}
}

func (q *Queue) leases() []store.Lease {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]store.Lease, 0, len(q.running))
	for _, r := range q.running {
		all = append(all, r.lease)
	}
	return all
}

// process makes one attempt at an event and saves what follows from it.
func (q *Queue) process(ctx context.Context, t store.TakenEvent) {
	e := &event{}
	if err := json.Unmarshal([]byte(t.Document), e); err != nil {
		// A newer server may know what to do with it.
		q.Log.ErrorContext(ctx, "cannot read an event, trying again later", "lane", t.Lane, "error", err, "pause", unreadable)
		q.save(ctx, t, e, func(ctx context.Context, l store.Lease) error {
			return q.Store.ReturnEvent(ctx, l, q.Now().Add(unreadable), t.Document)
		})
		return
	}
	v := q.attempt(ctx, e, t.Payload)
	if v.condition == "" {
		q.postpone(ctx, t, e, v.due)
		return
	}
	q.conclude(ctx, t, e, v.condition)
}
