//! Reading samples.

use graft_wire::digest::hex;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::{ClassCount, Step, Store, StoreError, Tx, classes, journal};

/// Which samples to list. The default lists all live ones, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub class: Option<String>,
    pub burst: Option<String>,
    pub newest_first: bool,
}

/// A stored sample without its image.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRow {
    /// Its id; never reused.
    pub id: i64,
    pub class: String,
    pub burst: String,
    /// SHA-256 of the image in hex.
    pub sha256: String,
    /// Size of the image.
    pub bytes: u64,
    /// The frame's id, 0 where there was none.
    pub frame: u64,
    /// When the frame was taken, in ms since 1970.
    pub taken_ms: i64,
    /// The camera or file it came from.
    pub source: String,
    pub by: String,
    /// Normalised x, y, w, h of the crop's region.
    pub roi: Option<[f64; 4]>,
    /// When it was stored, in ms since 1970.
    pub added_ms: i64,
    /// The revision that added it.
    pub added_rev: i64,
}

/// Sizes of the dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub classes: usize,
    pub samples: usize,
    /// Distinct bursts of them.
    pub bursts: usize,
    /// Bytes of their images.
    pub image_bytes: u64,
    /// Deleted samples whose bytes are still there.
    pub removed: usize,
    pub rev: i64,
}

const COLUMNS: &str = "s.id, c.name, s.burst, s.sha256, s.bytes, s.frame, s.taken_ms, s.source, s.by, s.roi, s.added_ms, s.added_rev";

fn sample_row(row: &Row<'_>) -> Result<SampleRow, StoreError> {
    let (bytes, frame): (i64, i64) = (row.get(4)?, row.get(5)?);
    let roi: Option<String> = row.get(9)?;
    let roi = roi.and_then(|text| {
        let values: Vec<f64> = text.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
        <[f64; 4]>::try_from(values).ok()
    });
    Ok(SampleRow {
        id: row.get(0)?,
        class: row.get(1)?,
        burst: row.get(2)?,
        sha256: hex(&row.get::<_, [u8; 32]>(3)?),
        bytes: bytes.max(0) as u64,
        frame: frame.max(0) as u64,
        taken_ms: row.get(6)?,
        source: row.get(7)?,
        by: row.get(8)?,
        roi,
        added_ms: row.get(10)?,
        added_rev: row.get(11)?,
    })
}

/// The live samples that pass `filter`.
pub(super) fn list(
    conn: &Connection,
    filter: &Filter,
    limit: usize,
    offset: usize,
) -> Result<Vec<SampleRow>, StoreError> {
    let class = match &filter.class {
        Some(name) => Some(classes::require(conn, name)?),
        None => None,
    };
    let order = if filter.newest_first { "DESC" } else { "ASC" };
    let mut statement = conn.prepare(&format!(
        "SELECT {COLUMNS} FROM samples s JOIN classes c ON c.id = s.class WHERE s.removed_ms IS NULL
         AND (?1 IS NULL OR s.class = ?1) AND (?2 IS NULL OR s.burst = ?2) ORDER BY s.id {order} LIMIT ?3 OFFSET ?4"
    ))?;
    let clamp = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![class, filter.burst, clamp(limit), clamp(offset)])?;
    let mut samples = Vec::new();
    while let Some(row) = rows.next()? {
        samples.push(sample_row(row)?);
    }
    Ok(samples)
}

impl Tx<'_> {
    /// [`Store::classes`], as this transaction leaves them.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn classes(&self) -> Result<Vec<ClassCount>, StoreError> {
        classes::counts(self.conn)
    }
}

impl Store {
    /// Lists live samples.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown class.
    pub fn samples(
        &mut self,
        filter: &Filter,
        limit: usize,
        offset: usize,
    ) -> Result<Vec<SampleRow>, StoreError> {
        self.read(|conn| list(conn, filter, limit, offset))
    }

    /// One live sample.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn sample(&mut self, id: i64) -> Result<SampleRow, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare(&format!(
                "SELECT {COLUMNS} FROM samples s JOIN classes c ON c.id = s.class WHERE s.id = ?1 AND s.removed_ms IS NULL"
            ))?;
            let mut rows = statement.query([id])?;
            match rows.next()? {
                Some(row) => sample_row(row),
                None => Err(no_sample(id)),
            }
        })
    }

    /// The JPEG file of a live sample, checked against its digest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Corrupt`] when the bytes are not those that were stored.
    pub fn image(&mut self, id: i64) -> Result<Vec<u8>, StoreError> {
        self.read(|conn| image(conn, id))
    }

    /// The JPEG file of a live sample with this digest (64 hex digits).
    ///
    /// # Errors
    /// See [`Store::image`].
    pub fn image_of(&mut self, sha256: &str) -> Result<Vec<u8>, StoreError> {
        self.read(|conn| {
            let sql = "SELECT id FROM samples WHERE sha256 = unhex(?1) AND removed_ms IS NULL LIMIT 1";
            let id = conn.query_row(sql, [sha256], |row| row.get(0)).optional()?;
            image(conn, id.ok_or_else(|| StoreError::NotFound(format!("no sample has the digest {sha256}")))?)
        })
    }

    /// The live classes in their order, with counts.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn classes(&mut self) -> Result<Vec<ClassCount>, StoreError> {
        self.read(classes::counts)
    }

    /// Sizes of the dataset.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn counts(&mut self) -> Result<Counts, StoreError> {
        self.read(|conn| {
            let one =
                |sql: &str| -> Result<i64, StoreError> { Ok(conn.query_row(sql, [], |row| row.get(0))?) };
            Ok(Counts {
                classes: one("SELECT count(*) FROM classes WHERE removed_step IS NULL")? as usize,
                samples: one("SELECT count(*) FROM samples WHERE removed_ms IS NULL")? as usize,
                bursts: one("SELECT count(DISTINCT burst) FROM samples WHERE removed_ms IS NULL")? as usize,
                image_bytes: one("SELECT coalesce(sum(bytes), 0) FROM samples WHERE removed_ms IS NULL")?
                    as u64,
                removed: one("SELECT count(*) FROM samples WHERE removed_ms IS NOT NULL")? as usize,
                rev: journal::counter(conn, "rev")?,
            })
        })
    }

    /// The dataset's revision.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rev(&mut self) -> Result<i64, StoreError> {
        self.read(|conn| journal::counter(conn, "rev"))
    }

    /// The steps that can be undone, the latest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn history(&mut self, limit: usize) -> Result<Vec<Step>, StoreError> {
        self.read(|conn| journal::steps(conn, limit))
    }
}

pub(super) fn image(conn: &Connection, id: i64) -> Result<Vec<u8>, StoreError> {
    let sql = "SELECT s.sha256, i.jpeg FROM samples s LEFT JOIN images i ON i.sample = s.id
               WHERE s.id = ?1 AND s.removed_ms IS NULL";
    let row = conn
        .query_row(sql, [id], |row| Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))
        .optional()?;
    let (digest, jpeg) = row.ok_or_else(|| no_sample(id))?;
    match jpeg {
        Some(jpeg) if <[u8; 32]>::from(Sha256::digest(&jpeg)) == digest => Ok(jpeg),
        _ => Err(StoreError::Corrupt(format!(
            "the image of sample {id} is damaged on the disk: delete the sample, and check the medium"
        ))),
    }
}

fn no_sample(id: i64) -> StoreError {
    StoreError::NotFound(format!("no sample {id}: it was never stored or is deleted"))
}
