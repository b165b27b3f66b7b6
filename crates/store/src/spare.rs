//! A copy of the active head beside the database, and the highest head version given out: what is left to start with
//! when the database is lost.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use graft_wire::digest::hex;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::journal::counter;
use super::{Limits, NewHead, Store, StoreError, Tx, Usage, head_rows, quota, recover};

const SPARE: &str = "active-head.json";
const MOST_BYTES: u64 = 128 << 20;

#[derive(Serialize, Deserialize)]
struct Spare {
    schema: u32,
    /// No version up to this one may be given out again.
    version_floor: i64,
    head: Option<SpareHead>,
}

#[derive(Serialize, Deserialize)]
struct SpareHead {
    version: i64,
    sha256: String,
    manifest: String,
    method: String,
    metrics: String,
    gate: String,
    parent: Option<i64>,
    restored_from: Option<i64>,
    backbone: String,
    classes: Vec<String>,
    snapshot: String,
    created_ms: i64,
    file_base64: String,
}

impl SpareHead {
    /// The head, if its file has the right digest.
    fn unpack(self) -> Option<NewHead> {
        let file = STANDARD.decode(&self.file_base64).ok()?;
        (hex(&Sha256::digest(&file)) == self.sha256).then_some(NewHead {
            version: self.version,
            file,
            manifest: self.manifest,
            method: self.method,
            metrics: self.metrics,
            gate: self.gate,
            parent: self.parent,
            restored_from: self.restored_from,
            backbone: self.backbone,
            classes: self.classes,
            class_ids: Vec::new(),
            snapshot: self.snapshot,
            held_out: Vec::new(),
        })
    }
}

/// The spare copy of the active head, for a daemon whose store cannot be opened (a read-only or failing medium). Its
/// digest is checked; check its manifest too.
pub fn spare_head(dir: &Path) -> Option<NewHead> {
    read(dir)?.head?.unpack()
}

fn read(dir: &Path) -> Option<Spare> {
    let path = dir.join(SPARE);
    if fs::metadata(&path).ok()?.len() > MOST_BYTES {
        return None;
    }
    serde_json::from_slice(&fs::read(&path).ok()?).ok()
}

/// Brings the spare copy up to the database. The database is the truth: a spare that cannot be written (full disk) is
/// tried again by [`Store::maintain`] and at the next change.
///
/// # Errors
/// What SQLite says; errors of the spare file itself are not reported.
pub(super) fn mend(store: &mut Store) -> Result<(), StoreError> {
    let (floor, head) = store.read(|conn| {
        let floor = counter(conn, "head_version")?;
        let Some(active) = head_rows::serving(conn)?.active else { return Ok((floor, None)) };
        // A damaged active head must not replace a whole spare.
        match head_rows::file(conn, active) {
            Ok(file) => Ok((floor, Some((head_rows::row(conn, active)?, file)))),
            Err(StoreError::Corrupt(_)) => Ok((floor, None)),
            Err(other) => Err(other),
        }
    })?;
    let old = read(&store.dir);
    let same = old.as_ref().is_some_and(|old| {
        old.version_floor == floor
            && old.head.as_ref().map(|h| (h.version, h.sha256.as_str()))
                == head.as_ref().map(|(row, _)| (row.version, row.sha256.as_str()))
    });
    if same || (floor == 0 && head.is_none()) {
        return Ok(());
    }
    let head = match head {
        Some((row, file)) => Some(SpareHead {
            version: row.version,
            sha256: row.sha256,
            manifest: row.manifest,
            method: row.method,
            metrics: row.metrics,
            gate: row.gate,
            parent: row.parent,
            restored_from: row.restored_from,
            backbone: row.backbone,
            classes: row.classes,
            snapshot: row.snapshot,
            created_ms: row.created_ms,
            file_base64: STANDARD.encode(file),
        }),
        None => old.and_then(|old| old.head),
    };
    if let Ok(json) = serde_json::to_vec(&Spare { schema: 1, version_floor: floor, head }) {
        let _ = recover::replace_file(&store.dir.join(SPARE), &json, 0o600);
    }
    Ok(())
}

/// Gives no version out again that the spare knows of, though the database is another one than when it was written.
///
/// # Errors
/// What SQLite says.
pub(super) fn keep_floor(dir: &Path, conn: &Connection) -> Result<(), StoreError> {
    read(dir).map_or(Ok(()), |spare| raise_floor(conn, &spare))
}

fn raise_floor(conn: &Connection, spare: &Spare) -> Result<(), StoreError> {
    conn.execute(
        "UPDATE counters SET value = ?1 WHERE name = 'head_version' AND value < ?1",
        [spare.version_floor.clamp(0, 1 << 53)],
    )?;
    Ok(())
}

/// Fills a fresh database from the spare: the version floor, and the head that served, serving again unless a better
/// source has restored one. Returns the version that serves.
///
/// # Errors
/// Failures of the fresh database.
pub(super) fn restore(dir: &Path, conn: &mut Connection) -> Result<Option<i64>, StoreError> {
    let Some(spare) = read(dir) else { return Ok(head_rows::serving(conn)?.active) };
    raise_floor(conn, &spare)?;
    let serving = head_rows::serving(conn)?.active;
    let Some(head) = spare.head.filter(|head| serving.is_none() && head.version <= spare.version_floor)
    else {
        return Ok(serving);
    };
    let created_ms = head.created_ms;
    let Some(restored) = head.unpack() else { return Ok(serving) };
    let transaction = conn.transaction()?;
    let everything = Limits { quota_bytes: u64::MAX, free_floor_bytes: 0 };
    let room = quota::Room::new(Usage::default(), &everything);
    let tx = Tx { conn: &transaction, room };
    // Salvage may have brought the row without its file.
    transaction.execute("DELETE FROM heads WHERE version = ?1", [restored.version])?;
    let done = tx.promote(&restored, created_ms);
    match done {
        Ok(serving) => {
            transaction.commit()?;
            Ok(serving.active)
        }
        Err(StoreError::Invalid(_) | StoreError::Conflict(_)) => Ok(serving),
        Err(other) => Err(other),
    }
}
