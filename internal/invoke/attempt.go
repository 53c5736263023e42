package invoke

import (
	"context"
	"errors"
	"net/http"
	"time"

	"serin"
	"serin/internal/store"
)

// attempt runs an event once, unless it is past that, and says how to go on.
func (q *Queue) attempt(ctx context.Context, e *event, payload []byte) verdict {
	now := q.Now()
	if e.URL != "" {
		if !now.Before(e.deadline()) {
			return verdict{condition: conditionAged}
		}
		return q.post(ctx, e, payload)
	}
	if q.refresh(e) {
		return verdict{condition: conditionZeroReserved}
	}
	if !now.Before(e.deadline()) {
		return verdict{condition: conditionAged}
	}
	q.Recorder.EventStarted(e.Function, e.Qualifier, now.Sub(e.Accepted))
	out, err := q.invoke(ctx, &Request{
		FunctionName: e.Function, Qualifier: e.Qualifier, Type: RequestResponse, ClientContext: e.ClientContext,
		TraceID: e.TraceID, RequestID: e.RequestID, Payload: payload, Key: e.Key, NoWait: true,
	})
	v := e.judge(out, err, q.Now())
	if err != nil && e.Last.StatusCode != http.StatusTooManyRequests { // being throttled is normal
		q.Log.WarnContext(ctx, "an event could not be run", append(e.log(), "error", err)...)
	}
	return v
}

// refresh brings the settings of an event up to date, as long as there is what they belong to. It reports whether
// the function has been stopped by a reserved concurrency of 0.
func (q *Queue) refresh(e *event) (stopped bool) {
	f, ok := q.Table.Function(e.Function)
	if !ok {
		return false
	}
	if v, _, err := f.Resolve(e.Qualifier); err == nil {
		e.Settings = settingsOf(f, v, e.Qualifier)
	}
	return f.Reserved != nil && *f.Reserved == 0
}

func (q *Queue) allowsLoops(function string) bool {
	f, ok := q.Table.Function(function)
	return ok && f.RecursiveLoop == "Allow"
}

// postpone returns an event to the store until it is due.
func (q *Queue) postpone(ctx context.Context, t store.TakenEvent, e *event, due time.Time) {
	document, err := e.encode()
	if err != nil { // it came from JSON, and what was added is text
		q.Log.ErrorContext(ctx, "cannot note an attempt at an event", append(e.log(), "error", err)...)
		document = t.Document
	}
	q.save(ctx, t, e, func(ctx context.Context, l store.Lease) error { return q.Store.ReturnEvent(ctx, l, due, document) })
}

// conclude ends an event: it is removed in the transaction that enqueues whatever tells of its end.
func (q *Queue) conclude(ctx context.Context, t store.TakenEvent, e *event, condition string) {
	follow, lost := q.follow(ctx, e, t.Payload, condition)
	if !q.save(ctx, t, e, func(ctx context.Context, l store.Lease) error { return q.Store.FinishEvent(ctx, l, follow...) }) {
		return
	}
	if condition == conditionSuccess {
		return
	}
	log := append(e.log(), "condition", condition, "lost", lost)
	if e.Last != nil {
		log = append(log, "status", e.Last.StatusCode, "function_error", e.Last.FunctionError, "message", e.Last.Message)
	}
	q.Log.WarnContext(ctx, "an event was dropped", log...)
	if e.Function != "" {
		q.Recorder.EventDropped(e.Function, e.Qualifier, lost)
	}
	if s := e.Source; s != nil && (e.URL != "" || e.Last != nil && e.Last.StatusCode == http.StatusNotFound) {
		q.undelivered(ctx, s)
	}
}

// undelivered counts a record or a dead letter that does not reach where it should go.
func (q *Queue) undelivered(ctx context.Context, s *source) {
	if s.DeadLetter {
		q.Recorder.DeadLetterFailed(s.Function)
		q.Log.ErrorContext(ctx, "a dead letter could not be delivered", "function", s.Function, "request_id", s.RequestID)
		return
	}
	q.Recorder.DestinationFailed(s.Function)
	q.Log.ErrorContext(ctx, "the record of an event could not be delivered", "function", s.Function, "request_id", s.RequestID)
}

// follow returns the events that tell of the end of an event. lost says that it failed and there is nobody to tell.
func (q *Queue) follow(ctx context.Context, e *event, payload []byte, condition string) (follow []store.Event, lost bool) {
	if e.URL != "" {
		return nil, condition != conditionSuccess
	}
	now := q.Now()
	add := func(target string, s source, payload []byte, err error) {
		var told store.Event
		if err == nil {
			told, err = q.tell(e, target, payload, s, now)
		}
		if err != nil {
			q.Log.ErrorContext(ctx, "cannot tell a destination of the end of an event", append(e.log(), "destination", target, "error", err)...)
			q.undelivered(ctx, &s)
			return
		}
		follow = append(follow, told)
	}
	destination := e.Settings.OnFailure
	if condition == conditionSuccess {
		destination = e.Settings.OnSuccess
	}
	src := source{Function: e.Function, RequestID: e.RequestID}
	if destination != "" {
		qualifier := e.Qualifier
		if qualifier == "" {
			qualifier = serin.Latest.String()
		}
		told, err := newRecord(e, q.Place.FunctionARN(e.Function, qualifier), payload, condition, now)
		add(destination, src, told, err)
	}
	if condition == conditionSuccess {
		return follow, false
	}
	if e.Settings.DeadLetter != "" {
		src.DeadLetter, src.Attributes = true, attributes(e, condition)
		add(e.Settings.DeadLetter, src, payload, nil)
	}
	return follow, len(follow) == 0
}

// save writes the end of an attempt, as often as it takes: until then the event would run again. It reports
// whether it has been written.
func (q *Queue) save(ctx context.Context, t store.TakenEvent, e *event, write func(context.Context, store.Lease) error) bool {
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		lease := q.lease(t)
		err := write(ctx, lease)
		switch {
		case err == nil:
			return true
		case errors.Is(err, store.ErrClosed):
			return false
		case errors.Is(err, store.ErrStale) && q.lease(t) == lease:
			// Or an earlier write has taken effect although its commit failed.
			q.Log.WarnContext(ctx, "the lease on an event was lost while it ran: it may run again", append(e.log(), "error", err)...)
			return false
		case errors.Is(err, store.ErrStale):
			continue // with the new lease
		}
		q.Log.ErrorContext(ctx, "cannot save what became of an event, trying again", append(e.log(), "error", err, "pause", wait)...)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-q.stop: // the event runs again when the server is back
			timer.Stop()
			return false
		}
	}
}

// lease returns the newest lease on an event that runs.
func (q *Queue) lease(t store.TakenEvent) store.Lease {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running[t.Lease.Event].lease
}

// log is what a log line says about an event. The path of a URL is often a secret.
func (e *event) log() []any {
	if e.URL != "" {
		return []any{"request_id", e.RequestID, "host", e.lane(), "failures", e.Failures}
	}
	return []any{"request_id", e.RequestID, "function", e.Function, "qualifier", e.Qualifier, "attempts", e.Attempts}
}
