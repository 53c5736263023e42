package store_test

import (
	"errors"
	"sync"
	"testing"

	"serin/internal/store"
)

type counter struct{ N int }

func TestRecords(t *testing.T) {
	ctx := t.Context()
	d := sqliteDatabase()
	r := store.Records[counter]{Store: open(t, d.config(t)), Kind: "counter"}
	if _, err := r.Get(ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a record that does not exist: %v", err)
	}
	if _, err := r.Change(ctx, "a", func(*counter) error { return nil }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a record that does not exist: %v", err)
	}
	if err := errors.Join(r.Create(ctx, "a", &counter{}), r.Create(ctx, "ab", &counter{N: 7})); err != nil {
		t.Fatal(err)
	}
	if err := r.Create(ctx, "a", &counter{N: 9}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a record that exists: %v", err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 {
				if _, err := r.Change(ctx, "a", func(c *counter) error { c.N++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	refused := errors.New("no")
	if _, err := r.Change(ctx, "a", func(c *counter) error { c.N = 0; return refused }); !errors.Is(err, refused) {
		t.Errorf("a refused change: %v", err)
	}
	if err := r.Delete(ctx, "a", func(*counter) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("a refused deletion: %v", err)
	}
	var sum int
	for c, err := range r.All(ctx, "a") {
		if err != nil {
			t.Fatal(err)
		}
		sum += c.N
	}
	if sum != 27 {
		t.Errorf("the records hold %d, want 20 and 7", sum)
	}
	if err := r.Delete(ctx, "a", nil); err != nil {
		t.Error(err)
	}
	if err := r.Delete(ctx, "a", nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a second deletion: %v", err)
	}
}
