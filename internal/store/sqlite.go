package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"time"

	sqlitedriver "modernc.org/sqlite"
)

// maxGroup bounds how many writes share one commit, and so how long the first of them waits.
const maxGroup = 256

// maxReaders bounds how many connections read at the same time.
const maxReaders = 8

// sqlite is the embedded engine. One goroutine owns the only connection that writes.
type sqlite struct {
	host
	dialect dialect
	// writes hands a write to the writer. It has no buffer: what has been received has been taken, what has
	// not been received can be withdrawn.
	writes  chan *queued
	stopped chan struct{} // closed by the writer
	writer  *sql.DB
	conn    *prepared
	readers *sql.DB
}

// queued is a write that waits for the writer.
type queued struct {
	do   func(context.Context, *tx) error
	err  error
	done chan struct{}
}

func openSQLite(ctx context.Context, path string, d dialect, h host) (engine, error) {
	e := &sqlite{host: h, dialect: d, writes: make(chan *queued), stopped: make(chan struct{})}
	// SQLite would create the file with the permissions of the umask; its other files take this one's.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if e.writer, err = openSQLiteFile(path, false); err != nil {
		return nil, err
	}
	if err := e.prepare(ctx); err != nil {
		return nil, errors.Join(err, e.writer.Close())
	}
	if e.readers, err = openSQLiteFile(path, true); err != nil {
		return nil, errors.Join(err, e.conn.Close(), e.writer.Close())
	}
	go e.run(context.WithoutCancel(ctx))
	return e, nil
}

