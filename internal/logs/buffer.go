package logs

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	// window bounds how much time a chunk spans, in milliseconds.
	window = int64(10 * time.Minute / time.Millisecond)
	// maxChunk is the size at which a chunk is full, in bytes before it is packed.
	maxChunk = 256 << 10
	// wakeAt is how much may wait before it is written early, maxWaiting how much at all, in bytes.
	wakeAt     = 4 << 20
	maxWaiting = 32 << 20
	// knownStreams bounds the memory for the ids of streams.
	knownStreams = 10_000
)

type streamKey struct{ group, stream string }

type streamIDs struct{ group, stream int64 }

type builderKey struct {
	streamKey
	window int64
}

// builder collects a chunk.
type builder struct {
	key    streamKey
	data   []byte
	events []placed
}

// placed is where an event is in the memory of its chunk.
type placed struct {
	at        int64
	requestID string
	end       int
}

// Line is an event to append: its time in milliseconds since 1970, the invocation that wrote it, if any, and its text.
type Line struct {
	At        int64
	RequestID string
	Message   []byte
}

// Append takes a line for a stream, which is made, as is its group, if it is missing. The line is copied. It waits while too
// much is waiting to be written.
func (s *Store) Append(group, stream string, line Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append(streamKey{group, stream}, line)
}

// AppendAll takes lines for a stream and returns when they have been written.
func (s *Store) AppendAll(ctx context.Context, group, stream string, lines []Line) error {
	s.mu.Lock()
	for _, line := range lines {
		s.append(streamKey{group, stream}, line)
	}
	s.mu.Unlock()
	return s.Flush(ctx)
}

func (s *Store) append(key streamKey, line Line) {
	for s.bytes > maxWaiting {
		s.filled.Wait()
	}
	at := builderKey{key, line.At / window}
	b := s.open[at]
	if b == nil || len(b.data) >= maxChunk {
		b = &builder{key: key}
		s.open[at] = b
		s.order = append(s.order, b)
	}
	b.data = append(b.data, line.Message...)
	b.events = append(b.events, placed{line.At, line.RequestID, len(b.data)})
	s.bytes += len(line.Message) + 64
	if s.bytes > wakeAt {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Flush writes what has been appended before the call.
func (s *Store) Flush(ctx context.Context) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if err := s.save(ctx); err != nil { // what an earlier flush has left comes first
		return err
	}
	s.mu.Lock()
	s.unsaved = s.order
	s.open, s.order, s.bytes = map[builderKey]*builder{}, nil, 0
	s.filled.Broadcast()
	s.mu.Unlock()
	return s.save(ctx)
}

// save writes what has been taken.
func (s *Store) save(ctx context.Context) error {
	if len(s.unsaved) == 0 {
		return nil
	}
	// A reader that goes away must not take the write with it.
	chunks, err := s.write(context.WithoutCancel(ctx), s.unsaved)
	if err != nil {
		clear(s.streams)
		return fmt.Errorf("logs: write: %w", err)
	}
	s.unsaved = nil
	if s.cfg.Written != nil {
		for i := range chunks {
			s.cfg.Written(context.WithoutCancel(ctx), &chunks[i])
		}
	}
	return nil
}

// write writes chunks in one transaction.
func (s *Store) write(ctx context.Context, builders []*builder) ([]Chunk, error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	// After a commit this does nothing.
	defer func() { _ = tx.Rollback() }()
	chunks := make([]Chunk, 0, len(builders))
	now := s.milli()
	insert := tx.StmtContext(ctx, s.inserts)
	var plain, packed []byte
	for _, b := range builders {
		ids, err := s.idsOf(ctx, tx, b.key, now)
		if err != nil {
			return nil, err
		}
		b.sort()
		plain = b.encode(plain[:0])
		packed = s.encoder.EncodeAll(plain, packed[:0])
		c := Chunk{Group: b.key.group, Stream: b.key.stream, ingested: now, data: b.data, events: b.events}
		first, last := b.events[0].at, b.events[len(b.events)-1].at
		size := len(b.data) + perEvent*len(b.events)
		if err := insert.QueryRowContext(ctx, ids.group, ids.stream, first, last, now, len(b.events), size, packed).Scan(&c.id); err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE streams SET first = min(coalesce(first, ?1), ?1), last = max(coalesce(last, ?2), ?2), ingested = ?3 WHERE id = ?4`, first, last, now, ids.stream); err != nil {
			return nil, err
		}
		chunks = append(chunks, c)
	}
	return chunks, tx.Commit()
}

// perEvent is what CloudWatch Logs counts for an event beside its text, in bytes.
const perEvent = 26

// idsOf returns the ids of a stream, which it makes if it is missing.
func (s *Store) idsOf(ctx context.Context, tx *sql.Tx, key streamKey, now int64) (streamIDs, error) {
	if ids, ok := s.streams[key]; ok {
		return ids, nil
	}
	if len(s.streams) >= knownStreams {
		clear(s.streams)
	}
	var ids streamIDs
	_, err := tx.ExecContext(ctx, `INSERT INTO log_groups (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING`, key.group, now)
	if err == nil {
		err = tx.QueryRowContext(ctx, `SELECT id FROM log_groups WHERE name = ?`, key.group).Scan(&ids.group)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `INSERT INTO streams (grp, name, created) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, ids.group, key.stream, now)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, `SELECT id FROM streams WHERE grp = ? AND name = ?`, ids.group, key.stream).Scan(&ids.stream)
	}
	if err == nil {
		s.streams[key] = ids
	}
	return ids, err
}
