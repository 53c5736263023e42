package store

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
)

// Records are the documents of one kind as values of a type.
type Records[T any] struct {
	Store *Store
	Kind  string
}

// changeAttempts bounds how often a change is made again because another one came in between.
const changeAttempts = 50

// Get returns a record.
//
// Errors: [ErrNotFound].
func (r Records[T]) Get(ctx context.Context, name string) (*T, error) {
	d, err := r.Store.Document(ctx, r.Kind, name)
	if err != nil {
		return nil, err
	}
	return decodeRecord[T](d)
}

// All returns the records whose names begin with prefix, by name.
func (r Records[T]) All(ctx context.Context, prefix string) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for d, err := range r.Store.Documents(ctx, r.Kind, prefix) {
			if err != nil {
				yield(nil, err)
				return
			}
			v, err := decodeRecord[T](d)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Create saves a record that must not exist yet.
//
// Errors: [ErrExists].
func (r Records[T]) Create(ctx context.Context, name string, v *T) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return r.Store.SaveDocuments(ctx, Document{Kind: r.Kind, Name: name, Body: body})
}

// Change changes a record in one transaction. change may run several times, each time on what is there then; an error of it ends that,
// and nothing is saved.
//
// Errors: [ErrNotFound], [ErrStale] if others change the record without end.
func (r Records[T]) Change(ctx context.Context, name string, change func(*T) error) (*T, error) {
	for range changeAttempts {
		d, err := r.Store.Document(ctx, r.Kind, name)
		if err != nil {
			return nil, err
		}
		v, err := decodeRecord[T](d)
		if err != nil {
			return nil, err
		}
		if err := change(v); err != nil {
			return nil, err
		}
		if d.Body, err = json.Marshal(v); err != nil {
			return nil, err
		}
		if err = r.Store.SaveDocuments(ctx, d); !errors.Is(err, ErrStale) {
			return v, err
		}
	}
	return nil, Document{Kind: r.Kind, Name: name}.err(ErrStale)
}

// Delete deletes a record if check, which may be nil, has nothing against it.
//
// Errors: [ErrNotFound], [ErrStale] as for Change.
func (r Records[T]) Delete(ctx context.Context, name string, check func(*T) error) error {
	for range changeAttempts {
		d, err := r.Store.Document(ctx, r.Kind, name)
		if err != nil {
			return err
		}
		if check != nil {
			v, err := decodeRecord[T](d)
			if err == nil {
				err = check(v)
			}
			if err != nil {
				return err
			}
		}
		d.Body = nil
		if err = r.Store.SaveDocuments(ctx, d); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return Document{Kind: r.Kind, Name: name}.err(ErrStale)
}

func decodeRecord[T any](d Document) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(d.Body, v); err != nil {
		return nil, d.err(err)
	}
	return v, nil
}
