package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// feedChannel is where PostgreSQL announces changes. Servers with other schemas of the same database hear
// it too, and find nothing new.
const feedChannel = "serin_changes"

// migrationLock is the key of the advisory lock that one migrating server holds: the bytes of "serin".
const migrationLock = 0x736572696e

const (
	// maxConnections bounds the connections of one server, besides the one that listens.
	maxConnections = 16
	// writeTimeout bounds a transaction after it has begun, when its caller can no longer cancel it.
	writeTimeout = time.Minute
	// pollInterval is how long a change of another server can go unnoticed if its announcement is lost.
	pollInterval = time.Second
)

// postgres is the engine for a database that several servers share.
type postgres struct {
	host
	dialect   dialect
	db        *sql.DB
	stop      context.CancelFunc
	listening chan struct{} // closed by the listener when it has ended
}

func openPostgres(ctx context.Context, url string, unsafe bool, d dialect, h host) (engine, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the URL of the database: %w", err) // pgx leaves out the password
	}
	defaults := map[string]string{
		"application_name": "serin", "statement_timeout": "60s", "lock_timeout": "10s",
		"idle_in_transaction_session_timeout": "60s",
	}
	maps.Copy(defaults, cfg.RuntimeParams)
	cfg.RuntimeParams = defaults

	e := &postgres{host: h, dialect: d, listening: make(chan struct{})}
	// Each new connection is checked, so a setting changed later is noticed as well.
	e.db = stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		return checkSettings(ctx, conn, unsafe)
	}))
	e.db.SetMaxOpenConns(maxConnections)
	e.db.SetMaxIdleConns(maxConnections)
	e.db.SetConnMaxIdleTime(5 * time.Minute)
	if err := e.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), e.db.Close())
	}
	listenCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	go e.listen(listenCtx, cfg)
	return e, nil
}

// checkSettings refuses a server that acknowledges a commit before it is on disk.
func checkSettings(ctx context.Context, conn *pgx.Conn, unsafe bool) error {
	if unsafe {
		return nil
	}
	for _, setting := range []string{"synchronous_commit", "fsync"} {
		// Servers that only speak PostgreSQL's protocol may not have the setting.
		var value *string
		if err := conn.QueryRow(ctx, `SELECT current_setting($1, true)`, setting).Scan(&value); err != nil {
			return err
		}
		if value != nil && *value == "off" {
			return fmt.Errorf("the PostgreSQL server has %s=off: it would lose acknowledged writes in a power cut; "+
				"turn it on for this database, or accept the risk explicitly", setting)
		}
	}
	return nil
}

// migrate creates or migrates the schema. Of several servers that start at once one does the work.
func (e *postgres) migrate(ctx context.Context) error {
	t, err := e.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback() //nolint:errcheck // nothing is left to roll back after the commit
	for _, statement := range []string{
		fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, migrationLock),
		`CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)`,
	} {
		if _, err := t.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	var have int
	if err := queryRow(ctx, t, `SELECT COALESCE(MAX(version), 0) FROM schema_version`, nil, &have); err != nil {
		return err
	}
	now, err := migrate(ctx, t, e.dialect, have)
	if err != nil {
		return err
	}
	if now > have {
		if _, err := t.ExecContext(ctx, `INSERT INTO schema_version (version) VALUES ($1)`, now); err != nil {
			return err
		}
	}
	return t.Commit()
}

func (e *postgres) write(ctx context.Context, do func(context.Context, *tx) error) error {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	// READ COMMITTED: what is read after a row has been locked is as new as the lock.
	transaction, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	t := &tx{querier: transaction, dialect: e.dialect, cached: e.cached}
	if err := guard(ctx, e.log, t, do); err != nil {
		// If this fails the connection is lost or will be closed, and the server rolls back.
		_ = transaction.Rollback()
		return err
	}
	if err := transaction.Commit(); err != nil {
		// Less than a fatal error is an answer: the server has rolled back.
		answer, ok := errors.AsType[*pgconn.PgError](err)
		if ok && answer.SeverityUnlocalized == "ERROR" || errors.Is(err, pgx.ErrTxCommitRollback) {
			return err
		}
		return uncertain(err)
	}
	if t.saved.name != "" {
		e.committed(t.saved)
	}
	return nil
}

// listen wakes up the readers of the feed when a server announces a change. It has a connection of its own.
func (e *postgres) listen(ctx context.Context, cfg *pgx.ConnConfig) {
	defer close(e.listening)
	pause := firstPause
	for ctx.Err() == nil {
		err := e.listenOnce(ctx, cfg, func() { pause = firstPause })
		if ctx.Err() != nil {
			return
		}
		e.log.WarnContext(ctx, "lost the connection that announces changes, trying again", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// listenOnce listens until the connection is lost. It calls connected when it hears.
func (e *postgres) listenOnce(ctx context.Context, cfg *pgx.ConnConfig, connected func()) error {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+feedChannel); err != nil {
		return err
	}
	connected()
	for {
		e.changed() // at first for what was announced before
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

func (e *postgres) reader() *sql.DB { return e.db }

func (e *postgres) poll() time.Duration { return pollInterval }

// check compares the counter of the feed with the feed. The files of the server are its administrator's, who has
// pg_amcheck and pg_checksums for them.
func (e *postgres) check(ctx context.Context) error {
	var counter, last int64
	err := queryRow(ctx, e.db, `SELECT feed.seq, (SELECT COALESCE(MAX(seq), 0) FROM changes) FROM feed`, nil, &counter, &last)
	if err == nil && counter != last {
		err = fmt.Errorf("%w: the counter of the change feed is at %d and the feed at %d", ErrCorrupt, counter, last)
	}
	return err
}

func (e *postgres) close() error {
	e.stop()
	<-e.listening
	return e.db.Close()
}
