package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// Event is an entry of the queue of asynchronous events.
type Event struct {
	// Lane names what the event waits for. Events of a lane are taken together, the earliest due first, and
	// lanes do not wait for each other.
	Lane string
	// Due is when the event may be taken, to the microsecond.
	Due time.Time
	// Document is JSON text: whatever else is known about the event. Unlike the payload it can be replaced.
	Document string
	Payload  []byte
}

// TakenEvent is an event and the lease on it. Its Due is not set.
type TakenEvent struct {
	Event
	Lease Lease
}

// Lease names one taking of one event. What its holder does to the event has an effect only until the event is
// given back or taken by somebody else.
type Lease struct {
	Event int64 // tells events that are in the queue at the same time apart
	token int64
}

// Due is what is due in the queue.
type Due struct {
	Lanes []string  // those of the events that were looked at, the earliest due first
	More  bool      // there may be more behind them
	Next  time.Time // when the next event will be due, zero for never
}

// Lane is a lane that has events.
type Lane struct {
	Name string
	Due  time.Time // of its first event, or the end of the lease on it
}

// EventWant asks for events of a lane.
type EventWant struct {
	Lane string
	Most int
}

// Enqueue puts an event into the queue and returns when it is on disk. Those that are enqueued at the same time
// share transactions, and become visible together.
//
// Errors: those of every write.
func (s *Store) Enqueue(ctx context.Context, e Event) error {
	if err := e.check(); err != nil {
		return eventErr(err)
	}
	if err := s.inbox.put(ctx, e); err != nil {
		return eventErr(err)
	}
	return nil
}

// EventsChanged returns a channel that is closed when this process next enqueues an event. Take it before looking.
func (s *Store) EventsChanged() <-chan struct{} { return s.enqueued.wait() }

// EventPoll is how often to look for events that other servers have enqueued or given back, 0 for never.
func (s *Store) EventPoll() time.Duration { return s.engine.poll() }

// DueEvents looks at the events that have been due for longest, at most as many as given.
func (s *Store) DueEvents(ctx context.Context, now time.Time, most int) (Due, error) {
	var d Due
	seen := 0
	err := scanAll(ctx, s.engine.reader(), `SELECT lane FROM events WHERE due <= $1 ORDER BY due LIMIT $2`,
		[]any{now.UnixMicro(), most}, func(rows *sql.Rows) error {
			var lane string
			err := rows.Scan(&lane)
			if seen++; !slices.Contains(d.Lanes, lane) {
				d.Lanes = append(d.Lanes, lane)
			}
			return err
		})
	d.More = seen == most
	var next *int64
	if err == nil {
		err = queryRow(ctx, s.engine.reader(), `SELECT MIN(due) FROM events WHERE due > $1`, []any{now.UnixMicro()}, &next)
	}
	if err != nil {
		return Due{}, fmt.Errorf("look for events that are due: %w", err)
	}
	if next != nil {
		d.Next = time.UnixMicro(*next)
	}
	return d, nil
}

// Backlog is how many events are in the queue.
type Backlog struct {
	Events   int    // whether they are due, wait to be tried again, or run
	Due      int    // those of them that nobody has taken yet
	Document string // of the event that was enqueued first
}

// Backlog counts the events in the queue, some 10 million a second.
func (s *Store) Backlog(ctx context.Context, now time.Time) (b Backlog, err error) {
	err = queryRow(ctx, s.engine.reader(), `SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM events WHERE due <= $1),
		COALESCE((SELECT document FROM events ORDER BY id LIMIT 1), '')`, []any{now.UnixMicro()}, &b.Events, &b.Due, &b.Document)
	if err != nil {
		return Backlog{}, fmt.Errorf("count events: %w", err)
	}
	return b, nil
}

