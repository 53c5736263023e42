package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Errors that callers test for. They are wrapped with what they are about.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrStale is a save of something that has been saved by somebody else since it was read.
	ErrStale = errors.New("has been changed since it was read")
	// ErrCorrupt is stored data that is not what was stored.
	ErrCorrupt = errors.New("corrupt")
	// ErrClosed is a call after Close.
	ErrClosed = errors.New("store: closed")
	// ErrUncertain is a commit that failed in a way that leaves open whether it took effect, such as a
	// connection lost before the answer. It is the only error of a write after which something may have been
	// written.
	ErrUncertain = errors.New("store: the commit failed and may or may not have taken effect")
)

// Config says where a [Store] keeps its data.
type Config struct {
	// Dir is the data directory. It is created if need be, readable by its owner only.
	Dir string
	// Database is the URL of a PostgreSQL database, beginning with postgres://, or empty for a SQLite file in
	// Dir. The URL takes the parameters of libpq; search_path chooses the schema.
	Database string
	// AllowUnsafeCommit accepts a PostgreSQL server that acknowledges commits before it has synced them.
	AllowUnsafeCommit bool
	// Committed, if set, is called after every write that succeeded with how long the writer has waited: for its turn, its
	// transaction, and the disk.
	Committed func(time.Duration)
	Log       *slog.Logger // nil logs nothing
}

// Store is the durable state of a server. It is safe for concurrent use. Functions, versions, aliases and
// moves that it returns are shared: nobody may change them.
type Store struct {
	dialect dialect
	engine  engine
	blobs   *blobs
	cache   cache
	feed    signal
	log     *slog.Logger
	lock    *os.File

	observe func(time.Duration) // of commits

	inbox    inbox
	enqueued signal // fired when this process has enqueued events
	owner    string // names this server in the leases on events

	writing sync.RWMutex  // held shared by every write
	closed  chan struct{} // closed by Close
}

// Open opens the data directory and the database, and creates or migrates what is in them. A directory can
// be open in one server at a time.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{
		cache: cache{entries: map[string]entry{}}, feed: signal{next: make(chan struct{})}, enqueued: signal{next: make(chan struct{})},
		log: cfg.Log, observe: cfg.Committed, closed: make(chan struct{}),
	}
	s.inbox.write = s.enqueue
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(ctx, cfg); err != nil {
		return nil, fmt.Errorf("store: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, cfg Config) error {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return err
	}
	if s.owner, err = owner(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the data directory: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if s.lock, err = lockDir(dir); err != nil {
		return err
	}
	if s.blobs, err = openBlobs(filepath.Join(dir, "blobs")); err != nil {
		return err
	}
	h := host{log: s.log, cached: s.cache.get, committed: s.committed, changed: s.feed.fire}
	switch {
	case cfg.Database == "":
		s.dialect = sqliteDialect()
		s.engine, err = openSQLite(ctx, filepath.Join(dir, "serin.db"), s.dialect, h)
	case strings.HasPrefix(cfg.Database, "postgres://"), strings.HasPrefix(cfg.Database, "postgresql://"):
		s.dialect = postgresDialect()
		s.engine, err = openPostgres(ctx, cfg.Database, cfg.AllowUnsafeCommit, s.dialect, h)
	default:
		// The value is not repeated: it may carry a password.
		err = errors.New("the database must be a URL that begins with postgres://, or empty for SQLite")
	}
	return err
}

// Close waits for the writes in progress, ends every change feed, and releases the data directory. Calls
// after Close fail; writes and change feeds with [ErrClosed].
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.isClosed() {
		return nil
	}
	close(s.closed)
	var errs []error
	if s.engine != nil {
		errs = append(errs, s.engine.close())
	}
	if s.blobs != nil {
		errs = append(errs, s.blobs.root.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

func (s *Store) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// write runs do in a transaction.
func (s *Store) write(ctx context.Context, do func(context.Context, *tx) error) error {
	s.writing.RLock()
	defer s.writing.RUnlock()
	if s.isClosed() {
		return ErrClosed
	}
	began := time.Now()
	err := s.engine.write(ctx, do)
	if err == nil && s.observe != nil {
		s.observe(time.Since(began))
	}
	return err
}

// committed makes saved functions known to this process. It runs before the writer is answered.
func (s *Store) committed(saved ...entry) {
	for _, e := range saved {
		s.cache.put(e)
	}
	if len(saved) > 0 {
		s.feed.fire()
	}
}
