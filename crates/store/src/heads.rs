//! Storing heads: versions are immutable, monotonic and never reused; one is active, one previous, one may be pinned.

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::head_rows::{HeadRow, HeldOut, KEPT_FILES, Serving, file, no_head, serving};
use super::journal::{count_up, counter};
use super::{StoreError, Tx, classes, samples};

/// Head descriptions kept.
const KEPT_HEADS: i64 = 1000;
const MOST_FILE_BYTES: usize = 64 << 20;

/// A head to be stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NewHead {
    /// From [`Tx::next_head_version`].
    pub version: i64,
    /// The head file (safetensors).
    #[serde(skip)]
    pub file: Vec<u8>,
    pub manifest: String,
    /// How it was trained.
    pub method: String,
    /// The round's metrics as JSON.
    pub metrics: String,
    /// The gate's verdict as JSON or text.
    pub gate: String,
    /// The version that was active when it was trained.
    pub parent: Option<i64>,
    /// For a roll back: the version whose weights these are.
    pub restored_from: Option<i64>,
    pub backbone: String,
    /// The class list in the head's order.
    pub classes: Vec<String>,
    /// The store's id of each class, 0 where it has none; empty: those of the present classes of these names, as for a
    /// head that is copied to another database.
    #[serde(skip)]
    pub class_ids: Vec<i64>,
    /// The digest of the snapshot it was trained on.
    pub snapshot: String,
    /// Predictions for the snapshot's samples.
    #[serde(skip)]
    pub held_out: Vec<HeldOut>,
}

impl From<HeadRow> for NewHead {
    /// Without its file and its predictions.
    fn from(row: HeadRow) -> Self {
        Self {
            version: row.version,
            manifest: row.manifest,
            method: row.method,
            metrics: row.metrics,
            gate: row.gate,
            parent: row.parent,
            restored_from: row.restored_from,
            backbone: row.backbone,
            classes: row.classes,
            class_ids: row.class_ids,
            snapshot: row.snapshot,
            ..Self::default()
        }
    }
}

/// Deletes head files that nobody can need any more, and very old descriptions. Returns how many files went.
pub(super) fn purge_files(conn: &Connection) -> Result<usize, StoreError> {
    let files = conn.execute(
        "DELETE FROM head_files WHERE version NOT IN (SELECT version FROM serving)
         AND version NOT IN (SELECT head FROM pairs WHERE head IS NOT NULL)
         AND version NOT IN (SELECT version FROM heads ORDER BY version DESC LIMIT ?1)
         AND version NOT IN (SELECT version FROM heads WHERE promoted_ms IS NOT NULL ORDER BY version DESC LIMIT ?1)",
        [KEPT_FILES],
    )?;
    conn.execute(
        "DELETE FROM heads WHERE version NOT IN (SELECT version FROM serving) AND version NOT IN (SELECT version FROM head_files)
         AND version NOT IN (SELECT head FROM pairs WHERE head IS NOT NULL)
         AND version <= (SELECT version FROM heads ORDER BY version DESC LIMIT 1 OFFSET ?1)",
        [KEPT_HEADS],
    )?;
    Ok(files)
}

