// Package timeseries keeps statistic sets of metrics: exact counts, sums and extremes with a distribution, to the
// second for the last hours and to the minute for weeks.
//
// It is a room of its own because it is neither what the server knows (internal/store, which never loses what it
// acknowledged) nor what it has just counted (internal/metrics, which never touches a disk): samples are many,
// small, and worth a fraction of the care. It holds them in Prometheus' tsdb, an embedded database with a label
// index, compression, a write-ahead log and retention, and hides that choice.
//
// # Two tiers
//
// What is added waits in memory, merged by metric and second, for the next [Store.Flush], which happens every
// second. A flush writes to the tier of seconds. Once a minute is over, a rollup reads it there and writes its
// sets to the tier of minutes; the file "minutes" says up to where. So there is one way from seconds to minutes,
// which a restart takes up where it stopped: kill -9 loses what was not flushed, at most the last second.
//
// Reading minutes takes those that are rolled up from the second tier and newer ones from the first. Nothing is in
// both: what arrives too late for the rollup, or is dated outside of what the seconds cover, is written to the tier
// of minutes beside the minute's own set, at a free millisecond of that minute.
package timeseries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"serin"
)

const (
	second = int64(1000) // milliseconds, as all times within this package
	minute = 60 * second

	// Fine says for how long values can be read to the second.
	Fine = 3 * time.Hour
	// Past and Future bound the times that values may have, relative to now.
	Past   = 14 * 24 * time.Hour
	Future = 2 * time.Hour

	// A sample of the tier of seconds lies at the millisecond of its second that tells how many seconds after it
	// it was flushed, so that two flushes never write to the same time.
	early    = 60 // seconds by which clocks may be ahead
	slots    = 1000
	settling = 60 * second // how long after its end a minute is rolled up

	maxPending = 1 << 20
)

// Config is how a Store keeps its data.
type Config struct {
	Dir       string
	Retention time.Duration // of minutes; 0 for 15 days
	MaxBytes  int64         // of minutes in blocks on disk; 0 for no limit but time
	Now       func() time.Time
	Log       *slog.Logger
}

// compactEvery is how often old samples are made into blocks, in milliseconds.
const compactEvery = 15 * minute

// Store keeps the sets of metrics. It is safe for concurrent use.
type Store struct {
	Config
	seconds, minutes tier

	mu        sync.Mutex // guards what follows
	pending   map[pendingKey]*Value
	flushedAt int64 // the second of the last flush

	// tiers is held for writing while sets move from one tier to the other, or both would show them.
	tiers    sync.RWMutex
	rolledUp int64 // the start of the first minute that is not rolled up

	// commits is held while samples are written or compacted.
	commits     sync.Mutex
	compactedAt int64
}

type pendingKey struct {
	metric string
	second int64 // milliseconds, as the others
}

// Value is a set of values of a metric at a time.
type Value struct {
	Metric Metric
	Key    string // of the metric; "" if it has not been worked out yet
	At     time.Time
	Set    Set
}

// Open opens the store in a directory, which it creates, and takes up what was left undone.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Retention == 0 {
		cfg.Retention = 15 * 24 * time.Hour
	}
	s := &Store{Config: cfg, pending: map[pendingKey]*Value{}}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	log := slog.New(quiet{cfg.Log.Handler()})
	var err error
	if s.seconds, err = openTier(tierConfig{
		dir: filepath.Join(cfg.Dir, "seconds.tsdb"), retention: Fine, block: time.Hour, outOfOrder: 20 * time.Minute, log: log,
	}); err != nil {
		return nil, err
	}
	if s.minutes, err = openTier(tierConfig{
		dir: filepath.Join(cfg.Dir, "minutes.tsdb"), retention: cfg.Retention, block: 2 * time.Hour,
		outOfOrder: Past + Future + time.Hour, maxBytes: cfg.MaxBytes, log: log,
	}); err != nil {
		return nil, errors.Join(err, s.seconds.db.Close())
	}
	now := cfg.Now().UnixMilli()
	s.flushedAt = now / second * second // an earlier process may have flushed in this second
	s.rolledUp = max(s.savedMark(), (now-Fine.Milliseconds())/minute*minute)
	if err := s.rollUp(ctx, now); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

// Close flushes and closes the store.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	// The second of the last flush is not over, so this one counts as that of the next.
	at := max(s.Now().UnixMilli(), s.flushedAt+second)
	s.mu.Unlock()
	return errors.Join(s.flush(ctx, at), s.seconds.db.Close(), s.minutes.db.Close())
}

// Run flushes every second until the context ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.Flush(ctx); err != nil {
				s.Log.ErrorContext(ctx, "metrics of a second are lost", "error", err)
			}
		}
	}
}

// Add takes values into memory; the next flush writes them. Times outside of [Past] and [Future] are the caller's
// to refuse.
//
// Errors: KindThrottled if more is waiting to be written than memory may hold.
func (s *Store) Add(values ...Value) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending)+len(values) > maxPending {
		return serin.Errorf(serin.KindThrottled, "Too many metrics are waiting to be written. Try again.")
	}
	for i := range values {
		v := &values[i]
		if v.Key == "" {
			v.Key = v.Metric.Key()
		}
		key := pendingKey{v.Key, v.At.UnixMilli() / second * second}
		waiting, ok := s.pending[key]
		if !ok {
			waiting = &Value{Metric: v.Metric, Key: v.Key, At: v.At}
			s.pending[key] = waiting
		}
		waiting.Set.Merge(&v.Set)
	}
	return nil
}

