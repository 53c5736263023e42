package store

import (
	"context"
	"slices"
	"sync"
)

// Bounds of what is enqueued by one transaction.
const (
	maxArrivals     = 256
	maxArrivalBytes = 8 << 20
)

// inbox makes one transaction of the events that arrive while the one before it is being committed. A sync then
// costs all of them together what it would cost each.
type inbox struct {
	write func(context.Context, []Event) error

	mu      sync.Mutex
	waiting []*arrival
	running bool
}

// arrival is an event that waits to be written, and who waits for it.
type arrival struct {
	event Event
	err   error
	done  chan struct{}
}

// put returns when the event has been written. If ctx ends before that has begun it returns ctx.Err().
func (b *inbox) put(ctx context.Context, e Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a := &arrival{event: e, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, a)
	if !b.running {
		b.running = true
		go b.run()
	}
	b.mu.Unlock()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
	}
	if b.withdraw(a) {
		return ctx.Err()
	}
	<-a.done
	return a.err
}

// withdraw takes an event back unless it is being written.
func (b *inbox) withdraw(a *arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.waiting)
	b.waiting = slices.DeleteFunc(b.waiting, func(other *arrival) bool { return other == a })
	return len(b.waiting) < before
}

// run writes until nothing waits.
func (b *inbox) run() {
	for batch := b.next(); len(batch) > 0; batch = b.next() {
		events := make([]Event, len(batch))
		for i, a := range batch {
			events[i] = a.event
		}
		// Who has been told that a write goes through to the end relies on no single context.
		err := b.write(context.Background(), events)
		for _, a := range batch {
			a.err = err
			close(a.done)
		}
	}
}

// next takes what is written together. If that is nothing, run ends.
func (b *inbox) next() []*arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < min(len(b.waiting), maxArrivals) && (n == 0 || size+len(b.waiting[n].event.Payload) <= maxArrivalBytes) {
		size += len(b.waiting[n].event.Payload)
		n++
	}
	batch := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	b.running = n > 0
	return batch
}
