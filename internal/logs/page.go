package logs

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Query says which events are asked for: those of a group, or of some of its streams, with From ≤ time < To.
type Query struct {
	Group string
	// Streams, if it is not nil, names the streams; else StreamPrefix does, if it is not empty.
	Streams      []string
	StreamPrefix string
	From, To     int64 // milliseconds since 1970; To 0 for no end
	// Match says which events count; nil for all. It is called with events that it may not keep.
	Match func(*Event) bool
}

// PageQuery says which part of the events is asked for, in order of their ids.
type PageQuery struct {
	Query

	// After, if it is not nil, is the event that the page follows; or comes before, backward.
	After    *ID
	Backward bool
	Limit    int // events; at least 1
	MaxBytes int // of what they count as; one event is always returned
	// Budget is how long a page is looked for; 0 for as long as it takes. A page that was cut short has More and Next.
	Budget time.Duration
}

// Page is a part of what a query asks for.
type Page struct {
	Events []Event // in order of time, also backward
	// More says that events may follow Next.
	More bool
	Next ID
}

// Page returns the next events. ErrNotFound says that the group, or a stream that is named, is missing.
func (s *Store) Page(ctx context.Context, q PageQuery) (Page, error) {
	p := &pager{q: &q, deadline: time.Time{}}
	if q.Budget > 0 {
		p.deadline = time.Now().Add(q.Budget)
	}
	err := s.chunks(ctx, &q.Query, q.After, q.Backward, p.chunk)
	if err != nil {
		return Page{}, err
	}
	return p.page(), nil
}

// pager keeps the events of a page: those next in order of what was read.
type pager struct {
	q        *PageQuery
	deadline time.Time
	events   []Event // up to twice as many as the page has
	sorted   int     // so many are in order and below all that was left out
	full     bool    // the page is complete up to the last of events[:sorted]
	cut      *ID     // the page ends here, for the time is over
}

// compare orders events in the direction of the page.
func (p *pager) compare(a, b ID) int {
	if p.q.Backward {
		return b.Compare(a)
	}
	return a.Compare(b)
}

// start is the first place that an event of a chunk can have, in the direction of the page.
func (p *pager) start(c *Chunk, first, last int64) ID {
	if p.q.Backward {
		return ID{last, c.id, lastIndex}
	}
	return ID{first, c.id - 1, lastIndex}
}

// lastIndex is beyond every event of a chunk.
const lastIndex = 9_999_999_999_999_999

// chunk takes the events of a chunk. It reports whether more chunks are wanted.
func (p *pager) chunk(c *Chunk, first, last int64, load func() error) (bool, error) {
	start := p.start(c, first, last)
	if p.full && p.compare(start, p.events[p.sorted-1].ID) > 0 {
		return false, nil // this one and all that follow
	}
	if !p.deadline.IsZero() && time.Now().After(p.deadline) && (p.q.After == nil || p.compare(start, *p.q.After) > 0) && p.moved(start) {
		p.cut = &start
		return false, nil
	}
	if err := load(); err != nil {
		return false, err
	}
	for e := range c.Events() {
		if !p.q.wants(&e) || p.q.After != nil && p.compare(e.ID, *p.q.After) <= 0 || p.full && p.compare(e.ID, p.events[p.sorted-1].ID) > 0 {
			continue
		}
		e.Message = bytes.Clone(e.Message)
		p.events = append(p.events, e)
		if len(p.events) >= p.sorted+p.q.Limit+1 {
			p.trim()
		}
	}
	return true, nil
}

// moved reports whether a page that is cut at a place gets further than the one before.
func (p *pager) moved(at ID) bool {
	if p.q.After != nil {
		return at.At != p.q.After.At
	}
	return true
}

// trim keeps the page's worth of events.
func (p *pager) trim() {
	slices.SortFunc(p.events, func(a, b Event) int { return p.compare(a.ID, b.ID) })
	size, n := 0, 0
	for n < len(p.events) && n < p.q.Limit {
		size += len(p.events[n].Message) + perEvent
		if size > p.q.MaxBytes && n > 0 {
			break
		}
		n++
	}
	p.full = p.full || n < len(p.events)
	clear(p.events[n:])
	p.events, p.sorted = p.events[:n], n
}

func (p *pager) page() Page {
	p.trim()
	cut := p.cut != nil && !p.full
	if p.cut != nil {
		if i := slices.IndexFunc(p.events, func(e Event) bool { return p.compare(e.ID, *p.cut) > 0 }); i >= 0 {
			p.events, cut = p.events[:i], true
		}
	}
	out := Page{Events: p.events, More: p.full || cut}
	switch {
	case cut:
		out.Next = *p.cut
	case len(p.events) > 0:
		out.Next = p.events[len(p.events)-1].ID
	case p.q.After != nil:
		out.Next = *p.q.After
	}
	if p.q.Backward {
		slices.Reverse(out.Events)
	}
	return out
}

func (q *Query) wants(e *Event) bool {
	return e.ID.At >= q.From && (q.To == 0 || e.ID.At < q.To) && (q.Match == nil || q.Match(e))
}

// Scan calls visit with every event, chunk by chunk, until it returns false. Events are the caller's during the call only.
func (s *Store) Scan(ctx context.Context, q Query, visit func(*Event) bool) error {
	return s.chunks(ctx, &q, nil, false, func(c *Chunk, _, _ int64, load func() error) (bool, error) {
		if err := load(); err != nil {
			return false, err
		}
		for e := range c.Events() {
			if q.wants(&e) && !visit(&e) {
				return false, nil
			}
		}
		return true, nil
	})
}