impl Tx<'_> {
    /// Takes the next head version. It is never given again, whether a head is stored under it or not.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_head_version(&self) -> Result<i64, StoreError> {
        self.alive()?;
        self.room.heads_changed.set(true);
        count_up(self.conn, "head_version", 1)
    }

    /// Stores a head. It does not serve yet.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] for a version that is taken or was never given out, [`StoreError::Invalid`],
    /// [`StoreError::Full`].
    pub fn put_head(&self, head: &NewHead, now_ms: i64) -> Result<(), StoreError> {
        let mark = self.mark()?;
        let given = counter(self.conn, "head_version")?;
        if head.version < 1 || head.version > given {
            return Err(StoreError::Conflict(format!(
                "head version {} was never given out (the latest is {given}): take the next one first",
                head.version
            )));
        }
        if head.file.is_empty() || head.file.len() > MOST_FILE_BYTES {
            return Err(StoreError::Invalid(format!(
                "a head file of {} bytes cannot be stored: 1 byte to {} MiB are allowed",
                head.file.len(),
                MOST_FILE_BYTES >> 20
            )));
        }
        samples::check_text("backbone digest", &head.backbone)?;
        let mut held_out = Vec::with_capacity(head.held_out.len() * 12);
        for prediction in &head.held_out {
            let class = head.classes.iter().position(|name| *name == prediction.class).ok_or_else(|| {
                StoreError::Invalid(format!(
                    "held-out class \"{}\" is not in the head's class list",
                    prediction.class
                ))
            })?;
            held_out.extend_from_slice(&prediction.sample.to_le_bytes());
            held_out.extend_from_slice(&(class as u32).to_le_bytes());
        }
        let texts = head.manifest.len() + head.metrics.len() + head.gate.len();
        self.room.book_other((head.file.len() + held_out.len() + texts) as u64)?;
        let taken: bool = self.conn.query_row(
            "SELECT EXISTS (SELECT 1 FROM heads WHERE version = ?1)",
            [head.version],
            |row| row.get(0),
        )?;
        if taken {
            return Err(StoreError::Conflict(format!(
                "head {} is stored already and never changes",
                head.version
            )));
        }
        let digest: [u8; 32] = Sha256::digest(&head.file).into();
        let names = serde_json::to_string(&head.classes).map_err(|error| {
            StoreError::Invalid(format!("the head's class list cannot be written: {error}"))
        })?;
        let class_ids = match head.class_ids.as_slice() {
            [] => classes::ids(self.conn, &head.classes)?,
            ids => ids.to_vec(),
        };
        self.conn.execute(
            "INSERT INTO heads (version, sha256, bytes, manifest, method, metrics, gate, parent, restored_from, backbone,
             classes, snapshot, created_ms, class_ids)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            params![
                head.version,
                digest,
                head.file.len() as i64,
                head.manifest,
                head.method,
                head.metrics,
                head.gate,
                head.parent,
                head.restored_from,
                head.backbone,
                names,
                head.snapshot,
                now_ms,
                serde_json::json!(class_ids).to_string()
            ],
        )?;
        self.conn.execute(
            "INSERT INTO head_files (version, file, held_out) VALUES (?1, ?2, ?3)",
            params![head.version, head.file, held_out],
        )?;
        purge_files(self.conn)?;
        mark.keep()?;
        Ok(())
    }

    /// Makes a stored head the active one; the active one becomes the previous one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such head or its file is gone, [`StoreError::Corrupt`] when its bytes
    /// are not those that were stored.
    pub fn set_active(&self, version: i64, now_ms: i64) -> Result<Serving, StoreError> {
        let mark = self.mark()?;
        file(self.conn, version)?;
        let now = serving(self.conn)?;
        if now.active != Some(version) {
            if let Some(active) = now.active {
                self.put_slot("previous", active)?;
            }
            self.put_slot("active", version)?;
            self.conn.execute(
                "UPDATE heads SET promoted_ms = coalesce(promoted_ms, ?1) WHERE version = ?2",
                params![now_ms, version],
            )?;
            self.room.heads_changed.set(true);
        }
        let done = serving(self.conn)?;
        mark.keep()?;
        Ok(done)
    }

    /// [`Tx::put_head`] and [`Tx::set_active`].
    ///
    /// # Errors
    /// Theirs.
    pub fn promote(&self, head: &NewHead, now_ms: i64) -> Result<Serving, StoreError> {
        let mark = self.mark()?;
        self.put_head(head, now_ms)?;
        let done = self.set_active(head.version, now_ms)?;
        mark.keep()?;
        Ok(done)
    }

    /// Pins a head, or none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn pin(&self, version: Option<i64>) -> Result<Serving, StoreError> {
        self.alive()?;
        match version {
            Some(version) => {
                file(self.conn, version)?;
                self.put_slot("pinned", version)?;
            }
            None => {
                self.conn.execute("DELETE FROM serving WHERE slot = 'pinned'", [])?;
            }
        }
        serving(self.conn)
    }

    /// Notes that a head was published completely.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_published(&self, version: i64, now_ms: i64) -> Result<(), StoreError> {
        self.alive()?;
        let rows = self
            .conn
            .execute("UPDATE heads SET published_ms = ?1 WHERE version = ?2", params![now_ms, version])?;
        if rows == 0 { Err(no_head(version)) } else { Ok(()) }
    }

    fn put_slot(&self, slot: &str, version: i64) -> Result<(), StoreError> {
        self.conn.execute(
            "INSERT INTO serving (slot, version) VALUES (?1, ?2) ON CONFLICT (slot) DO UPDATE SET version = excluded.version",
            params![slot, version],
        )?;
        Ok(())
    }
}
