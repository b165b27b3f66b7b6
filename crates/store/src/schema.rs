//! The tables and their migrations.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// "grft": tells a graft database from any other SQLite file.
pub(super) const APPLICATION_ID: i64 = 0x6772_6674;

/// Schema number `n` is reached by running `MIGRATIONS[..n]`.
const MIGRATIONS: [&str; 3] = [V1, V2, V3];

/// The newest schema this program knows.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Tables checked in full at each start. `images` and `embeddings` are too large for that on an SD card: an image is
/// checked against its digest when it is read, an embedding can be computed again.
pub(super) const CHECKED_AT_START: [&str; 13] = [
    "counters",
    "classes",
    "samples",
    "backbones",
    "journal",
    "journal_labels",
    "heads",
    "serving",
    "state",
    "replies",
    "outbox",
    "backbone_versions",
    "pairs",
];

const V1: &str = "
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('rev', 0), ('head_version', 0), ('boot', 0), ('outbox_dropped', 0);

CREATE TABLE classes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  added_step INTEGER NOT NULL,
  removed_step INTEGER
);
CREATE UNIQUE INDEX classes_live ON classes (name) WHERE removed_step IS NULL;

CREATE TABLE samples (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  class INTEGER NOT NULL REFERENCES classes (id),
  burst TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  bytes INTEGER NOT NULL,
  frame INTEGER NOT NULL,
  taken_ms INTEGER NOT NULL,
  source TEXT NOT NULL,
  by TEXT NOT NULL,
  roi TEXT,
  added_ms INTEGER NOT NULL,
  added_rev INTEGER NOT NULL,
  added_step INTEGER NOT NULL,
  removed_ms INTEGER,
  removed_step INTEGER
);
CREATE INDEX samples_live ON samples (class, burst) WHERE removed_ms IS NULL;
CREATE INDEX samples_removed ON samples (removed_ms) WHERE removed_ms IS NOT NULL;
CREATE INDEX samples_digest ON samples (sha256);
CREATE INDEX samples_added ON samples (added_step);

CREATE TABLE images (
  sample INTEGER PRIMARY KEY REFERENCES samples (id) ON DELETE CASCADE,
  jpeg BLOB NOT NULL
);

CREATE TABLE backbones (id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL UNIQUE, width INTEGER NOT NULL);
CREATE TABLE embeddings (
  sample INTEGER NOT NULL REFERENCES samples (id) ON DELETE CASCADE,
  backbone INTEGER NOT NULL REFERENCES backbones (id) ON DELETE CASCADE,
  f16 BLOB NOT NULL
);
CREATE UNIQUE INDEX embeddings_key ON embeddings (sample, backbone);

CREATE TABLE journal (
  step INTEGER PRIMARY KEY AUTOINCREMENT,
  rev INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  class INTEGER REFERENCES classes (id),
  old_name TEXT
);
CREATE TABLE journal_labels (
  step INTEGER NOT NULL REFERENCES journal (step) ON DELETE CASCADE,
  sample INTEGER NOT NULL,
  old_class INTEGER NOT NULL,
  PRIMARY KEY (step, sample)
) WITHOUT ROWID;

CREATE TABLE heads (
  version INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL,
  bytes INTEGER NOT NULL,
  manifest TEXT NOT NULL,
  method TEXT NOT NULL,
  metrics TEXT NOT NULL,
  gate TEXT NOT NULL,
  parent INTEGER,
  restored_from INTEGER,
  backbone TEXT NOT NULL,
  classes TEXT NOT NULL,
  snapshot TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  promoted_ms INTEGER,
  published_ms INTEGER
);
CREATE TABLE head_files (
  version INTEGER PRIMARY KEY REFERENCES heads (version) ON DELETE CASCADE,
  file BLOB NOT NULL,
  held_out BLOB NOT NULL
);
CREATE TABLE serving (
  slot TEXT PRIMARY KEY CHECK (slot IN ('active', 'previous', 'pinned')),
  version INTEGER NOT NULL REFERENCES heads (version)
) WITHOUT ROWID;

CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE replies (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, reply TEXT NOT NULL);
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  retain INTEGER NOT NULL,
  payload BLOB NOT NULL
);
";

/// Backbones that came from elsewhere, and pairs.
const V2: &str = "
CREATE TABLE backbone_versions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  version INTEGER NOT NULL,
  digest TEXT NOT NULL,
  manifest TEXT NOT NULL,
  origin TEXT NOT NULL,
  stage TEXT NOT NULL,
  reason TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL
);
CREATE TABLE pairs (
  slot TEXT PRIMARY KEY CHECK (slot IN ('active', 'previous')),
  backbone INTEGER REFERENCES backbone_versions (id),
  head INTEGER REFERENCES heads (version)
) WITHOUT ROWID;
";

/// Heads know their classes by id: names change. A list in JSON, in the head's order; NULL in heads of earlier versions.
const V3: &str = "ALTER TABLE heads ADD COLUMN class_ids TEXT;";

/// Brings an open database to [`NEWEST`]; refuses a newer one before anything is written.
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::Corrupt`] when it is not a graft database, or what SQLite says.
pub(super) fn migrate(conn: &mut Connection, path: &str) -> Result<(), StoreError> {
    let version = check_version(conn, path)?;
    if version == NEWEST {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in &MIGRATIONS[version as usize..] {
        tx.execute_batch(step)?;
    }
    tx.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {NEWEST};"))?;
    tx.commit()?;
    Ok(())
}

/// The schema number of an open database, without writing to it.
///
/// # Errors
/// See [`migrate`].
pub(super) fn check_version(conn: &Connection, path: &str) -> Result<i64, StoreError> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 && version == 0 {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Corrupt(format!("{path} does not carry graft's mark")));
    }
    if version > NEWEST {
        return Err(StoreError::Newer { path: path.into(), found: version, known: NEWEST });
    }
    if version < 1 {
        return Err(StoreError::Corrupt(format!("{path} has the impossible schema number {version}")));
    }
    Ok(version)
}
