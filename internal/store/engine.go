package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// engine is a database that keeps the schema of this package.
type engine interface {
	// write runs do in a transaction of its own or in a savepoint, and returns after the commit has been
	// synced. If ctx ends before the write has begun it returns ctx.Err(); from then on it goes through to
	// the end, on a context that ctx no longer cancels.
	write(ctx context.Context, do func(context.Context, *tx) error) error
	// reader reads what has been committed.
	reader() *sql.DB
	// poll is how often a reader of the change feed looks by itself, 0 for never.
	poll() time.Duration
	// check examines the files of the database.
	check(ctx context.Context) error
	close() error
}

// host is what an engine needs from the store that it works for.
type host struct {
	log *slog.Logger
	// cached returns the cached state of a function, or a zero entry.
	cached func(name string) entry
	// committed is called after a commit and before anybody is told of it, with what was saved.
	committed func(saved ...entry)
	// changed wakes up the readers of the change feed.
	changed func()
}

// querier runs SQL: a transaction, a connection or a pool.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tx is one write.
type tx struct {
	querier
	dialect
	// cached returns the newest known state of a function, including what the transaction has saved.
	cached func(name string) entry
	// saved is the function that the write has saved, a zero entry if it has saved none.
	saved entry
}

// queryRow scans the one row of a query. It returns sql.ErrNoRows if there is none.
func queryRow(ctx context.Context, q querier, query string, args []any, dest ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return cmpErr(rows.Err(), sql.ErrNoRows)
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	return rows.Close()
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// affected runs a statement and returns how many rows it has touched.
func affected(ctx context.Context, q querier, query string, args ...any) (int64, error) {
	result, err := q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// guard runs a write and turns a panic of the caller's code into an error: the transaction is rolled back,
// and the server and everybody else's writes go on.
func guard(ctx context.Context, log *slog.Logger, t *tx, do func(context.Context, *tx) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			log.ErrorContext(ctx, "a write panicked and was rolled back", "panic", cause, "stack", string(debug.Stack()))
			err = fmt.Errorf("store: the write panicked: %v", cause)
		}
	}()
	return do(ctx, t)
}

// uncertain marks the error of a commit whose outcome is not known.
func uncertain(err error) error { return fmt.Errorf("%w: %w", ErrUncertain, err) }
