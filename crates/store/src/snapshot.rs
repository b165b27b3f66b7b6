//! What one training round sees: the labelled samples of one backbone, in a fixed order.

use graft_wire::digest::hex;
use half::f16;
use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, classes, journal};
use graft_learn::Snapshot;

/// A snapshot with what ties its rows to the store.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// Embeddings `[samples, width]`, labels as indexes of `classes`, bursts.
    pub snapshot: Snapshot,
    /// The sample id of each row, ascending.
    pub ids: Vec<i64>,
    /// The class list in its order, classes without samples included.
    pub classes: Vec<String>,
    /// The store's id of each class.
    pub class_ids: Vec<i64>,
    /// Live samples left out as they have no embedding of this backbone yet; see [`Store::stale`].
    pub missing: usize,
    pub rev: i64,
    /// `sha256:<hex>` over the backbone's digest, the class list, and each row's image digest, label and burst: equal
    /// digests mean equal training input.
    pub digest: String,
}

/// A burst's number: the first 8 bytes (big-endian) of the SHA-256 of its id. Stable over restarts and devices.
pub fn burst_number(burst: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(burst.as_bytes()).into();
    digest[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl Store {
    /// The labelled samples that have an embedding of this backbone.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a stored embedding of the wrong length.
    pub fn snapshot(&mut self, backbone: &str) -> Result<Labelled, StoreError> {
        self.read(|conn| {
            // One read transaction: classes, rows and revision belong together.
            let tx = conn.unchecked_transaction()?;
            let classes = classes::list(&tx)?;
            let known = tx
                .query_row("SELECT id, width FROM backbones WHERE digest = ?1", [backbone], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
                })
                .optional()?;
            let (backbone_id, width) = known.map_or((0, 0), |(id, width)| (id, width.max(0) as usize));
            let live: i64 =
                tx.query_row("SELECT count(*) FROM samples WHERE removed_ms IS NULL", [], |row| row.get(0))?;

            let mut hash = Sha256::new();
            let mut feed = |bytes: &[u8]| {
                hash.update((bytes.len() as u64).to_le_bytes());
                hash.update(bytes);
            };
            feed(backbone.as_bytes());
            classes.iter().for_each(|(_, name)| feed(name.as_bytes()));

            let mut ids = Vec::new();
            let mut snapshot = Snapshot {
                width,
                classes: classes.len(),
                embeddings: Vec::new(),
                labels: Vec::new(),
                bursts: Vec::new(),
            };
            let mut statement = tx.prepare(
                "SELECT s.id, s.class, s.burst, s.sha256, e.f16 FROM samples s
                 JOIN embeddings e ON e.sample = s.id AND e.backbone = ?1
                 WHERE s.removed_ms IS NULL ORDER BY s.id",
            )?;
            let mut found = statement.query([backbone_id])?;
            while let Some(row) = found.next()? {
                let (id, class): (i64, i64) = (row.get(0)?, row.get(1)?);
                let burst: String = row.get(2)?;
                let sha256: [u8; 32] = row.get(3)?;
                let bytes = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
                let damaged = |what: &str| StoreError::Corrupt(format!("sample {id} has {what}"));
                let label = classes
                    .iter()
                    .position(|(known, _)| *known == class)
                    .ok_or_else(|| damaged("a class that is removed"))?;
                if bytes.len() != width * 2 {
                    return Err(damaged("an embedding of the wrong length"));
                }
                let burst = burst_number(&burst);
                snapshot
                    .embeddings
                    .extend(bytes.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]])));
                snapshot.labels.push(label as u32);
                snapshot.bursts.push(burst);
                ids.push(id);
                feed(&sha256);
                feed(&(label as u32).to_le_bytes());
                feed(&burst.to_le_bytes());
            }
            let missing = (live.max(0) as usize).saturating_sub(ids.len());
            let rev = journal::counter(&tx, "rev")?;
            let (class_ids, classes) = classes.into_iter().unzip();
            let digest = format!("sha256:{}", hex(&hash.finalize()));
            Ok(Labelled { snapshot, ids, classes, class_ids, missing, rev, digest })
        })
    }

    /// Ids of live samples that lack an embedding of this backbone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn stale(&mut self, backbone: &str) -> Result<Vec<i64>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare(
                "SELECT s.id FROM samples s WHERE s.removed_ms IS NULL AND NOT EXISTS (
                   SELECT 1 FROM embeddings e JOIN backbones b ON b.id = e.backbone
                   WHERE e.sample = s.id AND b.digest = ?1) ORDER BY s.id",
            )?;
            let ids = statement.query_map([backbone], |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
    }

    /// Digests of every backbone that there are embeddings of.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn embedded_by(&mut self) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare("SELECT digest FROM backbones")?;
            let digests = statement.query_map([], |row| row.get(0))?;
            Ok(digests.collect::<Result<_, _>>()?)
        })
    }

    /// The stored embedding `[width]` of a live sample.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn embedding(&mut self, id: i64, backbone: &str) -> Result<Option<Vec<f32>>, StoreError> {
        self.read(|conn| {
            let bytes: Option<Vec<u8>> = conn
                .query_row(
                    "SELECT e.f16 FROM embeddings e JOIN backbones b ON b.id = e.backbone
                     JOIN samples s ON s.id = e.sample
                     WHERE e.sample = ?1 AND b.digest = ?2 AND s.removed_ms IS NULL",
                    params![id, backbone],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(bytes.map(|bytes| {
                bytes.chunks_exact(2).map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32()).collect()
            }))
        })
    }
}
