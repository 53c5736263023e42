package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// group is a SQLite engine whose writer is held up, so that writes pile up behind it.
type group struct {
	*testing.T // that of the synctest bubble

	engine  engine
	held    chan struct{}
	all     sync.WaitGroup
	mu      sync.Mutex
	errs    map[string]error
	commits [][]string // the names saved by each commit
}

// inGroup opens an engine, queues writes behind one that is held up, and lets them go together.
func inGroup(t *testing.T, queue func(*group)) *group {
	t.Helper()
	g := &group{errs: map[string]error{}}
	synctest.Test(t, func(t *testing.T) {
		h := host{log: slog.New(slog.DiscardHandler), cached: func(string) entry { return entry{} }, committed: func(saved ...entry) {
			var names []string
			for _, s := range saved {
				names = append(names, s.name)
			}
			g.commits = append(g.commits, names)
		}}
		g.T, g.held = t, make(chan struct{})
		var err error
		if g.engine, err = openSQLite(t.Context(), filepath.Join(t.TempDir(), "db"), sqliteDialect(), h); err != nil {
			t.Fatal(err)
		}
		defer g.engine.close()
		g.write(g.Context(), "first", func(context.Context, *tx) error { <-g.held; return nil })
		synctest.Wait()
		queue(g)
		synctest.Wait()
		close(g.held)
		g.all.Wait()
		if err := g.engine.write(t.Context(), insert("afterwards")); err != nil {
			t.Errorf("the engine does not work any more: %v", err)
		}
		g.names()
	})
	return g
}

// write queues a write and returns when it is waiting or running.
func (g *group) write(ctx context.Context, name string, do func(context.Context, *tx) error) {
	g.all.Go(func() {
		err := g.engine.write(ctx, do)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs[name] = err
	})
	synctest.Wait()
}

// names checks that exactly those functions are stored whose writes were acknowledged.
func (g *group) names() {
	g.Helper()
	for name, err := range g.errs {
		var count int
		query := `SELECT COUNT(*) FROM functions WHERE name = $1`
		if err := queryRow(g.Context(), g.engine.reader(), query, []any{name}, &count); err != nil {
			g.Fatal(err)
		}
		if stored := count == 1; stored != (err == nil) && name != "first" {
			g.Errorf("%s: error %v, stored %v", name, err, stored)
		}
	}
}

func insert(name string) func(context.Context, *tx) error {
	return func(ctx context.Context, t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO functions (name, document) VALUES ($1, 'x')`, name)
		t.saved = entry{name: name, revision: 1}
		return err
	}
}

func TestGroupCommit(t *testing.T) {
	refusal := errors.New("no")
	g := inGroup(t, func(g *group) {
		g.write(g.Context(), "a", insert("a"))
		g.write(g.Context(), "refused", func(ctx context.Context, tx *tx) error {
			return errors.Join(insert("refused")(ctx, tx), refusal)
		})
		g.write(g.Context(), "b", insert("b"))
		g.write(g.Context(), "panics", func(ctx context.Context, tx *tx) error {
			panic(insert("panics")(ctx, tx))
		})
		g.write(g.Context(), "the same", insert("a")) // sees what the first one wrote
		g.write(g.Context(), "c", func(ctx context.Context, tx *tx) error {
			if got := []int64{tx.cached("a").revision, tx.cached("refused").revision, tx.cached("panics").revision}; !cmp.Equal(got, []int64{1, 0, 0}) {
				return fmt.Errorf("the transaction knows revisions %v", got)
			}
			return insert("c")(ctx, tx)
		})
	})
	for name, want := range map[string]bool{"first": true, "a": true, "b": true, "c": true, "refused": false, "panics": false, "the same": false} {
		if err := g.errs[name]; (err == nil) != want {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if !errors.Is(g.errs["refused"], refusal) {
		t.Errorf("refused: error %v", g.errs["refused"])
	}
	// One commit for the whole group, and one for the write afterwards.
	if len(g.commits) != 2 || len(g.commits[0]) != 3 {
		t.Errorf("commits: %v", g.commits)
	}
}

// TestFailedCommit fails the commit of a group by a foreign key that is checked as late as that.
func TestFailedCommit(t *testing.T) {
	g := inGroup(t, func(g *group) {
		g.write(g.Context(), "a", insert("a"))
		g.write(g.Context(), "orphan", func(ctx context.Context, t *tx) error {
			_, late := t.ExecContext(ctx, `PRAGMA defer_foreign_keys = ON`)
			_, err := t.ExecContext(ctx, `INSERT INTO versions (function, number, document) VALUES ('nobody', 1, 'x')`)
			return errors.Join(late, err)
		})
		g.write(g.Context(), "b", insert("b"))
	})
	for _, name := range []string{"first", "a", "orphan", "b"} {
		if err := g.errs[name]; !errors.Is(err, ErrUncertain) {
			t.Errorf("%s: error %v, want ErrUncertain", name, err)
		}
	}
	if len(g.commits) != 1 {
		t.Errorf("commits: %v, want that of the write afterwards only", g.commits)
	}
}

// TestLostTransaction rolls the whole transaction back under a write, as SQLite does by itself when the disk is
// full. Nothing of the group may remain, least of all what comes after the rollback.
func TestLostTransaction(t *testing.T) {
	g := inGroup(t, func(g *group) {
		g.write(g.Context(), "a", insert("a"))
		g.write(g.Context(), "victim", func(ctx context.Context, t *tx) error {
			_, err := t.ExecContext(ctx, `ROLLBACK`)
			return errors.Join(err, errors.New("disk full"))
		})
		g.write(g.Context(), "b", insert("b"))
	})
	for _, name := range []string{"a", "victim", "b"} {
		if g.errs[name] == nil || errors.Is(g.errs[name], ErrUncertain) {
			t.Errorf("%s: error %v, want one that is certain", name, g.errs[name])
		}
	}
}

func TestCancelQueued(t *testing.T) {
	g := inGroup(t, func(g *group) {
		ctx, cancel := context.WithCancel(g.Context())
		g.write(ctx, "withdrawn", insert("withdrawn"))
		g.write(g.Context(), "a", insert("a"))
		cancel()
		synctest.Wait()
		if !errors.Is(g.errs["withdrawn"], context.Canceled) {
			g.Errorf("a write that was withdrawn before its turn: error %v", g.errs["withdrawn"])
		}
	})
	if g.errs["a"] != nil {
		t.Errorf("a: %v", g.errs["a"])
	}
}

// TestGroupLimit queues more writes than one commit takes.
func TestGroupLimit(t *testing.T) {
	g := inGroup(t, func(g *group) {
		for i := range maxGroup + 10 {
			name := fmt.Sprint("f", i)
			g.write(g.Context(), name, insert(name))
		}
	})
	var sizes []int
	for _, names := range g.commits {
		sizes = append(sizes, len(names))
	}
	if diff := cmp.Diff([]int{maxGroup - 1, 11, 1}, sizes); diff != "" { // the first write saves no function
		t.Errorf("writes per commit (-want +got):\n%s", diff)
	}
	for name, err := range g.errs {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
