package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Notice is something to tell a target about a release.
type Notice struct {
	ID       int64 // given by the store
	Release  string
	Target   string
	Document string // JSON text
	Failures int    // attempts that have failed
	Error    string // of the last one
	Message  string // what the target called its first message about the release, "" for none
}

func (t *tx) insertNotices(ctx context.Context, notices []Notice) error {
	for _, n := range notices {
		for what, text := range map[string]string{"target of the notice": n.Target, "notice": n.Document} {
			if err := checkText(what, text); err != nil {
				return err
			}
		}
		if _, err := t.ExecContext(ctx, `INSERT INTO notices (release, target, due, failures, error, document) VALUES ($1, $2, 0, 0, '', $3)`,
			n.Release, n.Target, n.Document); err != nil {
			return err
		}
	}
	return nil
}

const selectNotices = `SELECT id, release, target, document, failures, error,
	COALESCE((SELECT message FROM notice_messages m WHERE m.release = n.release AND m.target = n.target), '') FROM notices n`

// DueNotices returns what is to be told now, at most as many as given: of each release and target the oldest notice, and
// none while that waits to be tried again.
func (s *Store) DueNotices(ctx context.Context, now time.Time, most int) ([]Notice, error) {
	all, err := s.notices(ctx, selectNotices+` WHERE due <= $1 AND NOT EXISTS (
		SELECT 1 FROM notices o WHERE o.release = n.release AND o.target = n.target AND o.id < n.id) ORDER BY id LIMIT $2`, now.UnixMicro(), most)
	if err != nil {
		return nil, fmt.Errorf("look for notices: %w", err)
	}
	return all, nil
}

// ReleaseNotices returns what has not been told about a release yet, the oldest first.
func (s *Store) ReleaseNotices(ctx context.Context, release string) ([]Notice, error) {
	if !isText(release) {
		return nil, nil
	}
	all, err := s.notices(ctx, selectNotices+` WHERE release = $1 ORDER BY id`, release)
	if err != nil {
		return nil, releaseErr(release, fmt.Errorf("notices: %w", err))
	}
	return all, nil
}

func (s *Store) notices(ctx context.Context, query string, args ...any) ([]Notice, error) {
	var all []Notice
	err := scanAll(ctx, s.engine.reader(), query, args, func(rows *sql.Rows) error {
		var n Notice
		err := rows.Scan(&n.ID, &n.Release, &n.Target, &n.Document, &n.Failures, &n.Error, &n.Message)
		all = append(all, n)
		return err
	})
	return all, err
}

// FinishNotice removes a notice. message, unless it is empty, is what the target calls the message that it has made of
// it.
//
// Errors: those of every write.
func (s *Store) FinishNotice(ctx context.Context, n Notice, message string) error {
	if err := checkText("message of the notice", message); err != nil {
		return err
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.ExecContext(ctx, `DELETE FROM notices WHERE id = $1`, n.ID)
		if err == nil && message != "" {
			_, err = t.ExecContext(ctx, `INSERT INTO notice_messages (release, target, message) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				n.Release, n.Target, message)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("finish notice: %w", err)
	}
	return nil
}

// PostponeNotice notes that a target has not taken a notice, and when to try again.
//
// Errors: those of every write.
func (s *Store) PostponeNotice(ctx context.Context, n Notice, due time.Time, why string) error {
	if err := checkText("error of the notice", why); err != nil {
		return err
	}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE notices SET due = $2, failures = failures + 1, error = $3 WHERE id = $1`, n.ID, due.UnixMicro(), why)
		return err
	})
	if err != nil {
		return fmt.Errorf("postpone notice: %w", err)
	}
	return nil
}
