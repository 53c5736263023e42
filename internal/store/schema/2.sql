-- Layers. A row stays when the last version of its layer is deleted, so that no number is given twice.
CREATE TABLE layers (
	name         TEXT PRIMARY KEY,
	last_version BIGINT NOT NULL DEFAULT 0 -- the highest version number ever given
);

CREATE TABLE layer_versions (
	layer    TEXT NOT NULL REFERENCES layers (name),
	number   BIGINT NOT NULL,
	size     BIGINT NOT NULL, -- bytes of the package
	document TEXT NOT NULL,
	PRIMARY KEY (layer, number)
);
