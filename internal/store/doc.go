// Package store keeps everything that must survive: functions with their versions and aliases, the history
// of the aliases, layers, releases, the change feed, asynchronous events, documents, and code packages.
//
// # One schema, two engines
//
// The database is SQLite inside the process, or PostgreSQL shared by several servers. The SQL is one text
// for both; the few words that differ are in dialect.go, and what the engines do differently is behind the
// interface engine: sqlite.go, postgres.go. What a function, an alias or a release consists of is kept as
// JSON text beside the columns that are searched, so a new member of a domain type needs no migration.
//
// # Functions
//
// A function is the unit of consistency. A write is one transaction that locks the function's row, runs a
// rule of package serin on a copy of the function, and saves the function, the versions and aliases that the
// rule has replaced, the rows of the alias history and one row of the change feed. Versions and aliases are
// immutable, so "has been replaced" is a comparison of pointers.
//
// The row of a deleted function stays as a tombstone: it remembers the highest version number ever given,
// which is never given again, and it counts on the revisions of the row. A revision therefore names one
// state of one function for ever, which is what makes the cache correct: an aggregate in memory is used if,
// and only if, its revision is the row's. The cache holds the functions that the routing table holds as
// well, and the same pointers; it has no bound of its own.
//
// # Layers
//
// Layer versions are rows of their own, because functions of any name refer to them. Functions copy what they
// need of a layer version when they are configured, so a layer version can go at any time. The row of a layer
// outlives its versions: it remembers the highest number ever given.
//
// # Documents
//
// What has neither rules across several records nor a search of its own is a document: JSON text under a kind and a
// name, with a revision that a save must name.
//
// # Events
//
// An event is a row from its acceptance to its end. Whoever works on one holds a lease: a time until which others pass
// the row over, in the same column that says when a waiting event is due, and a random token, without which
// neither the row nor what follows from it can be written. The lease also names the server, so that one that was
// killed has its events back when it starts again, while other servers wait for the end of the lease. Events of one
// function, or for one host, form a lane of an index, so what is due in a lane, and which lanes there are,
// is found without looking at what else is in the queue. Events are not in the change feed.
//
// # Durability
//
// A write is acknowledged after it has been synced. SQLite runs with synchronous=FULL; one goroutine owns
// the writing connection and commits what is queued as one transaction with one sync, each write in a
// savepoint of its own. Events that arrive together are one write, in PostgreSQL too. PostgreSQL is refused if it would acknowledge before it syncs. An error means that
// nothing was written, with the one exception of [ErrUncertain]: the commit itself failed.
//
// # Change feed
//
// Each change of a function appends one row with the next number, without gaps: in PostgreSQL by a counter
// row that is the last thing a transaction locks, so numbers become visible in order. Readers wake up by a
// signal after a commit in this process, and by LISTEN/NOTIFY with polling as the safety net for commits of
// other processes.
//
// # Code packages
//
// Code packages are files named by their SHA-256 under the data directory, with PostgreSQL too: servers that
// share a database must share or copy that directory. One that no function, layer version or document names any more
// can be collected: see [Store.CollectBlobs].
package store
