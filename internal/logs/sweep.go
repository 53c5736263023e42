package logs

import (
	"context"
	"fmt"
	"time"
)

// sweepBatch bounds how many chunks one transaction deletes.
const sweepBatch = 5000

// sweep deletes events that are older than their group keeps them, then the oldest while the file is too large, then
// streams that have been without an event for as long.
func (s *Store) sweep(ctx context.Context) error {
	groups, err := s.groups(ctx, "")
	if err != nil {
		return err
	}
	for _, g := range groups {
		keep := s.cfg.Retention
		if g.RetentionDays > 0 {
			keep = time.Duration(g.RetentionDays) * 24 * time.Hour
		}
		if keep <= 0 {
			continue
		}
		before := s.cfg.Now().Add(-keep).UnixMilli()
		id, err := s.groupID(ctx, g.Name)
		if err != nil {
			return err
		}
		if err := s.deleteAll(ctx, `DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE grp = ? AND first < ? AND last < ? LIMIT ?)`, id, before, before, sweepBatch); err != nil {
			return err
		}
		if err := s.deleteAll(ctx, `DELETE FROM streams WHERE id IN (SELECT id FROM streams WHERE grp = ? AND coalesce(last, created) < ? AND created < ? LIMIT ?)`, id, before, before, sweepBatch); err != nil {
			return err
		}
	}
	return s.shrink(ctx)
}

// deleteAll repeats a statement until it changes nothing. Others can write in between.
func (s *Store) deleteAll(ctx context.Context, statement string, args ...any) error {
	for {
		n, err := s.delete(ctx, statement, args...)
		if err != nil || n == 0 {
			return err
		}
	}
}

func (s *Store) delete(ctx context.Context, statement string, args ...any) (int64, error) {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	result, err := s.writer.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, fmt.Errorf("logs: %w", err)
	}
	n, err := result.RowsAffected()
	if n > 0 {
		clear(s.streams) // one of them may be gone
	}
	return n, err
}

// shrink deletes the chunks that were written first while more is used than the store may.
func (s *Store) shrink(ctx context.Context) error {
	for s.cfg.MaxBytes > 0 {
		var used int64
		// What is free in the file is used again.
		err := s.readers.QueryRowContext(ctx, `SELECT (p.page_count - f.freelist_count) * z.page_size FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size z`).Scan(&used)
		if err != nil {
			return fmt.Errorf("logs: %w", err)
		}
		if used <= s.cfg.MaxBytes {
			return nil
		}
		n, err := s.delete(ctx, `DELETE FROM chunks WHERE id IN (SELECT id FROM chunks ORDER BY id LIMIT ?)`, sweepBatch/10)
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}