// Flush writes what was added and rolls up minutes that are over. It does nothing within the second of the last
// flush.
func (s *Store) Flush(ctx context.Context) error {
	s.commits.Lock()
	defer s.commits.Unlock()
	now := s.Now().UnixMilli()
	return errors.Join(s.flush(ctx, now), s.rollUp(ctx, now), s.compact(ctx, now))
}

// compact makes blocks of what is old enough, at most every compactEvery. The caller holds s.commits.
func (s *Store) compact(ctx context.Context, now int64) error {
	if now-s.compactedAt < compactEvery {
		return nil
	}
	s.compactedAt = now
	return errors.Join(s.seconds.db.Compact(ctx), s.minutes.db.Compact(ctx))
}

func (s *Store) flush(ctx context.Context, now int64) error {
	at := now / second * second
	s.mu.Lock()
	if at <= s.flushedAt || len(s.pending) == 0 {
		s.mu.Unlock()
		return nil
	}
	pending := s.pending
	s.pending, s.flushedAt = make(map[pendingKey]*Value, len(pending)), at
	s.mu.Unlock()

	keys := slices.SortedFunc(maps.Keys(pending), func(a, b pendingKey) int {
		if a.second != b.second {
			return int(a.second - b.second)
		}
		return strings.Compare(a.metric, b.metric)
	})
	// Writers of different flushes may not overtake each other: samples in order are cheap.
	s.tiers.Lock()
	defer s.tiers.Unlock()
	late := map[pendingKey]*Value{} // by minute
	err := s.seconds.write(ctx, func(yield func(Metric, sample) bool) {
		for _, k := range keys {
			v, slot := pending[k], (at-k.second)/second+early
			covered := slot >= 0 && slot < slots
			if from := k.second / minute * minute; !covered || from < s.rolledUp {
				addTo(late, pendingKey{k.metric, from}, v)
			}
			if covered && !yield(v.Metric, sample{k.second + slot, v.Set}) {
				return
			}
		}
	})
	if len(late) > 0 {
		err = errors.Join(err, s.writeLate(ctx, late))
	}
	return err
}

func addTo(sets map[pendingKey]*Value, key pendingKey, v *Value) {
	sum, ok := sets[key]
	if !ok {
		sum = &Value{Metric: v.Metric}
		sets[key] = sum
	}
	sum.Set.Merge(&v.Set)
}

// writeLate writes sets to the tier of minutes, each beside what its minute holds already.
func (s *Store) writeLate(ctx context.Context, late map[pendingKey]*Value) error {
	slots := make(map[pendingKey]int64, len(late))
	for k, v := range late {
		slots[k] = k.second + 1 // the first millisecond belongs to the rollup
		m := v.Metric
		sel := Selector{Namespace: m.Namespace, Name: m.Name, Unit: m.Unit, Dimensions: m.Dimensions, Exact: true}
		err := s.minutes.read(ctx, []Selector{sel}, k.second, k.second+minute, func(Metric) func(int64, *Set) {
			return func(at int64, _ *Set) { slots[k] = max(slots[k], at+1) }
		})
		if err != nil {
			return err
		}
	}
	return s.minutes.write(ctx, func(yield func(Metric, sample) bool) {
		for k, v := range late {
			if slots[k] < k.second+minute && !yield(v.Metric, sample{slots[k], v.Set}) {
				return
			}
		}
	})
}

// rollUp writes the sets of the minutes that are over to the tier of minutes.
func (s *Store) rollUp(ctx context.Context, now int64) error {
	end := (now - settling) / minute * minute
	s.tiers.Lock()
	defer s.tiers.Unlock()
	if end <= s.rolledUp {
		return nil
	}
	sums := map[pendingKey]*Value{}
	err := s.seconds.read(ctx, []Selector{{}}, s.rolledUp, end, func(m Metric) func(int64, *Set) {
		key := m.Key()
		return func(at int64, set *Set) {
			addTo(sums, pendingKey{key, at / minute * minute}, &Value{Metric: m, Set: *set})
		}
	})
	if err != nil {
		return fmt.Errorf("roll up metrics: %w", err)
	}
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b pendingKey) int { return int(a.second - b.second) })
	err = s.minutes.write(ctx, func(yield func(Metric, sample) bool) {
		for _, k := range keys {
			if !yield(sums[k].Metric, sample{k.second, sums[k].Set}) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("roll up metrics: %w", err)
	}
	s.rolledUp = end
	return s.saveMark(end)
}

func (s *Store) markFile() string { return filepath.Join(s.Dir, "minutes") }

// savedMark returns up to where minutes have been rolled up, or 0 if nothing says so.
func (s *Store) savedMark() int64 {
	b, err := os.ReadFile(s.markFile())
	if err != nil {
		return 0
	}
	mark, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return mark
}

func (s *Store) saveMark(mark int64) error {
	next := s.markFile() + ".new"
	if err := os.WriteFile(next, strconv.AppendInt(nil, mark, 10), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.markFile())
}

// quiet lets warnings and worse through: the database tells of every block that it writes.
type quiet struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup implements [slog.Handler].
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
