//! Backbones that came from elsewhere, and which of them serves. A backbone and the head that was trained on it are a
//! *pair*: they become active together and go back together, in one transaction. The files lie beside the database.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::head_rows;
use super::samples::check_text;
use super::{Store, StoreError, Tx};

/// Descriptions kept of backbones that do not serve.
const KEPT: i64 = 200;

/// Where a backbone stands.
#[derive(strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On its way: being fetched, admitted, embedded with or judged.
    Pending,
    /// It served, or serves, on probation.
    Promoted,
    /// It passed its probation.
    Confirmed,
    Refused,
    /// It served and was taken back.
    RolledBack,
}

impl Stage {
    /// The word in the database and in lists.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    fn parse(word: &str) -> Result<Self, StoreError> {
        word.parse().map_err(|_| StoreError::Corrupt(format!("a backbone has the impossible stage {word:?}")))
    }
}

/// A backbone that came from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackboneRow {
    /// Counted up by this store, never reused.
    pub id: i64,
    /// The version that its maker gave it.
    pub version: i64,
    /// `sha256:<hex>` of the ONNX file.
    pub digest: String,
    pub manifest: String,
    /// What the daemon needs to go on with it after a restart.
    pub origin: String,
    pub stage: Stage,
    /// Why it stands there, in plain words.
    pub reason: String,
    /// When it came, in ms since 1970.
    pub created_ms: i64,
    /// When it last changed its stage.
    pub changed_ms: i64,
}

/// One backbone with one head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// [`BackboneRow::id`]; `None`: the configured one.
    pub backbone: Option<i64>,
    /// `None`: no head was trained on it.
    pub head: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// The one in use. Before anything came from elsewhere it is the configured backbone.
    pub active: Pair,
    /// The one to go back to.
    pub previous: Option<Pair>,
}

fn backbone_row(row: &Row<'_>) -> Result<BackboneRow, StoreError> {
    let stage: String = row.get(5)?;
    Ok(BackboneRow {
        id: row.get(0)?,
        version: row.get(1)?,
        digest: row.get(2)?,
        manifest: row.get(3)?,
        origin: row.get(4)?,
        stage: Stage::parse(&stage)?,
        reason: row.get(6)?,
        created_ms: row.get(7)?,
        changed_ms: row.get(8)?,
    })
}

const COLUMNS: &str = "id, version, digest, manifest, origin, stage, reason, created_ms, changed_ms";

fn find(conn: &Connection, rest: &str, value: i64) -> Result<Vec<BackboneRow>, StoreError> {
    let mut statement = conn.prepare(&format!("SELECT {COLUMNS} FROM backbone_versions {rest}"))?;
    let mut rows = statement.query([value])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(backbone_row(row)?);
    }
    Ok(found)
}

fn no_backbone(id: i64) -> StoreError {
    StoreError::NotFound(format!("no backbone {id}: see the list of backbones"))
}

fn pairs(conn: &Connection) -> Result<Pairs, StoreError> {
    let slot = |slot: &str| {
        conn.query_row("SELECT backbone, head FROM pairs WHERE slot = ?1", [slot], |row| {
            Ok(Pair { backbone: row.get(0)?, head: row.get(1)? })
        })
        .optional()
    };
    let active = slot("active")?.unwrap_or_default();
    // Rounds change the head of the active pair; the serving table is the one that knows.
    let head = head_rows::serving(conn)?.active;
    Ok(Pairs { active: Pair { head, ..active }, previous: slot("previous")? })
}

impl Tx<'_> {
    /// Takes a new backbone on, as [`Stage::Pending`]. Gives its id.
    ///
    /// # Errors
    /// [`StoreError::Invalid`], [`StoreError::Full`].
    pub fn add_backbone(
        &self,
        version: i64,
        digest: &str,
        manifest: &str,
        origin: &str,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        let mark = self.mark()?;
        check_text("backbone digest", digest)?;
        self.room.book_other((manifest.len() + origin.len()) as u64)?;
        self.conn.execute(
            "INSERT INTO backbone_versions (version, digest, manifest, origin, stage, reason, created_ms, changed_ms)
             VALUES (?1, ?2, ?3, ?4, 'pending', '', ?5, ?5)",
            params![version, digest, manifest, origin, now_ms],
        )?;
        let id = self.conn.last_insert_rowid();
        self.conn.execute(
            "DELETE FROM backbone_versions WHERE stage NOT IN ('pending') AND id <= ?1 - ?2
             AND id NOT IN (SELECT backbone FROM pairs WHERE backbone IS NOT NULL)",
            [id, KEPT],
        )?;
        mark.keep()?;
        Ok(id)
    }

    /// Notes where a backbone stands now, and why.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn set_stage(&self, id: i64, stage: Stage, reason: &str, now_ms: i64) -> Result<(), StoreError> {
        self.alive()?;
        let rows = self.conn.execute(
            "UPDATE backbone_versions SET stage = ?2, reason = ?3, changed_ms = ?4, origin = CASE ?2 WHEN 'pending' THEN origin ELSE '' END
             WHERE id = ?1",
            params![id, stage.as_str(), reason, now_ms],
        )?;
        if rows == 0 { Err(no_backbone(id)) } else { Ok(()) }
    }

    /// Forgets a backbone that never served, as if it had not come.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_backbone(&self, id: i64) -> Result<(), StoreError> {
        self.alive()?;
        self.conn.execute("DELETE FROM backbone_versions WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Makes a backbone the active one, together with the head that is promoted in the same transaction: call it before
    /// that. The pair that served becomes the previous one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn promote_backbone(&self, id: Option<i64>) -> Result<(), StoreError> {
        let mark = self.mark()?;
        if let Some(id) = id
            && find(self.conn, "WHERE id = ?1", id)?.is_empty()
        {
            return Err(no_backbone(id));
        }
        let now = pairs(self.conn)?.active;
        let put = |slot: &str, pair: Pair| {
            self.conn.execute(
                "INSERT INTO pairs (slot, backbone, head) VALUES (?1, ?2, ?3)
                 ON CONFLICT (slot) DO UPDATE SET backbone = excluded.backbone, head = excluded.head",
                params![slot, pair.backbone, pair.head],
            )
        };
        put("previous", now)?;
        put("active", Pair { backbone: id, head: None })?;
        mark.keep()
    }

    /// Which pairs serve.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn pairs(&self) -> Result<Pairs, StoreError> {
        pairs(self.conn)
    }

    /// Forgets the pair to go back to.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget_previous(&self) -> Result<(), StoreError> {
        self.alive()?;
        self.conn.execute("DELETE FROM pairs WHERE slot = 'previous'", [])?;
        Ok(())
    }

    /// Forgets every pair: the configured backbone serves, alone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn clear_pairs(&self) -> Result<(), StoreError> {
        self.alive()?;
        self.conn.execute("DELETE FROM pairs", [])?;
        Ok(())
    }
}

impl Store {
    /// Which pairs serve.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn pairs(&mut self) -> Result<Pairs, StoreError> {
        self.read(pairs)
    }

    /// Backbones that came from elsewhere, newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn backbones(&mut self, limit: usize) -> Result<Vec<BackboneRow>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|conn| find(conn, "ORDER BY id DESC LIMIT ?1", limit))
    }

    /// One of them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn backbone(&mut self, id: i64) -> Result<BackboneRow, StoreError> {
        self.read(|conn| find(conn, "WHERE id = ?1", id)?.pop().ok_or_else(|| no_backbone(id)))
    }
}
