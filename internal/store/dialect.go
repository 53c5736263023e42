package store

import (
	"context"
	"strings"
)

// dialect is all that differs between the SQL of the two engines.
type dialect struct {
	// schema replaces the words in braces in the schema:
	//
	//	{number}    the type of a primary key that is a number
	//	{sequence}  the same, with numbers given by the database
	//	{bytes}     the type of bytes
	//	{bytewise}  follows the type of text that is ordered by its bytes
	//	{postgres}  begins a line that only PostgreSQL needs
	schema *strings.Replacer
	// forUpdate follows a SELECT that locks the row which it reads.
	forUpdate string
	// skipLocked follows a SELECT that locks the rows which it reads and passes over those that are locked.
	skipLocked string
	// insertEvents inserts events.
	insertEvents func(context.Context, querier, []Event) error
	// appendChange appends function $1 to the change feed and returns the sequence number.
	appendChange string
}

func sqliteDialect() dialect {
	return dialect{
		// Without AUTOINCREMENT a new row gets the highest number plus one: no gaps where no row is ever deleted,
		// because one transaction writes at a time.
		schema: strings.NewReplacer(
			"{number}", "INTEGER PRIMARY KEY",
			"{sequence}", "INTEGER PRIMARY KEY",
			"{bytes}", "BLOB",
			"{bytewise}", "",
			"{postgres}", "--",
		),
		forUpdate:    "", // the only writing transaction has the database
		skipLocked:   "",
		insertEvents: insertEach,
		appendChange: `INSERT INTO changes (function) VALUES ($1) RETURNING seq`,
	}
}

func postgresDialect() dialect {
	return dialect{
		schema: strings.NewReplacer(
			"{number}", "BIGINT PRIMARY KEY",
			"{sequence}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
			"{bytes}", "BYTEA",
			"{bytewise}", ` COLLATE "C"`,
			"{postgres}", "",
		),
		forUpdate:    " FOR UPDATE",
		skipLocked:   " FOR UPDATE SKIP LOCKED",
		insertEvents: insertTogether,
		appendChange: `WITH
			next AS (UPDATE feed SET seq = seq + 1 RETURNING seq),
			told AS (SELECT pg_notify('` + feedChannel + `', ''))
			INSERT INTO changes (seq, function) SELECT next.seq, CAST($1 AS TEXT) FROM next, told RETURNING seq`,
	}
}
