package executor

import (
	"runtime"
	"sync"
	"time"
)

const (
	// maxQueued is how much of a log may wait for its sink, in bytes, before the function has to wait too.
	maxQueued = 512 << 10
	// stallTime is how long a function waits for a sink before its output is dropped instead.
	stallTime = time.Second
	// deliveryTime is how long the end of an invocation waits for its log to reach the sink.
	deliveryTime = 100 * time.Millisecond
	// keptBatch is the memory that an empty queue holds on to, in bytes.
	keptBatch = 16 << 10
)

// logQueue stands between the log of an environment and its sink, so that a sink which is slow, or stuck, slows
// the function down for a while but never blocks it, and never the invocation. What does not fit is
// dropped, and the log says so in its place; a line of the platform is never dropped.
//
// The goroutine that calls the sink lives while there is something to deliver: an idle environment has none.
type logQueue struct {
	sink   LogSink
	stream *LogStream
	notice func(dropped logLoss) []byte // renders what is said about it

	mu      sync.Mutex
	waiting logBatch
	spare   logBatch
	idle    chan struct{} // closed when all has been delivered; nil while nothing is
	room    chan struct{} // closed when the queue has room; nil while nobody waits
	lossy   bool          // the sink has been too slow: what does not fit is dropped at once
	lost    logLoss
}

// logLoss counts what was dropped.
type logLoss struct{ records, bytes int }

// logBatch is a list of log events that share memory.
type logBatch struct {
	data   []byte
	events []queuedEvent
}

type queuedEvent struct {
	at        time.Time
	requestID string
	end       int // in data
}

func (b *logBatch) add(at time.Time, requestID string, line []byte) {
	b.data = append(b.data, line...)
	b.events = append(b.events, queuedEvent{at, requestID, len(b.data)})
}

// add queues an event. One that is not vital is dropped if there is no room. One that may wait is delivered with the
// next that may not, or by settle: to start the goroutine that delivers costs an invocation more than its lines do.
func (q *logQueue) add(at time.Time, requestID string, line []byte, vital, wait bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := maxQueued + maxPipe // a pipe that is drained at the end of an invocation has room
	if q.lossy {
		limit = maxQueued
	}
	if !vital && len(q.waiting.data)+len(line) > limit {
		q.lost.records++
		q.lost.bytes += len(line)
		return
	}
	q.waiting.add(at, requestID, line)
	if !wait {
		q.start()
	}
}

// start starts the delivery of what is waiting. The caller holds q.mu.
func (q *logQueue) start() {
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.deliver()
	}
}

// deliver calls the sink until there is nothing left.
func (q *logQueue) deliver() {
	for {
		batch, ok := q.take()
		if !ok {
			return
		}
		start := 0
		for i := range batch.events {
			e := &batch.events[i]
			q.sink(q.stream, e.at, e.requestID, batch.data[start:e.end:e.end])
			start = e.end
		}
		clear(batch.events)
		q.mu.Lock()
		if cap(batch.data) <= keptBatch {
			q.spare = logBatch{batch.data[:0], batch.events[:0]}
		}
		q.mu.Unlock()
	}
}

// take takes what is waiting, or says that there is nothing.
func (q *logQueue) take() (logBatch, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	if len(batch.events) == 0 && q.lost.records == 0 {
		close(q.idle)
		q.idle = nil
		return logBatch{}, false
	}
	q.waiting, q.spare = q.spare, logBatch{}
	if q.lost.records > 0 {
		// It was dropped behind what is taken and before what comes.
		batch.add(time.Now(), "", q.notice(q.lost))
	}
	q.lost, q.lossy = logLoss{}, false
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	return batch, true
}

// awaitRoom returns when there is room, or when the sink has been too slow for stallTime.
func (q *logQueue) awaitRoom() {
	q.mu.Lock()
	if q.lossy || len(q.waiting.data) < maxQueued {
		q.mu.Unlock()
		return
	}
	if q.room == nil {
		q.room = make(chan struct{})
	}
	room := q.room
	q.mu.Unlock()
	timer := time.NewTimer(stallTime)
	defer timer.Stop()
	select {
	case <-room:
	case <-timer.C:
		q.mu.Lock()
		q.lossy = true
		q.mu.Unlock()
	}
}

// settle waits until the sink has everything, but not for long.
func (q *logQueue) settle() {
	q.mu.Lock()
	if len(q.waiting.events) > 0 {
		q.start()
	}
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	// Nearly always the goroutine that delivers has just been started and is next to run here.
	runtime.Gosched()
	if q.delivering() != idle {
		return
	}
	timer := time.NewTimer(deliveryTime)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

func (q *logQueue) delivering() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.idle
}
