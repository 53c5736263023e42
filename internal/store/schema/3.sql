-- Asynchronous events, each from its acceptance to its end.
CREATE TABLE events (
	id       {sequence},
	lane     TEXT NOT NULL,   -- what it waits for: a function, or a host that takes records
	due      BIGINT NOT NULL, -- microseconds since 1970; while it is leased, the end of the lease
	owner    TEXT,            -- the server that has leased it
	token    BIGINT,          -- names the lease
	document TEXT NOT NULL,
	payload  {bytes} NOT NULL
);
CREATE INDEX events_by_due ON events (due, lane);
CREATE INDEX events_by_lane ON events (lane, due);
CREATE INDEX events_by_owner ON events (owner) WHERE owner IS NOT NULL;
