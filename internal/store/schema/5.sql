-- Small records of one kind each, which nothing but their kind and name is searched by: alarms, stacks, log groups.
CREATE TABLE documents (
	kind     TEXT NOT NULL,
	name     TEXT{bytewise} NOT NULL,
	revision BIGINT NOT NULL, -- names this state of the document; random
	document TEXT NOT NULL,
	PRIMARY KEY (kind, name)
);
