package store

import (
	"context"
	_ "embed"
	"fmt"
)

//go:embed schema/1.sql
var schema1 string

//go:embed schema/2.sql
var schema2 string

//go:embed schema/3.sql
var schema3 string

//go:embed schema/4.sql
var schema4 string

//go:embed schema/5.sql
var schema5 string

// migrations returns the steps from each schema version to the next, beginning at 0, an empty database. A
// step that has been released is never changed.
func migrations() []string { return []string{schema1, schema2, schema3, schema4, schema5} }

// migrate brings a database from schema version have to the newest. It runs inside a transaction; the
// caller saves the version that it returns.
func migrate(ctx context.Context, q querier, d dialect, have int) (int, error) {
	steps := migrations()
	if have > len(steps) {
		return 0, fmt.Errorf("the database has schema version %d, and this server knows versions up to %d: run a newer server", have, len(steps))
	}
	for version, step := range steps[have:] {
		if _, err := q.ExecContext(ctx, d.schema.Replace(step)); err != nil {
			return 0, fmt.Errorf("migrate to schema version %d: %w", have+version+1, err)
		}
	}
	return len(steps), nil
}