// Follow returns the events of groups that were written after a mark, in the order of writing, and the mark after them.
// A mark of -1 is that of now. It returns up to limit events and says how many more there were.
func (s *Store) Follow(ctx context.Context, q Query, mark int64, limit int) (events []Event, next int64, left int, err error) {
	if err := s.Flush(ctx); err != nil {
		return nil, mark, 0, err
	}
	if err := s.readers.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM chunks`).Scan(&next); err != nil {
		return nil, mark, 0, fmt.Errorf("logs: read: %w", err)
	}
	if mark < 0 || mark >= next {
		return nil, next, 0, nil
	}
	where, args, err := s.where(ctx, &q)
	if err != nil {
		return nil, mark, 0, err
	}
	err = s.rows(ctx, q.Group, `NOT INDEXED CROSS JOIN streams n ON n.id = c.stream WHERE c.id > ? AND c.id <= ? AND `+where+` ORDER BY c.id`, append([]any{mark, next}, args...), func(c *Chunk, _, _ int64, load func() error) (bool, error) {
		if err := load(); err != nil {
			return false, err
		}
		for e := range c.Events() {
			switch {
			case !q.wants(&e):
			case len(events) < limit:
				e.Message = bytes.Clone(e.Message)
				events = append(events, e)
			default:
				left++
			}
		}
		return true, nil
	})
	return events, next, left, err
}

// visitor takes a chunk and the times of its first and last event, before it is loaded, and says whether to go on.
type visitor func(c *Chunk, first, last int64, load func() error) (bool, error)

// chunks visits the chunks that may hold what is asked for, by their first event, or backward by their last.
func (s *Store) chunks(ctx context.Context, q *Query, after *ID, backward bool, visit visitor) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	where, args, err := s.where(ctx, q)
	if err != nil {
		return err
	}
	from, to := q.From, q.To
	if to == 0 {
		to = math.MaxInt64
	}
	if after != nil && backward {
		to = min(to, after.At+1)
	} else if after != nil {
		from = max(from, after.At)
	}
	// The index has the order, so that nothing is sorted, and no more is read than is visited.
	index, order := "chunks_group", "c.first, c.id"
	switch {
	case backward && len(q.Streams) == 1:
		index, order = "chunks_end", "c.last DESC, c.id DESC"
	case backward:
		order = "c.last DESC, c.id DESC"
	case len(q.Streams) == 1:
		index = "chunks_stream"
	}
	condition := "INDEXED BY " + index + " CROSS JOIN streams n ON n.id = c.stream WHERE " + where + " AND c.first >= ? AND c.first < ? AND c.last >= ? ORDER BY " + order
	return s.rows(ctx, q.Group, condition, append(args, from-window, to, from), visit)
}

// where returns the condition for the chunks of a query.
func (s *Store) where(ctx context.Context, q *Query) (string, []any, error) {
	var group int64
	err := s.readers.QueryRowContext(ctx, `SELECT id FROM log_groups WHERE name = ?`, q.Group).Scan(&group)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, fmt.Errorf("log group: %w", ErrNotFound)
	}
	if err != nil {
		return "", nil, fmt.Errorf("logs: read: %w", err)
	}
	switch {
	case q.Streams != nil:
		args := []any{group}
		for _, name := range q.Streams {
			var id int64
			err := s.readers.QueryRowContext(ctx, `SELECT id FROM streams WHERE grp = ? AND name = ?`, group, name).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				return "", nil, fmt.Errorf("log stream: %w", ErrNotFound)
			}
			if err != nil {
				return "", nil, fmt.Errorf("logs: read: %w", err)
			}
			args = append(args, id)
		}
		return "c.grp = ? AND c.stream IN (" + strings.TrimSuffix(strings.Repeat("?,", len(q.Streams)), ",") + ")", args, nil
	case q.StreamPrefix != "":
		return "c.grp = ? AND n.name >= ? AND substr(n.name, 1, length(?)) = ?", []any{group, q.StreamPrefix, q.StreamPrefix, q.StreamPrefix}, nil
	default:
		return "c.grp = ?", []any{group}, nil
	}
}

// rows visits the chunks of a condition.
func (s *Store) rows(ctx context.Context, group, condition string, args []any, visit visitor) error {
	rows, err := s.readers.QueryContext(ctx, `SELECT c.id, n.name, c.first, c.last, c.ingested, c.data FROM chunks c `+condition, args...)
	if err != nil {
		return fmt.Errorf("logs: read: %w", err)
	}
	defer rows.Close()
	var plain []byte
	c := Chunk{Group: group}
	for rows.Next() {
		var first, last int64
		var packed sql.RawBytes
		if err := rows.Scan(&c.id, &c.Stream, &first, &last, &c.ingested, &packed); err != nil {
			return fmt.Errorf("logs: read: %w", err)
		}
		more, err := visit(&c, first, last, func() error {
			var err error
			if plain, err = s.decoder.DecodeAll(packed, plain[:0]); err != nil {
				return fmt.Errorf("logs: read: %w", errors.Join(errDamaged, err))
			}
			return c.decode(plain)
		})
		if err != nil || !more {
			return err
		}
	}
	return rows.Err()
}
