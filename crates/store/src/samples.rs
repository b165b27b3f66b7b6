//! Adding, relabelling and deleting samples.

use half::f16;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::journal::{Change, ChangeKind, Written};
use super::{StoreError, Tx, classes};

/// The burst of a picture that came without one: its digest follows.
pub(super) const ALONE: &str = "file:";

/// The largest image of one sample.
pub(super) const MOST_IMAGE_BYTES: usize = 16 << 20;
/// The longest burst id, source or author.
const LONGEST_TEXT: usize = 512;
const MOST_WIDTH: usize = 1 << 16;

/// A sample to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSample {
    pub class: String,
    /// What was captured together has the same burst id.
    pub burst: String,
    /// The crop as a JPEG file.
    pub jpeg: Vec<u8>,
    /// The crop's embedding `[width]`; kept as f16.
    pub embedding: Vec<f32>,
    /// The digest of the backbone that made the embedding.
    pub backbone: String,
    /// The frame's id, 0 where there was none.
    pub frame: u64,
    /// When the frame was taken, in ms since 1970.
    pub taken_ms: i64,
    /// The camera or file it came from.
    pub source: String,
    /// Who labelled it: `mqtt`, `cli`, `import`, …
    pub by: String,
    /// The region of the frame the crop was cut from, normalised x, y, w, h.
    pub roi: Option<[f64; 4]>,
}

/// What [`Tx::add_samples`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The sample ids in the order given; an exact duplicate has the id of the sample that was there.
    pub ids: Vec<i64>,
    /// How many of them are new.
    pub fresh: usize,
    pub rev: i64,
}

