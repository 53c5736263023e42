package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"

	"serin"
)

// documentPage is how many documents are read by one statement.
const documentPage = 500

// Document is a small record: one alarm, one stack, one log group.
type Document struct {
	Kind string // what it is, and so what Body looks like
	Name string // unique within the kind
	// Revision names the state that was read, 0 for a document that must not exist yet. It says nothing about order.
	Revision int64
	// Body is JSON text. Saving a document without a body deletes it.
	Body json.RawMessage
}

func (d Document) err(err error) error { return fmt.Errorf("%s %q: %w", d.Kind, d.Name, err) }

// Document returns a document.
//
// Errors: [ErrNotFound].
func (s *Store) Document(ctx context.Context, kind, name string) (Document, error) {
	d := Document{Kind: kind, Name: name}
	if !isText(kind) || !isText(name) {
		return d, d.err(ErrNotFound)
	}
	var body string
	err := queryRow(ctx, s.engine.reader(), `SELECT revision, document FROM documents WHERE kind = $1 AND name = $2`, []any{kind, name}, &d.Revision, &body)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Document{Kind: kind, Name: name}, d.err(err)
	}
	d.Body = json.RawMessage(body)
	return d, nil
}

// Documents returns the documents of a kind whose names begin with prefix, ordered bytewise by name. Those that are
// written meanwhile may be missing. The loop may use the store. After an error it ends.
func (s *Store) Documents(ctx context.Context, kind, prefix string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		if !isText(kind) || !isText(prefix) {
			return
		}
		// U+10FFFF is the last character, and nobody begins what follows a prefix with two of them.
		last, comparison, end := prefix, ">=", prefix+"\U0010FFFF\U0010FFFF"
		for {
			page, err := s.documentPage(ctx, comparison, kind, last, end)
			if err != nil {
				yield(Document{}, fmt.Errorf("read every %s: %w", kind, err))
				return
			}
			for _, d := range page {
				if !yield(d, nil) {
					return
				}
			}
			if len(page) < documentPage {
				return
			}
			last, comparison = page[len(page)-1].Name, ">"
		}
	}
}

func (s *Store) documentPage(ctx context.Context, comparison, kind, after, end string) ([]Document, error) {
	var page []Document
	err := scanAll(ctx, s.engine.reader(), `SELECT name, revision, document FROM documents
		WHERE kind = $1 AND name `+comparison+` $2 AND name <= $3 ORDER BY name LIMIT $4`, []any{kind, after, end, documentPage}, func(rows *sql.Rows) error {
		d := Document{Kind: kind}
		var body string
		err := rows.Scan(&d.Name, &d.Revision, &body)
		d.Body = json.RawMessage(body)
		page = append(page, d)
		return err
	})
	return page, err
}

// everyDocument returns the documents of all kinds that follow one, in the order of their keys.
func (s *Store) everyDocument(ctx context.Context, after Document) ([]Document, error) {
	var page []Document
	err := scanAll(ctx, s.engine.reader(), `SELECT kind, name, document FROM documents
		WHERE kind > $1 OR kind = $1 AND name > $2 ORDER BY kind, name LIMIT $3`, []any{after.Kind, after.Name, documentPage}, func(rows *sql.Rows) error {
		var d Document
		var body string
		err := rows.Scan(&d.Kind, &d.Name, &body)
		d.Body = json.RawMessage(body)
		page = append(page, d)
		return err
	})
	return page, err
}

// SaveDocuments creates, replaces and deletes documents: all of them or none.
//
// Errors: [ErrExists] for one with revision 0 that is there, [ErrStale] for one that has been changed or deleted since
// its revision was read, and those of every write.
func (s *Store) SaveDocuments(ctx context.Context, documents ...Document) error {
	for _, d := range documents {
		if err := errors.Join(checkText("kind of the document", d.Kind), checkText("name of the document", d.Name)); err != nil {
			return err
		}
		if len(d.Body) > 0 && (!json.Valid(d.Body) || !isText(string(d.Body))) {
			return d.err(serin.Errorf(serin.KindInvalid, "the document is not JSON text"))
		}
	}
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		for _, d := range documents {
			if err := t.saveDocument(ctx, d); err != nil {
				return d.err(err)
			}
		}
		return nil
	})
}

func (t *tx) saveDocument(ctx context.Context, d Document) error {
	revision := 1 + rand.Int64N(1<<62)
	var n int64
	var err error
	switch {
	case len(d.Body) == 0:
		n, err = affected(ctx, t, `DELETE FROM documents WHERE kind = $1 AND name = $2 AND revision = $3`, d.Kind, d.Name, d.Revision)
	case d.Revision == 0:
		n, err = affected(ctx, t, `INSERT INTO documents (kind, name, revision, document) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			d.Kind, d.Name, revision, string(d.Body))
	default:
		n, err = affected(ctx, t, `UPDATE documents SET revision = $4, document = $5 WHERE kind = $1 AND name = $2 AND revision = $3`,
			d.Kind, d.Name, d.Revision, revision, string(d.Body))
	}
	switch {
	case err != nil || n == 1:
		return err
	case d.Revision == 0:
		return ErrExists
	default:
		return ErrStale
	}
}