// EventLanes returns all lanes that have events, in no particular order. It jumps from lane to lane in the index, so
// its cost is that of the lanes, some microseconds each, and not of their events.
func (s *Store) EventLanes(ctx context.Context) ([]Lane, error) {
	var lanes []Lane
	err := scanAll(ctx, s.engine.reader(), `WITH RECURSIVE lanes (name) AS (
			SELECT MIN(lane) FROM events
			UNION ALL
			SELECT (SELECT MIN(lane) FROM events WHERE lane > lanes.name) FROM lanes WHERE lanes.name IS NOT NULL)
		SELECT name, (SELECT MIN(due) FROM events WHERE lane = lanes.name) FROM lanes WHERE name IS NOT NULL`,
		nil, func(rows *sql.Rows) error {
			var name string
			var due int64
			err := rows.Scan(&name, &due)
			lanes = append(lanes, Lane{name, time.UnixMicro(due)})
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read the lanes of events: %w", err)
	}
	return lanes, nil
}

// TakeEvents leases events that are due now, at most as many of each lane as wanted. Until the end of the lease
// nobody else gets them; from then on, unless they have been finished or returned, or the lease has been extended,
// anybody does.
//
// Errors: those of every write; what was taken nevertheless comes back at the end of the lease.
func (s *Store) TakeEvents(ctx context.Context, wants []EventWant, now, until time.Time) ([]TakenEvent, error) {
	var taken []TakenEvent
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		for _, w := range wants {
			token := rand.Int64() // never used twice, although SQLite uses ids again
			err := scanAll(ctx, t, `WITH chosen (event) AS MATERIALIZED (
					SELECT id FROM events WHERE lane = $1 AND due <= $2 ORDER BY due LIMIT $3`+t.skipLocked+`)
				UPDATE events SET due = $4, owner = $5, token = $6 FROM chosen WHERE id = event
				RETURNING id, document, payload`,
				[]any{w.Lane, now.UnixMicro(), w.Most, until.UnixMicro(), s.owner, token}, func(rows *sql.Rows) error {
					e := TakenEvent{Event: Event{Lane: w.Lane}, Lease: Lease{token: token}}
					err := rows.Scan(&e.Lease.Event, &e.Document, &e.Payload)
					taken = append(taken, e)
					return err
				})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("take events: %w", err)
	}
	return taken, nil
}

// ExtendEvents moves the end of leases. Those that have been lost stay lost, without an error.
func (s *Store) ExtendEvents(ctx context.Context, leases []Lease, until time.Time) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		for _, l := range leases {
			if _, err := t.ExecContext(ctx, `UPDATE events SET due = $3 WHERE id = $1 AND token = $2`, l.Event, l.token, until.UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("extend the leases on %d events: %w", len(leases), err)
	}
	return nil
}

// FinishEvent removes an event and enqueues what follows from it, in one transaction.
//
// Errors: [ErrStale] if the lease has been lost, and then nothing follows; those of every write.
func (s *Store) FinishEvent(ctx context.Context, l Lease, follow ...Event) error {
	for _, e := range follow {
		if err := e.check(); err != nil {
			return eventErr(err)
		}
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := affected(ctx, t, `DELETE FROM events WHERE id = $1 AND token = $2`, l.Event, l.token)
		if err == nil && n == 0 {
			return ErrStale
		}
		if err == nil && len(follow) > 0 {
			err = t.insertEvents(ctx, t, follow)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("finish event: %w", err)
	}
	if len(follow) > 0 {
		s.enqueued.fire()
	}
	return nil
}

// ReturnEvent gives an event back: it can be taken again when it is due, and then has the new document.
//
// Errors: [ErrStale] if the lease has been lost; those of every write.
func (s *Store) ReturnEvent(ctx context.Context, l Lease, due time.Time, document string) error {
	if err := checkText("document of the event", document); err != nil {
		return eventErr(err)
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := affected(ctx, t, `UPDATE events SET due = $3, owner = NULL, token = NULL, document = $4 WHERE id = $1 AND token = $2`,
			l.Event, l.token, due.UnixMicro(), document)
		if err == nil && n == 0 {
			return ErrStale
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("return event: %w", err)
	}
	return nil
}

// ReleaseEvents ends all leases of this server, also those that it was given before it was last started, and
// returns how many there were. Their events are due now.
func (s *Store) ReleaseEvents(ctx context.Context, now time.Time) (int, error) {
	var n int64
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		n, err = affected(ctx, t, `UPDATE events SET due = $2, owner = NULL, token = NULL WHERE owner = $1`, s.owner, now.UnixMicro())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("release events: %w", err)
	}
	return int(n), nil
}

// owner names the server that has a data directory: the same one after a restart, and no other. Nothing is lost if
// two servers have one name after all: a lease that one takes from the other is an event that may run twice.
func owner(dir string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	return strings.ToValidUTF8(host+":"+dir, "?"), nil
}

// enqueue writes events that have arrived together.
func (s *Store) enqueue(ctx context.Context, events []Event) error {
	err := s.write(ctx, func(ctx context.Context, t *tx) error { return t.insertEvents(ctx, t, events) })
	if err == nil {
		s.enqueued.fire()
	}
	return err
}

func (e *Event) check() error {
	if err := checkText("lane", e.Lane); err != nil {
		return err
	}
	return checkText("document of the event", e.Document)
}

// insertEach inserts events by a statement each, which is fast where a statement is a function call.
func insertEach(ctx context.Context, q querier, events []Event) error {
	for _, e := range events {
		if _, err := q.ExecContext(ctx, `INSERT INTO events (lane, due, document, payload) VALUES ($1, $2, $3, $4)`,
			e.Lane, e.Due.UnixMicro(), e.Document, e.payload()); err != nil {
			return err
		}
	}
	return nil
}

// insertTogether inserts events by one statement, where a statement is a round trip.
func insertTogether(ctx context.Context, q querier, events []Event) error {
	lanes, dues := make([]string, len(events)), make([]int64, len(events))
	documents, payloads := make([]string, len(events)), make([][]byte, len(events))
	for i, e := range events {
		lanes[i], dues[i], documents[i], payloads[i] = e.Lane, e.Due.UnixMicro(), e.Document, e.payload()
	}
	_, err := q.ExecContext(ctx, `INSERT INTO events (lane, due, document, payload)
		SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::BYTEA[])`, lanes, dues, documents, payloads)
	return err
}

// payload is the payload as the engines take it, for which nil is NULL.
func (e *Event) payload() []byte {
	if e.Payload == nil {
		return []byte{}
	}
	return e.Payload
}

func eventErr(err error) error { return fmt.Errorf("enqueue event: %w", err) }