/// Turns an embedding into what is stored.
pub(super) fn pack(embedding: &[f32]) -> Result<Vec<u8>, StoreError> {
    if embedding.is_empty() || embedding.len() > MOST_WIDTH {
        return Err(StoreError::Invalid(format!(
            "an embedding of width {} cannot be stored: 1 to {MOST_WIDTH} values are allowed",
            embedding.len()
        )));
    }
    let mut bytes = Vec::with_capacity(embedding.len() * 2);
    for (at, &value) in embedding.iter().enumerate() {
        let half = f16::from_f32(value);
        if !half.is_finite() {
            return Err(StoreError::Invalid(format!(
                "value {at} of the embedding is {value}: a 16-bit float holds numbers up to 65504, check the backbone's preprocessing"
            )));
        }
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    Ok(bytes)
}

/// The row id of a backbone, made where it is missing.
pub(super) fn backbone(conn: &Connection, digest: &str, width: usize) -> Result<i64, StoreError> {
    check_text("backbone digest", digest)?;
    let known = conn
        .query_row("SELECT id, width FROM backbones WHERE digest = ?1", [digest], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    match known {
        Some((id, stored)) if stored == width as i64 => Ok(id),
        Some((_, stored)) => Err(StoreError::Invalid(format!(
            "the embeddings of backbone {digest} have width {stored}, this one has {width}: it comes from another backbone or cut"
        ))),
        None => {
            conn.execute(
                "INSERT INTO backbones (digest, width) VALUES (?1, ?2)",
                params![digest, width as i64],
            )?;
            Ok(conn.last_insert_rowid())
        }
    }
}

pub(super) fn check_text(what: &str, text: &str) -> Result<(), StoreError> {
    if text.is_empty() || text.len() > LONGEST_TEXT || text.chars().any(char::is_control) {
        return Err(StoreError::Invalid(format!(
            "the {what} must have 1 to {LONGEST_TEXT} bytes and no control characters (it has {} bytes)",
            text.len()
        )));
    }
    Ok(())
}

fn check(sample: &NewSample) -> Result<(), StoreError> {
    check_text("burst id", &sample.burst)?;
    check_text("author", &sample.by)?;
    if !sample.source.is_empty() {
        check_text("source", &sample.source)?;
    }
    if sample.jpeg.is_empty() || sample.jpeg.len() > MOST_IMAGE_BYTES {
        return Err(StoreError::Invalid(format!(
            "an image of {} bytes cannot be stored: 1 byte to {} MiB are allowed",
            sample.jpeg.len(),
            MOST_IMAGE_BYTES >> 20
        )));
    }
    if let Some(roi) = sample.roi
        && roi.iter().any(|value| !value.is_finite())
    {
        return Err(StoreError::Invalid("the region of a sample must be four finite numbers".into()));
    }
    Ok(())
}

impl Tx<'_> {
    /// Stores samples under one journal step. The same image of the same frame (or, without a frame, of the same burst, or
    /// of one that an import found) in the same class is stored once: its id is returned again, and its embedding is added where it lacks one.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::NotFound`] for an unknown class, [`StoreError::Invalid`]; nothing is stored
    /// then if the transaction is called off.
    pub fn add_samples(&self, samples: &[NewSample], now_ms: i64) -> Result<Added, StoreError> {
        let mark = self.mark()?;
        let mut step = None;
        let added = self.add_under(samples, &mut step, ChangeKind::Add, now_ms)?;
        if let Some(step) = step {
            let text = match samples {
                [one] => format!("added 1 sample of {}", one.class),
                _ => format!("added {} samples", added.fresh),
            };
            self.conn.execute("UPDATE journal SET text = ?1 WHERE step = ?2", params![text, step.step])?;
        }
        mark.keep()?;
        Ok(added)
    }

    /// As [`Tx::add_samples`], under `step`, which is begun with the first new sample where it is `None`.
    pub(super) fn add_under(
        &self,
        samples: &[NewSample],
        step: &mut Option<Written>,
        kind: ChangeKind,
        now_ms: i64,
    ) -> Result<Added, StoreError> {
        let mut ids = Vec::with_capacity(samples.len());
        let mut fresh = 0;
        for sample in samples {
            check(sample)?;
            let class = classes::require(self.conn, &sample.class)?;
            let f16 = pack(&sample.embedding)?;
            let backbone = backbone(self.conn, &sample.backbone, sample.embedding.len())?;
            let digest: [u8; 32] = Sha256::digest(&sample.jpeg).into();
            let id = match self.duplicate(sample, class, &digest)? {
                Some(id) => id,
                None => {
                    self.room.book_sample((sample.jpeg.len() + f16.len()) as u64)?;
                    if step.is_none() {
                        *step = Some(self.journal(kind, "", None, now_ms)?);
                    }
                    let Some(step) = step else { continue };
                    fresh += 1;
                    self.insert(sample, class, &digest, step, now_ms)?
                }
            };
            self.conn.execute(
                "INSERT OR IGNORE INTO embeddings (sample, backbone, f16) VALUES (?1, ?2, ?3)",
                params![id, backbone, f16],
            )?;
            ids.push(id);
        }
        Ok(Added { ids, fresh, rev: self.rev()? })
    }

    fn duplicate(
        &self,
        sample: &NewSample,
        class: i64,
        digest: &[u8; 32],
    ) -> Result<Option<i64>, StoreError> {
        let found = self
            .conn
            .query_row(
                "SELECT id FROM samples WHERE sha256 = ?1 AND class = ?2 AND removed_ms IS NULL AND frame = ?3
                 AND (frame <> 0 OR burst = ?4 OR (?5 AND burst LIKE 'files:%')) ORDER BY id LIMIT 1",
                params![digest, class, frame(sample)?, sample.burst, sample.burst.starts_with(ALONE)],
                |row| row.get(0),
            )
            .optional()?;
        Ok(found)
    }

    fn insert(
        &self,
        sample: &NewSample,
        class: i64,
        digest: &[u8; 32],
        step: &Written,
        now_ms: i64,
    ) -> Result<i64, StoreError> {
        let roi = sample.roi.map(|[x, y, w, h]| format!("{x},{y},{w},{h}"));
        self.conn.execute(
            "INSERT INTO samples (class, burst, sha256, bytes, frame, taken_ms, source, by, roi, added_ms, added_rev, added_step)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                class,
                sample.burst,
                digest,
                sample.jpeg.len() as i64,
                frame(sample)?,
                sample.taken_ms,
                sample.source,
                sample.by,
                roi,
                now_ms,
                step.rev,
                step.step
            ],
        )?;
        let id = self.conn.last_insert_rowid();
        self.conn.execute("INSERT INTO images (sample, jpeg) VALUES (?1, ?2)", params![id, sample.jpeg])?;
        Ok(id)
    }

    /// Gives samples another class. All of them, or none.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown class or sample.
    pub fn relabel(&self, ids: &[i64], class: &str, now_ms: i64) -> Result<Change, StoreError> {
        let mark = self.mark()?;
        let to = classes::require(self.conn, class)?;
        let mut moved = Vec::new();
        for &id in ids {
            let from = self.class_of(id)?;
            if from != to {
                moved.push((id, from));
            }
        }
        moved.sort_unstable();
        moved.dedup();
        if moved.is_empty() {
            return self
                .unchanged(ChangeKind::Relabel, format!("all {} samples are {class} already", ids.len()));
        }
        let text = match moved[..] {
            [(id, _)] => format!("relabelled sample {id} as {class}"),
            _ => format!("relabelled {} samples as {class}", moved.len()),
        };
        let step = self.journal(ChangeKind::Relabel, &text, None, now_ms)?;
        for (id, from) in &moved {
            self.conn.execute(
                "INSERT INTO journal_labels (step, sample, old_class) VALUES (?1, ?2, ?3)",
                params![step.step, id, from],
            )?;
            self.conn.execute("UPDATE samples SET class = ?1 WHERE id = ?2", params![to, id])?;
        }
        mark.keep()?;
        Ok(step.change(ChangeKind::Relabel, moved.len(), text))
    }

    /// Deletes samples. All of them, or none. Their bytes stay for 24 hours, for undoing, unless room is needed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown sample.
    pub fn delete(&self, ids: &[i64], now_ms: i64) -> Result<Change, StoreError> {
        let mark = self.mark()?;
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        for &id in &ids {
            self.class_of(id)?;
        }
        let text = match ids[..] {
            [] => return self.unchanged(ChangeKind::Delete, "no samples to delete".into()),
            [id] => format!("deleted sample {id}"),
            _ => format!("deleted {} samples", ids.len()),
        };
        let step = self.journal(ChangeKind::Delete, &text, None, now_ms)?;
        for id in &ids {
            self.conn.execute(
                "UPDATE samples SET removed_ms = ?1, removed_step = ?2 WHERE id = ?3",
                params![now_ms, step.step, id],
            )?;
        }
        mark.keep()?;
        Ok(step.change(ChangeKind::Delete, ids.len(), text))
    }

    /// Deletes all samples; the classes stay.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn clear(&self, now_ms: i64) -> Result<Change, StoreError> {
        let mark = self.mark()?;
        let live: i64 =
            self.conn
                .query_row("SELECT count(*) FROM samples WHERE removed_ms IS NULL", [], |row| row.get(0))?;
        if live == 0 {
            return self.unchanged(ChangeKind::Clear, "there are no samples to delete".into());
        }
        let text = format!("deleted all {live} samples");
        let step = self.journal(ChangeKind::Clear, &text, None, now_ms)?;
        let affected = self.conn.execute(
            "UPDATE samples SET removed_ms = ?1, removed_step = ?2 WHERE removed_ms IS NULL",
            params![now_ms, step.step],
        )?;
        mark.keep()?;
        Ok(step.change(ChangeKind::Clear, affected, text))
    }

    fn class_of(&self, id: i64) -> Result<i64, StoreError> {
        let sql = "SELECT class FROM samples WHERE id = ?1 AND removed_ms IS NULL";
        let class = self.conn.query_row(sql, [id], |row| row.get(0)).optional()?;
        class
            .ok_or_else(|| StoreError::NotFound(format!("no sample {id}: it was never stored or is deleted")))
    }

    /// Stores the embedding of a sample for another backbone, or replaces it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Invalid`] for a wrong width or a value beyond f16.
    pub fn put_embedding(&self, id: i64, digest: &str, embedding: &[f32]) -> Result<(), StoreError> {
        let mark = self.mark()?;
        self.class_of(id)?;
        let f16 = pack(embedding)?;
        let backbone = backbone(self.conn, digest, embedding.len())?;
        self.room.book_other(f16.len() as u64)?;
        self.conn.execute(
            "INSERT INTO embeddings (sample, backbone, f16) VALUES (?1, ?2, ?3)
             ON CONFLICT (sample, backbone) DO UPDATE SET f16 = excluded.f16",
            params![id, backbone, f16],
        )?;
        mark.keep()?;
        Ok(())
    }

    /// Forgets all embeddings of a backbone; returns how many there were.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget_backbone(&self, digest: &str) -> Result<usize, StoreError> {
        let mark = self.mark()?;
        let gone = self.conn.execute(
            "DELETE FROM embeddings WHERE backbone = (SELECT id FROM backbones WHERE digest = ?1)",
            [digest],
        )?;
        self.conn.execute("DELETE FROM backbones WHERE digest = ?1", [digest])?;
        mark.keep()?;
        Ok(gone)
    }
}

fn frame(sample: &NewSample) -> Result<i64, StoreError> {
    i64::try_from(sample.frame)
        .map_err(|_| StoreError::Invalid(format!("frame id {} is out of range", sample.frame)))
}
