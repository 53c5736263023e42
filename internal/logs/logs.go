// Package logs keeps log events on disk: groups, streams in them, events in those, as CloudWatch Logs has them.
//
// Events are collected in memory and written four times a second in one transaction: what one stream got in that time
// is a chunk, packed by zstd, with the times of its first and last event. So a line costs a copy into a buffer, not a
// row; and reading a million lines is reading some thousand rows. SQLite holds the chunks, in a file of its own: see
// ADR 20 for what else was measured.
//
//	Append  → builder of (group, stream, window) in memory, bounded      buffer.go
//	flush   → chunks in one transaction                                  chunk.go, buffer.go
//	Page    → the next events in order of time, of a group or a stream   page.go
//	Scan    → all events of a stretch of time, chunk by chunk            page.go
//	sweep   → what is too old, or too much, goes                         sweep.go
//
// # Order
//
// An event's [ID] is its time, its chunk and its place therein, which is also the order in which events are read: by
// time, and those of one time in the order in which they came. A chunk never reaches over the border of a window of ten
// minutes, so that the chunks of a stretch of time are found by their first event.
//
// # Durability
//
// A transaction is written to the write-ahead log before a flush returns, and survives the end of the process however it
// comes; a kill loses what was appended since the last flush. The log is not synced: a power cut may lose what
// the kernel had not written yet, and never damages what is older. Readers flush first, so they see what was appended before.
package logs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	sqlitedriver "modernc.org/sqlite"
)

// Config is what a [Store] works with.
type Config struct {
	Dir string // of the store alone
	// Retention is how long events of groups without a retention of their own are kept; 0 for ever.
	Retention time.Duration
	// MaxBytes bounds the file; the oldest events go first. 0 for no bound.
	MaxBytes int64
	Now      func() time.Time
	Log      *slog.Logger
	// Written, which may be nil, gets every chunk that has been written, one at a time. It may keep nothing of it.
	Written func(ctx context.Context, c *Chunk)
}

// Store keeps log events. It is safe for concurrent use.
type Store struct {
	cfg     Config
	writer  *sql.DB // one connection
	readers *sql.DB
	encoder *zstd.Encoder
	decoder *zstd.Decoder

	mu     sync.Mutex // of what follows
	filled sync.Cond  // what is waiting has been taken
	open   map[builderKey]*builder
	order  []*builder
	bytes  int
	wake   chan struct{}

	flushing sync.Mutex // held by who writes; of what follows
	unsaved  []*builder // what a failed flush has left
	streams  map[streamKey]streamIDs
	inserts  *sql.Stmt
}

const (
	flushEvery = 250 * time.Millisecond
	sweepEvery = time.Minute
	maxReaders = 4
)

// ErrNotFound and ErrExists say what groups and streams are there.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists")
)

const schema = `
CREATE TABLE IF NOT EXISTS log_groups (
	id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
	stored INTEGER NOT NULL DEFAULT 0, settings TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS streams (
	id INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,
	first INTEGER, last INTEGER, ingested INTEGER, UNIQUE (grp, name));
CREATE INDEX IF NOT EXISTS streams_last ON streams (grp, coalesce(last, created), name);
CREATE TABLE IF NOT EXISTS chunks (
	id INTEGER PRIMARY KEY AUTOINCREMENT, grp INTEGER NOT NULL, stream INTEGER NOT NULL,
	first INTEGER NOT NULL, last INTEGER NOT NULL, ingested INTEGER NOT NULL, events INTEGER NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS chunks_group ON chunks (grp, first);
CREATE INDEX IF NOT EXISTS chunks_stream ON chunks (stream, first);
CREATE INDEX IF NOT EXISTS chunks_end ON chunks (stream, last);
CREATE TRIGGER IF NOT EXISTS chunk_added AFTER INSERT ON chunks BEGIN UPDATE log_groups SET stored = stored + new.size WHERE id = new.grp; END;
CREATE TRIGGER IF NOT EXISTS chunk_gone AFTER DELETE ON chunks BEGIN UPDATE log_groups SET stored = stored - old.size WHERE id = old.grp; END;
`

// Open opens the store of a directory, which is made if it is missing.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	s := &Store{cfg: cfg, open: map[builderKey]*builder{}, streams: map[streamKey]streamIDs{}, wake: make(chan struct{}, 1)}
	s.filled.L = &s.mu
	var err error
	// Neither can fail with these options.
	s.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	if s.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(maxReaders), zstd.WithDecoderMaxMemory(64<<20)); err != nil {
		return nil, err
	}
	path := filepath.Join(cfg.Dir, "logs.db")
	if s.writer, err = openFile(path, 1, "journal_mode(wal)", "synchronous(normal)", "journal_size_limit(67108864)"); err != nil {
		return nil, err
	}
	if s.readers, err = openFile(path, maxReaders, "query_only(1)"); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	if _, err = s.writer.ExecContext(ctx, schema); err == nil {
		s.inserts, err = s.writer.PrepareContext(ctx, `INSERT INTO chunks (grp, stream, first, last, ingested, events, size, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("logs: open %s: %w", path, err), s.Close(ctx))
	}
	return s, nil
}

func openFile(path string, connections int, pragmas ...string) (*sql.DB, error) {
	pragmas = append(pragmas, "busy_timeout(10000)", "temp_store(memory)")
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	connector, err := sqlitedriver.NewConnector(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Run writes what is appended, and takes away what is too old, until the context ends.
func (s *Store) Run(ctx context.Context) error {
	flush, sweep := time.NewTicker(flushEvery), time.NewTicker(sweepEvery)
	defer flush.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-flush.C:
		case <-s.wake:
		case <-sweep.C:
			if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.ErrorContext(ctx, "old log events stay", "error", err)
			}
		}
		if err := s.Flush(ctx); err != nil {
			s.cfg.Log.ErrorContext(ctx, "log events wait to be written", "error", err)
		}
	}
}

// Close writes what has been appended and closes the store.
func (s *Store) Close(ctx context.Context) error {
	var err error
	if s.inserts != nil {
		err = errors.Join(s.Flush(context.WithoutCancel(ctx)), s.inserts.Close())
	}
	for _, db := range []*sql.DB{s.readers, s.writer} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	s.decoder.Close()
	return err
}

// milli is a time as the store and CloudWatch Logs have it: milliseconds since 1970.
func (s *Store) milli() int64 { return s.cfg.Now().UnixMilli() }
