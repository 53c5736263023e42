package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"serin"
)

// CreateFunction saves the function that build makes. build gets the highest version number ever given
// under the name, 0 for a new one. It returns the function and the sequence number of the change.
//
// build runs inside the transaction and may run on another goroutine: it must not block, call the store
// or end its goroutine. Its error is returned as it is, and nothing is written.
//
// Errors: [ErrExists], and those of every write: see [ErrUncertain], [ErrClosed], and ctx.Err() if ctx ended
// before the write began.
func (s *Store) CreateFunction(ctx context.Context, name string, build func(lastPublished serin.VersionNumber) (*serin.Function, error)) (*serin.Function, int64, error) {
	if err := checkText("function name", name); err != nil {
		return nil, 0, err
	}
	return s.change(ctx, func(ctx context.Context, t *tx) (*serin.Function, int64, error) {
		// Of two transactions that create the same function one waits here for the other.
		if _, err := t.ExecContext(ctx, `INSERT INTO functions (name) VALUES ($1) ON CONFLICT (name) DO NOTHING`, name); err != nil {
			return nil, 0, err
		}
		r, err := t.lock(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		if r.exists {
			return nil, 0, functionErr(name, ErrExists)
		}
		f, err := build(r.lastPublished)
		if err != nil {
			return nil, 0, err
		}
		seq, err := t.save(ctx, r, &serin.Function{LastPublished: r.lastPublished}, f)
		return f, seq, err
	})
}

// UpdateFunction saves what change makes of a copy of the function. It returns the function as saved and
// the sequence number of the change. For change the same holds as for build of [Store.CreateFunction].
//
// Errors: [ErrNotFound], and those of every write.
func (s *Store) UpdateFunction(ctx context.Context, name string, change func(*serin.Function) error) (*serin.Function, int64, error) {
	return s.change(ctx, func(ctx context.Context, t *tx) (*serin.Function, int64, error) {
		r, old, err := t.read(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		f := old.Clone()
		if err := change(f); err != nil {
			return nil, 0, err
		}
		seq, err := t.save(ctx, r, old, f)
		return f, seq, err
	})
}

// UpdateFunctionInUse is UpdateFunction for a change that asks what else uses the function: the newest moves of its
// aliases and its active releases, as of the same transaction.
func (s *Store) UpdateFunctionInUse(ctx context.Context, name string, change func(*serin.Function, serin.InUse) error) (*serin.Function, int64, error) {
	return s.change(ctx, func(ctx context.Context, t *tx) (*serin.Function, int64, error) {
		r, old, err := t.read(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		var in serin.InUse
		if in.Moves, err = history(ctx, t, name, "", serin.MaxMoves); err != nil {
			return nil, 0, err
		}
		if in.Releases, err = t.activeReleases(ctx, name); err != nil {
			return nil, 0, functionErr(name, err)
		}
		f := old.Clone()
		if err := change(f, in); err != nil {
			return nil, 0, err
		}
		seq, err := t.save(ctx, r, old, f)
		return f, seq, err
	})
}

// DeleteFunction removes a function with its versions and aliases unless check returns an error. The alias
// history stays, and so does the number of the last published version. check gets a copy of the function;
// aliases that it deletes from the copy leave their rows in the history. For check the same holds as for
// build of [Store.CreateFunction].
//
// Errors: [ErrNotFound], and those of every write.
func (s *Store) DeleteFunction(ctx context.Context, name string, check func(*serin.Function) error) (int64, error) {
	_, seq, err := s.change(ctx, func(ctx context.Context, t *tx) (*serin.Function, int64, error) {
		r, old, err := t.read(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		f := old.Clone()
		if err := check(f); err != nil {
			return nil, 0, err
		}
		seq, err := t.bury(ctx, r, f)
		return nil, seq, err
	})
	return seq, err
}

func (s *Store) change(ctx context.Context, do func(context.Context, *tx) (*serin.Function, int64, error)) (*serin.Function, int64, error) {
	var f *serin.Function
	var seq int64
	err := s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		f, seq, err = do(ctx, t)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return f, seq, nil
}

// Function returns a function.
//
// Errors: [ErrNotFound].
func (s *Store) Function(ctx context.Context, name string) (*serin.Function, error) {
	if !isText(name) {
		return nil, functionErr(name, ErrNotFound)
	}
	known := s.cache.get(name)
	var revision int64
	err := queryRow(ctx, s.engine.reader(), `SELECT revision FROM functions WHERE name = $1 AND document IS NOT NULL`, []any{name}, &revision)
	if errors.Is(err, sql.ErrNoRows) {
		s.cache.forget(known) // another server has deleted it
		return nil, functionErr(name, ErrNotFound)
	}
	if err != nil {
		return nil, functionErr(name, err)
	}
	if known.function != nil && known.revision == revision {
		return known.function, nil
	}
	e, err := load(ctx, s.engine.reader(), name)
	if err != nil {
		return nil, err
	}
	return s.cache.put(e).function, nil
}

// Functions returns all functions as of one moment, ordered by name for the database. After an error it ends.
//
// To follow what happens later, ask for [Store.LastChange] before, and for [Store.Changes] from there after.
func (s *Store) Functions(ctx context.Context) iter.Seq2[*serin.Function, error] {
	return func(yield func(*serin.Function, error) bool) {
		for e, err := range scanFunctions(ctx, s.engine.reader(), everyFunction) {
			if err == nil {
				e = s.cache.put(e)
			}
			if !yield(e.function, err) {
				return
			}
		}
	}
}

// row is a locked row of a function.
type row struct {
	name          string
	revision      int64
	lastPublished serin.VersionNumber
	exists        bool
}

func (t *tx) lock(ctx context.Context, name string) (row, error) {
	r := row{name: name}
	err := queryRow(ctx, t, `SELECT revision, last_published, document IS NOT NULL FROM functions WHERE name = $1`+t.forUpdate,
		[]any{name}, &r.revision, &r.lastPublished, &r.exists)
	return r, err
}

// read locks a function and returns its newest state.
func (t *tx) read(ctx context.Context, name string) (row, *serin.Function, error) {
	if !isText(name) {
		return row{}, nil, functionErr(name, ErrNotFound)
	}
	r, err := t.lock(ctx, name)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !r.exists {
		return r, nil, functionErr(name, ErrNotFound)
	}
	if err != nil {
		return r, nil, functionErr(name, err)
	}
	if e := t.cached(name); e.function != nil && e.revision == r.revision {
		return r, e.function, nil
	}
	e, err := load(ctx, t, name)
	return r, e.function, err
}

func functionErr(name string, err error) error { return fmt.Errorf("function %q: %w", name, err) }
