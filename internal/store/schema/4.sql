-- What the evidence of a release was made of: what was counted between two saves of it. It is the certificate of the
-- release's verdicts, and is only ever added to.
CREATE TABLE release_counts (
	release  TEXT NOT NULL,
	version  BIGINT NOT NULL, -- of the release: its save that took these counts in
	document TEXT NOT NULL,
	PRIMARY KEY (release, version)
);
