package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"serin"
)

// save writes what f has that old has not, and the row of the change feed last: in PostgreSQL that row locks
// out every other writer until the commit.
func (t *tx) save(ctx context.Context, r row, old, f *serin.Function) (int64, error) {
	if err := checkNumbers(r, old, f); err != nil {
		return 0, functionErr(r.name, err)
	}
	var document any // nil leaves what is there
	var err error
	if !sameDocument(old, f) {
		document, err = encode(f)
	}
	if err == nil {
		_, err = t.ExecContext(ctx, `UPDATE functions SET revision = $2, last_published = $3, document = COALESCE($4, document) WHERE name = $1`,
			r.name, r.revision+1, int64(f.LastPublished), document)
	}
	if err == nil {
		err = t.saveVersions(ctx, r.name, old.Versions, f.Versions)
	}
	if err == nil {
		err = t.saveAliases(ctx, r.name, old.Aliases, f.Aliases)
	}
	if err != nil {
		return 0, functionErr(r.name, err)
	}
	return t.finish(ctx, r, f, f)
}

// sameDocument reports whether two functions differ in nothing but what is kept in rows of its own. A move of
// an alias then costs the same whatever the function's configuration weighs.
func sameDocument(a, b *serin.Function) bool {
	x, y := a.Clone(), b.Clone() // which drops the moves
	x.Versions, x.Aliases, y.Versions, y.Aliases = nil, nil, nil, nil
	return reflect.DeepEqual(x, y)
}

// bury removes a function and leaves its tombstone.
func (t *tx) bury(ctx context.Context, r row, f *serin.Function) (int64, error) {
	for _, statement := range []string{
		`DELETE FROM aliases WHERE function = $1`,
		`DELETE FROM versions WHERE function = $1`,
		`UPDATE functions SET revision = revision + 1, document = NULL WHERE name = $1`,
	} {
		if _, err := t.ExecContext(ctx, statement, r.name); err != nil {
			return 0, functionErr(r.name, err)
		}
	}
	return t.finish(ctx, r, f, nil)
}

// finish appends to the alias history and to the change feed. changed carries the moves, now is what the
// function is from now on, nil for nothing.
func (t *tx) finish(ctx context.Context, r row, changed, now *serin.Function) (int64, error) {
	for _, m := range changed.Moves() {
		document, err := encode(m)
		if err == nil {
			_, err = t.ExecContext(ctx, `INSERT INTO moves (function, alias, document) VALUES ($1, $2, $3)`, r.name, m.Alias, document)
		}
		if err != nil {
			return 0, functionErr(r.name, fmt.Errorf("alias history: %w", err))
		}
	}
	var seq int64
	if err := queryRow(ctx, t, t.appendChange, []any{r.name}, &seq); err != nil {
		return 0, functionErr(r.name, fmt.Errorf("change feed: %w", err))
	}
	t.saved = entry{name: r.name, revision: r.revision + 1, function: now}
	return seq, nil
}

// checkNumbers is the last line of defence of G1: it refuses a version number that has been given before.
func checkNumbers(r row, old, f *serin.Function) error {
	if f.Name != r.name {
		return fmt.Errorf("a change may not rename a function, here to %q", f.Name)
	}
	if f.LastPublished < r.lastPublished {
		return fmt.Errorf("a change may not reset the last published version from %d to %d", r.lastPublished, f.LastPublished)
	}
	last := serin.Latest
	for _, v := range f.Versions {
		if v.Number <= last || v.Number > f.LastPublished {
			return fmt.Errorf("version %d is out of order", v.Number)
		}
		last = v.Number
		if _, had := old.Version(v.Number); !had && v.Number <= r.lastPublished {
			return fmt.Errorf("version number %d was given before", v.Number)
		}
	}
	return nil
}

// saveVersions writes the versions that are not the same values as before. Both lists ascend.
func (t *tx) saveVersions(ctx context.Context, function string, old, now []*serin.Version) error {
	for _, v := range now {
		for len(old) > 0 && old[0].Number < v.Number {
			if err := t.deleteVersion(ctx, function, old[0].Number); err != nil {
				return err
			}
			old = old[1:]
		}
		if len(old) > 0 && old[0].Number == v.Number {
			same := old[0] == v
			old = old[1:]
			if same {
				continue
			}
		}
		document, err := encode(v)
		if err == nil {
			_, err = t.ExecContext(ctx, `INSERT INTO versions (function, number, document) VALUES ($1, $2, $3)
				ON CONFLICT (function, number) DO UPDATE SET document = excluded.document`, function, int64(v.Number), document)
		}
		if err != nil {
			return fmt.Errorf("version %d: %w", v.Number, err)
		}
	}
	for _, v := range old {
		if err := t.deleteVersion(ctx, function, v.Number); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) deleteVersion(ctx context.Context, function string, n serin.VersionNumber) error {
	_, err := t.ExecContext(ctx, `DELETE FROM versions WHERE function = $1 AND number = $2`, function, int64(n))
	return err
}

// saveAliases writes the aliases that are not the same values as before.
func (t *tx) saveAliases(ctx context.Context, function string, old, now map[string]*serin.Alias) error {
	for name, a := range now {
		if old[name] == a {
			continue
		}
		document, err := encode(a)
		if err == nil {
			err = checkText("alias name", name)
		}
		if err == nil {
			_, err = t.ExecContext(ctx, `INSERT INTO aliases (function, name, document) VALUES ($1, $2, $3)
				ON CONFLICT (function, name) DO UPDATE SET document = excluded.document`, function, name, document)
		}
		if err != nil {
			return fmt.Errorf("alias %q: %w", name, err)
		}
	}
	for name := range old {
		if now[name] == nil {
			if _, err := t.ExecContext(ctx, `DELETE FROM aliases WHERE function = $1 AND name = $2`, function, name); err != nil {
				return fmt.Errorf("alias %q: %w", name, err)
			}
		}
	}
	return nil
}

var errNotText = errors.New("is not valid UTF-8, or has a zero byte")

// checkText refuses strings that PostgreSQL cannot hold in a text column. SQLite could, but what is stored
// must not depend on the engine.
func checkText(what, s string) error {
	if !isText(s) {
		return serin.Errorf(serin.KindInvalid, "%s: %q %v", what, s, errNotText)
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// encode returns the JSON text of a document. It refuses strings that are not UTF-8, which encoding/json
// would change without saying so: it writes \ufffd for a byte that is not UTF-8, and never otherwise.
func encode(v any) (string, error) {
	document, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	for rest := document; ; {
		before, after, found := bytes.Cut(rest, []byte(`\ufffd`))
		if !found {
			return string(document), nil
		}
		// An odd number of backslashes before it would make the backslash itself escaped text.
		if (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 0 {
			return "", serin.Errorf(serin.KindInvalid, "A string %v.", errNotText)
		}
		rest = after
	}
}
