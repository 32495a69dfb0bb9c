package ledger

// schemaVersion is the file's user_version. A change of schema counts it up and
// brings older files up to date in prepare.
const (
	schemaVersion = 1
	condemned     = -1 // found damaged; to be set aside
)

// Names that members, servers and people give are blobs: they may be any bytes.
// Times are microseconds since 1970, sums are 32 bytes, texts are ids in texts
// or 0. A check is a checksum over the rest of its row.
const schema = `
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE texts (
	id INTEGER PRIMARY KEY, sha BLOB NOT NULL UNIQUE, packed INTEGER NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE TABLE sets (
	id INTEGER PRIMARY KEY, grp BLOB NOT NULL, name BLOB NOT NULL, kind TEXT NOT NULL, rest BLOB NOT NULL DEFAULT x'', UNIQUE (grp, name, kind)
) STRICT;
CREATE TABLE members (
	id INTEGER PRIMARY KEY, set_id INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE,
	member BLOB NOT NULL, identity BLOB NOT NULL, token BLOB NOT NULL DEFAULT x'', state BLOB NOT NULL DEFAULT x'',
	surveyed INTEGER NOT NULL DEFAULT 0, items INTEGER NOT NULL DEFAULT 0, UNIQUE (set_id, member, identity)
) STRICT;
CREATE TABLE items (
	id INTEGER PRIMARY KEY, set_id INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE,
	key BLOB NOT NULL, uid BLOB NOT NULL, version INTEGER NOT NULL, sum BLOB NOT NULL, text INTEGER NOT NULL,
	components TEXT NOT NULL, job INTEGER NOT NULL, origin BLOB NOT NULL, rule TEXT NOT NULL, at INTEGER NOT NULL, checksum INTEGER NOT NULL,
	UNIQUE (set_id, key)
) STRICT;
CREATE TABLE marks (
	member_id INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
	item_id INTEGER NOT NULL REFERENCES items ON DELETE CASCADE,
	ref BLOB NOT NULL, etag BLOB NOT NULL, sum BLOB NOT NULL, version INTEGER NOT NULL, text INTEGER NOT NULL,
	uid BLOB NOT NULL, gone INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (member_id, item_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_item ON marks (item_id);
CREATE TABLE seen (
	member_id INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
	ref BLOB NOT NULL, etag BLOB NOT NULL, sum BLOB NOT NULL, text INTEGER NOT NULL, uid BLOB NOT NULL,
	components TEXT NOT NULL, status INTEGER NOT NULL, PRIMARY KEY (member_id, ref)
) STRICT, WITHOUT ROWID;
CREATE TABLE intents (
	id INTEGER PRIMARY KEY, member_id INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
	key BLOB NOT NULL, verb INTEGER NOT NULL, version INTEGER NOT NULL, ref BLOB NOT NULL, etag BLOB NOT NULL,
	sum BLOB NOT NULL, text INTEGER NOT NULL, was INTEGER NOT NULL, history INTEGER NOT NULL, job INTEGER NOT NULL
) STRICT;
CREATE TABLE history (
	id INTEGER PRIMARY KEY AUTOINCREMENT, member BLOB NOT NULL, uid BLOB NOT NULL, item BLOB NOT NULL,
	at INTEGER NOT NULL, job INTEGER NOT NULL, reason TEXT NOT NULL, text INTEGER NOT NULL, size INTEGER NOT NULL
) STRICT;
CREATE INDEX history_member ON history (member, id);
CREATE INDEX history_job ON history (job);
CREATE TABLE conflicts (
	id INTEGER PRIMARY KEY AUTOINCREMENT, set_id INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE,
	key BLOB NOT NULL, uid BLOB NOT NULL, item BLOB NOT NULL, component TEXT NOT NULL, kind TEXT NOT NULL,
	detected INTEGER NOT NULL, skipped INTEGER NOT NULL, revision TEXT NOT NULL, base INTEGER NOT NULL,
	proposal INTEGER NOT NULL, clashes TEXT NOT NULL, summary TEXT NOT NULL, UNIQUE (set_id, key)
) STRICT;
CREATE TABLE conflict_sides (
	conflict_id INTEGER NOT NULL REFERENCES conflicts ON DELETE CASCADE, place INTEGER NOT NULL,
	member BLOB NOT NULL, gone INTEGER NOT NULL, text INTEGER NOT NULL, PRIMARY KEY (conflict_id, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE problems (
	id INTEGER PRIMARY KEY, set_id INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE,
	member BLOB NOT NULL, key BLOB NOT NULL, held INTEGER NOT NULL, item BLOB NOT NULL, uid BLOB NOT NULL,
	kind TEXT NOT NULL, message BLOB NOT NULL, since INTEGER NOT NULL, tries INTEGER NOT NULL, next INTEGER NOT NULL,
	verb INTEGER NOT NULL, version INTEGER NOT NULL, sum BLOB NOT NULL, UNIQUE (set_id, member, key, held)
) STRICT;
CREATE TABLE metas (
	set_id INTEGER NOT NULL REFERENCES sets ON DELETE CASCADE, member BLOB NOT NULL, identity BLOB NOT NULL,
	name TEXT NOT NULL, present INTEGER NOT NULL, value BLOB NOT NULL, unkept INTEGER NOT NULL,
	PRIMARY KEY (set_id, member, identity, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE reports (job INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE notes (name BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE collections (
	account BLOB NOT NULL, identity BLOB NOT NULL, gone INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (account, identity)
) STRICT, WITHOUT ROWID;
`
