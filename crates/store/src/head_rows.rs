//! Reading heads.

use graft_wire::digest::hex;
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, classes};

/// Head files kept, of the latest versions and of the latest promoted ones each.
pub(super) const KEPT_FILES: i64 = 10;

/// The class a sample was predicted as by a head that never saw its burst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOut {
    pub sample: i64,
    /// The predicted class, one of the head's.
    pub class: String,
}

/// A stored head without its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadRow {
    pub version: i64,
    /// SHA-256 of the file in hex.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// Whether the file is still there: old ones go.
    pub has_file: bool,
    pub manifest: String,
    /// How it was trained.
    pub method: String,
    /// The round's metrics as JSON.
    pub metrics: String,
    pub gate: String,
    /// The version that was active when it was trained.
    pub parent: Option<i64>,
    /// For a roll back: the version whose weights these are.
    pub restored_from: Option<i64>,
    pub backbone: String,
    /// The class list in the head's order.
    pub classes: Vec<String>,
    /// The store's id of each class, 0 where it has none; empty in heads of earlier versions.
    pub class_ids: Vec<i64>,
    /// The digest of the snapshot it was trained on.
    pub snapshot: String,
    /// When it was stored, in ms since 1970.
    pub created_ms: i64,
    /// When it was first made active.
    pub promoted_ms: Option<i64>,
    /// When its publication was completed.
    pub published_ms: Option<i64>,
}

/// A class of a stored head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadClass {
    /// The store's id; 0: it has none.
    pub id: i64,
    /// Its name when the head was trained.
    pub taught: String,
    /// Its name now; `None`: it was removed.
    pub now: Option<String>,
}

/// The classes of a stored head in its order.
fn head_classes(conn: &Connection, version: i64) -> Result<Vec<HeadClass>, StoreError> {
    let HeadRow { classes: taught, class_ids: mut ids, .. } = row(conn, version)?;
    if ids.len() != taught.len() {
        ids = classes::ids(conn, &taught)?;
    }
    let now = classes::names(conn, &ids)?;
    let class = |((id, taught), now): ((i64, String), Option<String>)| match id {
        // The store never knew it, as in a head of another board.
        0 => HeadClass { id, now: Some(taught.clone()), taught },
        _ => HeadClass { id, taught, now },
    };
    Ok(ids.into_iter().zip(taught).zip(now).map(class).collect())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// The head in use.
    pub active: Option<i64>,
    /// The one before it.
    pub previous: Option<i64>,
    /// The one that is pinned: nothing else may be promoted (the gate's duty).
    pub pinned: Option<i64>,
}

const COLUMNS: &str =
    "h.version, h.sha256, h.bytes, f.version IS NOT NULL, h.manifest, h.method, h.metrics, h.gate, h.parent,
    h.restored_from, h.backbone, h.classes, h.snapshot, h.created_ms, h.promoted_ms, h.published_ms, h.class_ids";

fn head_row(row: &Row<'_>) -> Result<HeadRow, StoreError> {
    let bytes: i64 = row.get(2)?;
    let classes: String = row.get(11)?;
    let damaged = |error: serde_json::Error| {
        StoreError::Corrupt(format!("the class list of a head is damaged: {error}"))
    };
    let class_ids: Option<String> = row.get(16)?;
    Ok(HeadRow {
        version: row.get(0)?,
        sha256: hex(&row.get::<_, [u8; 32]>(1)?),
        bytes: bytes.max(0) as u64,
        has_file: row.get(3)?,
        manifest: row.get(4)?,
        method: row.get(5)?,
        metrics: row.get(6)?,
        gate: row.get(7)?,
        parent: row.get(8)?,
        restored_from: row.get(9)?,
        backbone: row.get(10)?,
        classes: serde_json::from_str(&classes).map_err(damaged)?,
        class_ids: class_ids.map_or(Ok(Vec::new()), |ids| serde_json::from_str(&ids)).map_err(damaged)?,
        snapshot: row.get(12)?,
        created_ms: row.get(13)?,
        promoted_ms: row.get(14)?,
        published_ms: row.get(15)?,
    })
}

