-- The words in braces are explained in dialect.go.

-- A row without a document is the tombstone of a deleted function.
CREATE TABLE functions (
	name           TEXT PRIMARY KEY,
	revision       BIGINT NOT NULL DEFAULT 0, -- counts the changes of this row, also through deletions
	last_published BIGINT NOT NULL DEFAULT 0, -- the highest version number ever given
	document       TEXT
);

CREATE TABLE versions (
	function TEXT NOT NULL REFERENCES functions (name),
	number   BIGINT NOT NULL,
	document TEXT NOT NULL,
	PRIMARY KEY (function, number)
);

CREATE TABLE aliases (
	function TEXT NOT NULL REFERENCES functions (name),
	name     TEXT NOT NULL,
	document TEXT NOT NULL,
	PRIMARY KEY (function, name)
);

-- The alias history. It outlives its function.
CREATE TABLE moves (
	seq      {sequence},
	function TEXT NOT NULL,
	alias    TEXT NOT NULL,
	document TEXT NOT NULL
);
CREATE INDEX moves_by_function ON moves (function, seq);

CREATE TABLE changes (
	seq      {number},
	function TEXT NOT NULL
);
{postgres} CREATE TABLE feed (seq BIGINT NOT NULL);
{postgres} INSERT INTO feed (seq) VALUES (0);

CREATE TABLE releases (
	seq      {sequence},
	id       TEXT NOT NULL UNIQUE,
	function TEXT NOT NULL,
	alias    TEXT NOT NULL,
	active   BOOLEAN NOT NULL,
	version  BIGINT NOT NULL, -- counts the saves
	document TEXT NOT NULL
);
CREATE UNIQUE INDEX releases_active ON releases (function, alias) WHERE active;
CREATE INDEX releases_by_alias ON releases (function, alias, seq);
