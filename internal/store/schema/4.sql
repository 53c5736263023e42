-- What the evidence of a release was made of: what was counted between two saves of it. It is the certificate of the
-- release's verdicts, and is only ever added to.
CREATE TABLE release_counts (
	release  TEXT NOT NULL,
	version  BIGINT NOT NULL, -- of the release: its save that took these counts in
	document TEXT NOT NULL,
	PRIMARY KEY (release, version)
);

-- What is still to be told about releases, written with the save that it tells of. Notices of one release to one target
-- go out in their order.
CREATE TABLE notices (
	id       {sequence},
	release  TEXT NOT NULL,
	target   TEXT NOT NULL,
	due      BIGINT NOT NULL, -- microseconds since 1970
	failures BIGINT NOT NULL,
	error    TEXT NOT NULL,   -- of the last attempt
	document TEXT NOT NULL
);
CREATE INDEX notices_by_release ON notices (release, target, id);

-- What a target calls its message about a release, so that it can be edited.
CREATE TABLE notice_messages (
	release TEXT NOT NULL,
	target  TEXT NOT NULL,
	message TEXT NOT NULL,
	PRIMARY KEY (release, target)
);