pub(super) fn serving(conn: &Connection) -> Result<Serving, StoreError> {
    let mut serving = Serving::default();
    let mut statement = conn.prepare("SELECT slot, version FROM serving")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let version = Some(row.get(1)?);
        match row.get::<_, String>(0)?.as_str() {
            "active" => serving.active = version,
            "previous" => serving.previous = version,
            _ => serving.pinned = version,
        }
    }
    Ok(serving)
}

pub(super) fn row(conn: &Connection, version: i64) -> Result<HeadRow, StoreError> {
    let mut statement = conn.prepare(&format!(
        "SELECT {COLUMNS} FROM heads h LEFT JOIN head_files f ON f.version = h.version WHERE h.version = ?1"
    ))?;
    let mut rows = statement.query([version])?;
    match rows.next()? {
        Some(row) => head_row(row),
        None => Err(no_head(version)),
    }
}

/// The file of a head, checked against its digest.
pub(super) fn file(conn: &Connection, version: i64) -> Result<Vec<u8>, StoreError> {
    let sql = "SELECT h.sha256, f.file FROM heads h LEFT JOIN head_files f ON f.version = h.version WHERE h.version = ?1";
    let found = conn
        .query_row(sql, [version], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))
        .optional()?;
    let (digest, file) = found.ok_or_else(|| no_head(version))?;
    let Some(file) = file else {
        return Err(StoreError::NotFound(format!(
            "the file of head {version} is gone: the {KEPT_FILES} latest, the active, the previous and the pinned one are kept"
        )));
    };
    if <[u8; 32]>::from(Sha256::digest(&file)) != digest {
        return Err(StoreError::Corrupt(format!(
            "the file of head {version} is damaged on the disk: roll back to another version, and check the medium"
        )));
    }
    Ok(file)
}

pub(super) fn no_head(version: i64) -> StoreError {
    StoreError::NotFound(format!("no head {version}: see the list of heads"))
}

impl Store {
    /// The latest heads first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn heads(&mut self, limit: usize) -> Result<Vec<HeadRow>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare(&format!(
                "SELECT {COLUMNS} FROM heads h LEFT JOIN head_files f ON f.version = h.version
                 ORDER BY h.version DESC LIMIT ?1"
            ))?;
            let mut rows = statement.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
            let mut heads = Vec::new();
            while let Some(row) = rows.next()? {
                heads.push(head_row(row)?);
            }
            Ok(heads)
        })
    }

    /// One head.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn head(&mut self, version: i64) -> Result<HeadRow, StoreError> {
        self.read(|conn| row(conn, version))
    }

    /// The file of a head, checked against its digest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] (also when the file was purged), [`StoreError::Corrupt`].
    pub fn head_file(&mut self, version: i64) -> Result<Vec<u8>, StoreError> {
        self.read(|conn| file(conn, version))
    }

    /// The classes of a head in its order, with the names that they have now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn head_classes(&mut self, version: i64) -> Result<Vec<HeadClass>, StoreError> {
        self.read(|conn| head_classes(conn, version))
    }

    /// The held-out predictions stored with a head, by the names that its classes had when it was trained.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn held_out(&mut self, version: i64) -> Result<Vec<HeldOut>, StoreError> {
        self.read(|conn| {
            let classes = row(conn, version)?.classes;
            let sql = "SELECT held_out FROM head_files WHERE version = ?1";
            let bytes: Option<Vec<u8>> = conn.query_row(sql, [version], |row| row.get(0)).optional()?;
            let mut predictions = Vec::new();
            for twelve in bytes.unwrap_or_default().chunks_exact(12) {
                let sample = twelve[..8].iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
                let class = twelve[8..].iter().rev().fold(0usize, |n, &byte| n << 8 | usize::from(byte));
                let class = classes.get(class).cloned().ok_or_else(|| {
                    StoreError::Corrupt(format!("the held-out predictions of head {version} are damaged"))
                })?;
                predictions.push(HeldOut { sample: sample as i64, class });
            }
            Ok(predictions)
        })
    }

    /// The active, previous and pinned versions.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn serving(&mut self) -> Result<Serving, StoreError> {
        self.read(serving)
    }
}
