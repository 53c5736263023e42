package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"serin"
)

// History returns the newest moves of an alias, or of all aliases of the function if alias is empty: at most
// newest of them, the oldest first. The history of a deleted function is still there, and what was written
// before and after it was created again is one history.
func (s *Store) History(ctx context.Context, function, alias string, newest int) ([]serin.Move, error) {
	return history(ctx, s.engine.reader(), function, alias, newest)
}

func history(ctx context.Context, q querier, function, alias string, newest int) ([]serin.Move, error) {
	var moves []serin.Move
	err := newestRows(ctx, q, `SELECT seq, document FROM moves`, function, alias, newest, func(rows *sql.Rows) error {
		var m serin.Move
		var document sql.RawBytes
		var seq int64
		if err := rows.Scan(&seq, &document); err != nil {
			return err
		}
		if err := decode(document, &m); err != nil {
			return err
		}
		m.Seq = seq
		moves = append(moves, m)
		return nil
	})
	if err != nil {
		return nil, functionErr(function, fmt.Errorf("alias history: %w", err))
	}
	slices.Reverse(moves)
	return moves, nil
}

// newestRows scans the newest rows of a table that is kept per alias, the newest first. An empty function or
// alias stands for all.
func newestRows(ctx context.Context, q querier, query, function, alias string, newest int, scan func(*sql.Rows) error) error {
	if newest <= 0 || !isText(function) || !isText(alias) {
		return nil
	}
	args := []any{newest}
	var where []string
	for _, c := range []struct{ column, value string }{{"function", function}, {"alias", alias}} {
		if c.value != "" {
			args = append(args, c.value)
			where = append(where, fmt.Sprintf("%s = $%d", c.column, len(args)))
		}
	}
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	return scanAll(ctx, q, query+" ORDER BY seq DESC LIMIT $1", args, scan)
}

func scanAll(ctx context.Context, q querier, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