func openSQLiteFile(path string, readOnly bool) (*sql.DB, error) {
	pragmas := []string{"busy_timeout(10000)", "foreign_keys(1)", "temp_store(memory)"}
	if readOnly {
		pragmas = append(pragmas, "query_only(1)")
	} else {
		pragmas = append(pragmas, "journal_mode(wal)", "synchronous(full)")
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	connector, err := sqlitedriver.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	connections := 1
	if readOnly {
		connections = maxReaders
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// prepare takes the writing connection, checks that it syncs, and migrates the database.
func (e *sqlite) prepare(ctx context.Context) error {
	conn, err := e.writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	e.conn = &prepared{Conn: conn, statements: map[string]*sql.Stmt{}}
	err = e.verify(ctx)
	if err == nil {
		err = e.migrate(ctx)
	}
	if err != nil {
		return errors.Join(err, e.conn.Close())
	}
	return nil
}

// verify reads the settings back: SQLite keeps another journal mode without an error where it cannot have WAL.
func (e *sqlite) verify(ctx context.Context) error {
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := queryRow(ctx, e.conn.Conn, "PRAGMA "+pragma, nil, &got); err != nil {
			return fmt.Errorf("open the database: %w", err)
		}
		if got != want {
			return fmt.Errorf("open the database: SQLite has %s=%s here, and needs %s; does the file system support it?", pragma, got, want)
		}
	}
	return nil
}

func (e *sqlite) migrate(ctx context.Context) error {
	t, err := e.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback() //nolint:errcheck // nothing is left to roll back after the commit
	var have int
	if err := queryRow(ctx, t, "PRAGMA user_version", nil, &have); err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	now, err := migrate(ctx, t, e.dialect, have)
	if err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", now)); err != nil {
		return err
	}
	return t.Commit()
}

func (e *sqlite) write(ctx context.Context, do func(context.Context, *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &queued{do: do, done: make(chan struct{})}
	select {
	case e.writes <- w:
		<-w.done
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the writer. It ends when writes is closed.
func (e *sqlite) run(ctx context.Context) {
	defer close(e.stopped)
	for w := range e.writes {
		e.commit(ctx, w)
	}
}

// commit makes one transaction of a write and of those that are waiting, and answers them all when it is
// synced. Nobody is answered earlier, not even those that failed: they may have seen what the others wrote.
func (e *sqlite) commit(ctx context.Context, w *queued) {
	var group []*queued
	saved := map[string]entry{}
	err := e.conn.exec(ctx, "BEGIN IMMEDIATE")
	for ; w != nil; w = e.next(len(group)) {
		group = append(group, w)
		if err == nil {
			err = e.attempt(ctx, w, saved)
		}
	}
	if err == nil {
		if err = e.conn.exec(ctx, "COMMIT"); err != nil {
			err = uncertain(err)
		}
	}
	if err != nil {
		e.log.ErrorContext(ctx, "writes failed together", "writes", len(group), "error", err)
		// SQLite may have rolled back by itself; then this has nothing to do and says so.
		_ = e.conn.exec(ctx, "ROLLBACK")
	} else {
		e.committed(slices.Collect(maps.Values(saved))...)
	}
	for _, w := range group {
		if w.err == nil {
			w.err = err
		}
		close(w.done)
	}
}

// next takes a write that is waiting now, or returns nil.
func (e *sqlite) next(taken int) *queued {
	if taken == maxGroup {
		return nil
	}
	select {
	case w := <-e.writes:
		return w
	default:
		return nil
	}
}

// attempt runs one write in a savepoint and leaves its outcome in w.err. The error that it returns is one
// that ends the whole transaction: on errors such as a full disk SQLite rolls back everything, and then the
// savepoint is gone.
func (e *sqlite) attempt(ctx context.Context, w *queued, saved map[string]entry) error {
	if err := e.conn.exec(ctx, "SAVEPOINT one"); err != nil {
		return err
	}
	t := &tx{querier: e.conn, dialect: e.dialect, cached: func(name string) entry {
		if s, ok := saved[name]; ok {
			return s
		}
		return e.cached(name)
	}}
	if w.err = guard(ctx, e.log, t, w.do); w.err != nil {
		if err := e.conn.exec(ctx, "ROLLBACK TO one"); err != nil {
			return fmt.Errorf("%w, after: %w", err, w.err)
		}
	}
	if err := e.conn.exec(ctx, "RELEASE one"); err != nil {
		return err
	}
	if w.err == nil && t.saved.name != "" {
		saved[t.saved.name] = t.saved
	}
	return nil
}

func (e *sqlite) reader() *sql.DB { return e.readers }

// poll returns 0: nobody but this process writes, and it signals after each commit.
func (e *sqlite) poll() time.Duration { return 0 }

func (e *sqlite) check(ctx context.Context) error {
	rows, err := e.readers.QueryContext(ctx, "PRAGMA quick_check(10)")
	if err != nil {
		return err
	}
	defer rows.Close()
	var errs []error
	for rows.Next() {
		var finding string
		if err := rows.Scan(&finding); err != nil {
			return err
		}
		if finding != "ok" {
			errs = append(errs, fmt.Errorf("%w: %s", ErrCorrupt, finding))
		}
	}
	return errors.Join(append(errs, rows.Err())...)
}

func (e *sqlite) close() error {
	close(e.writes) // the store has seen to it that nobody sends any more
	<-e.stopped
	return errors.Join(e.readers.Close(), e.conn.Close(), e.writer.Close())
}

// prepared is a connection that keeps its statements. They are the constants of this package, so there is a
// bounded number of them. It serves one goroutine.
type prepared struct {
	*sql.Conn
	statements map[string]*sql.Stmt
}

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.statements[query]; ok {
		return s, nil
	}
	s, err := p.PrepareContext(ctx, query)
	if err == nil {
		p.statements[query] = s
	}
	return s, err
}

// ExecContext runs a statement without a result.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext runs a statement with a result.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (p *prepared) exec(ctx context.Context, query string) error {
	_, err := p.ExecContext(ctx, query)
	return err
}

// Close closes the statements as well: database/sql does not do that for those of a single connection, and
// with one of them open SQLite neither closes the file nor puts the write-ahead log into it.
func (p *prepared) Close() error {
	var errs []error
	for _, s := range p.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, p.Conn.Close())...)
}
