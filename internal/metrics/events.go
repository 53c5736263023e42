package metrics

import (
	"maps"
	"sync/atomic"
	"time"
)

// EventStats is what became of the asynchronous events of a function since the server started. The names in
// parentheses are the metrics of AWS.
type EventStats struct {
	Received            int       // accepted (AsyncEventsReceived)
	Age                 Durations // from acceptance to each attempt (AsyncEventAge)
	Dropped             int       // ended without success, whether or not somebody was told (AsyncEventsDropped)
	Lost                int       // those of them that nobody was told of, because nothing is configured or it cannot be reached
	DestinationFailures int       // records that could not be delivered (DestinationDeliveryFailures)
	DeadLetterFailures  int       // dead letters that could not be delivered (DeadLetterErrors)
}

// events counts the events of a function.
type events struct {
	received, dropped, lost, destinationFailures, deadLetterFailures atomic.Uint64
	age                                                              histogram
}

// EventReceived counts an event of a function that was accepted for a qualifier.
func (r *Recorder) EventReceived(function, qualifier string) {
	r.eventsOf(function).received.Add(1)
	r.note(function, qualifier, MeasureEventReceived, 1, callers)
}

// EventStarted counts an attempt at an event, age after it was accepted.
func (r *Recorder) EventStarted(function, qualifier string, age time.Duration) {
	r.eventsOf(function).age.observe(age)
	r.note(function, qualifier, MeasureEventAge, milliseconds(max(age, 0)), callers)
}

// EventDropped counts an event that ended without success. lost says that nobody is told of it but the log.
func (r *Recorder) EventDropped(function, qualifier string, lost bool) {
	e := r.eventsOf(function)
	e.dropped.Add(1)
	r.note(function, qualifier, MeasureEventDropped, 1, callers)
	if lost {
		e.lost.Add(1)
	}
}

// DestinationFailed counts a record of an invocation of the function that could not be delivered.
func (r *Recorder) DestinationFailed(function string) {
	r.eventsOf(function).destinationFailures.Add(1)
	r.note(function, "", MeasureDestinationFailure, 1, ViewAccount|ViewFunction)
}

// DeadLetterFailed counts a dead letter of the function that could not be delivered.
func (r *Recorder) DeadLetterFailed(function string) {
	r.eventsOf(function).deadLetterFailures.Add(1)
	r.note(function, "", MeasureDeadLetterFailure, 1, ViewAccount|ViewFunction)
}

// Events returns what became of the events of a function.
func (r *Recorder) Events(function string) EventStats {
	e, ok := (*r.events.Load())[function]
	if !ok {
		return EventStats{}
	}
	return e.stats()
}

func (e *events) stats() EventStats {
	return EventStats{
		Received: int(e.received.Load()), Age: e.age.summary(), Dropped: int(e.dropped.Load()), Lost: int(e.lost.Load()),
		DestinationFailures: int(e.destinationFailures.Load()), DeadLetterFailures: int(e.deadLetterFailures.Load()),
	}
}

func (r *Recorder) eventsOf(function string) *events {
	if e, ok := (*r.events.Load())[function]; ok {
		return e
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := *r.events.Load()
	if e, ok := all[function]; ok {
		return e
	}
	next := maps.Clone(all)
	e := &events{}
	next[function] = e
	r.events.Store(&next)
	return e
}
