package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"

	"serin"
)

// Whole functions are read by one statement, and so as of one moment: each function's row, then its
// versions in ascending order, then its aliases.
const (
	everyFunction = `SELECT name, 0 AS kind, revision AS number, document FROM functions WHERE document IS NOT NULL
		UNION ALL SELECT function, 1, number, document FROM versions
		UNION ALL SELECT function, 2, 0, document FROM aliases
		ORDER BY 1, 2, 3`
	oneFunction = `SELECT name, 0 AS kind, revision AS number, document FROM functions WHERE document IS NOT NULL AND name = $1
		UNION ALL SELECT function, 1, number, document FROM versions WHERE function = $1
		UNION ALL SELECT function, 2, 0, document FROM aliases WHERE function = $1
		ORDER BY 1, 2, 3`
)

// Kinds of rows of these statements.
const (
	rowFunction = iota
	rowVersion
	rowAlias
)

// load reads one function.
func load(ctx context.Context, q querier, name string) (entry, error) {
	for e, err := range scanFunctions(ctx, q, oneFunction, name) {
		return e, err
	}
	return entry{}, functionErr(name, ErrNotFound)
}

func scanFunctions(ctx context.Context, q querier, query string, args ...any) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			yield(entry{}, fmt.Errorf("read functions: %w", err))
			return
		}
		defer rows.Close()
		var e entry
		for rows.Next() {
			var name string
			var kind int
			var number int64
			var document sql.RawBytes
			err := rows.Scan(&name, &kind, &number, &document)
			if err == nil && kind == rowFunction {
				if e.function != nil && !yield(e, nil) {
					return
				}
				e = entry{name: name, revision: number}
			}
			if err == nil {
				err = e.decode(name, kind, number, document)
			}
			if err != nil {
				yield(entry{}, functionErr(name, err))
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(entry{}, fmt.Errorf("read functions: %w", err))
			return
		}
		if e.function != nil {
			yield(e, nil)
		}
	}
}

// decode adds a row to the function.
func (e *entry) decode(name string, kind int, number int64, document []byte) error {
	if name != e.name || kind != rowFunction && e.function == nil {
		return fmt.Errorf("%w: a version or an alias without a function", ErrCorrupt)
	}
	switch kind {
	case rowFunction:
		f := &serin.Function{Aliases: map[string]*serin.Alias{}}
		if err := decode(document, f); err != nil {
			return err
		}
		if f.Name != name || f.Latest == nil {
			return fmt.Errorf("%w: the document is that of another function", ErrCorrupt)
		}
		e.function = f
	case rowVersion:
		v := &serin.Version{}
		if err := decode(document, v); err != nil {
			return fmt.Errorf("version %d: %w", number, err)
		}
		if int64(v.Number) != number {
			return fmt.Errorf("%w: the document of version %d is that of another version", ErrCorrupt, number)
		}
		e.function.Versions = append(e.function.Versions, v)
	default:
		a := &serin.Alias{}
		if err := decode(document, a); err != nil {
			return fmt.Errorf("an alias: %w", err)
		}
		e.function.Aliases[a.Name] = a
	}
	return nil
}

func decode(document []byte, v any) error {
	if err := json.Unmarshal(document, v); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}
