package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"time"
)

// feedBatch is how many changes are read at once.
const feedBatch = 1000

// Retries of a reader that has lost the database: the pause doubles from the first to the second.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// Change is one row of the change feed: a function was created, updated or deleted.
type Change struct {
	Seq      int64 // from 1, without gaps
	Function string
}

// LastChange returns the number of the newest change, 0 if there has been none.
func (s *Store) LastChange(ctx context.Context) (int64, error) {
	var seq int64
	err := queryRow(ctx, s.engine.reader(), `SELECT COALESCE(MAX(seq), 0) FROM changes`, nil, &seq)
	if err != nil {
		return 0, fmt.Errorf("read the change feed: %w", err)
	}
	return seq, nil
}

// Changes returns the changes after a sequence number in order, without a gap, and waits for more until ctx
// ends; then it ends without an error. It outlasts the loss of the database: it logs it and tries again. It
// ends with an error only when going on would be wrong: [ErrClosed], or [ErrCorrupt] for a gap.
func (s *Store) Changes(ctx context.Context, after int64) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		pause := firstPause
		for {
			more := s.feed.wait() // before reading: what is committed after the read fires it
			batch, err := s.readChanges(ctx, after)
			for _, c := range batch {
				if c.Seq != after+1 {
					yield(Change{}, fmt.Errorf("%w: the change feed goes from %d to %d", ErrCorrupt, after, c.Seq))
					return
				}
				after = c.Seq
				if !yield(c, nil) {
					return
				}
			}
			retry := s.engine.poll()
			switch {
			case err == nil && len(batch) == feedBatch:
				continue
			case err == nil:
				pause = firstPause
			default:
				if ctx.Err() == nil && !s.isClosed() {
					s.log.WarnContext(ctx, "cannot read the change feed, trying again", "error", err, "pause", pause)
				}
				more, retry, pause = nil, pause, min(2*pause, longestPause)
			}
			if ctx.Err() != nil || !s.wait(ctx, more, retry) {
				if s.isClosed() && ctx.Err() == nil {
					yield(Change{}, ErrClosed)
				}
				return
			}
		}
	}
}

func (s *Store) readChanges(ctx context.Context, after int64) ([]Change, error) {
	var batch []Change
	err := scanAll(ctx, s.engine.reader(), `SELECT seq, function FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2`,
		[]any{after, feedBatch}, func(rows *sql.Rows) error {
			var c Change
			err := rows.Scan(&c.Seq, &c.Function)
			batch = append(batch, c)
			return err
		})
	return batch, err
}

// wait waits for a signal or for the time to look again; a time of 0 never comes. It reports false if ctx
// or the store has ended.
func (s *Store) wait(ctx context.Context, more <-chan struct{}, again time.Duration) bool {
	var alarm <-chan time.Time
	if again > 0 {
		alarm = time.After(again)
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.closed:
		return false
	case <-more:
	case <-alarm:
	}
	return true
}
