//! A head on its way to disk: file, manifest, signature and row in one transaction; and back from there.

use crate::daemon::frames::ActiveHead;
use crate::daemon::kept::{self, HeadProbation, Json};
use crate::daemon::pair::change::PairChange;
use crate::daemon::provenance::Provenance;
use graft_control::Version;
use graft_learn::Head;
use graft_store::{HeadClass, HeadRow, HeldOut, NewHead, Store, StoreError, Tx};
use graft_wire::messages::{HeadState, Interval};
use graft_wire::{HeadFile, HeadMeta, Manifest, digest, head_file::Dtype, timestamp};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// A head that is to be stored.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The weights.
    pub head: Head,
    /// The class list as it was taught.
    pub classes: Vec<String>,
    /// The store's id of each class.
    pub class_ids: Vec<i64>,
    /// How it was trained.
    pub method: String,
    /// Figures of its round.
    pub metrics: Map<String, Value>,
    /// Digest of the samples.
    pub snapshot: String,
    /// Version and digest of the head that is active now.
    pub parent: Option<(Version, String)>,
    /// The version that it restores.
    pub restored_from: Option<Version>,
    /// Its classes for the samples, each from a head that had not seen the sample's burst.
    pub held_out: Vec<HeldOut>,
    /// It is to be the active one.
    pub promote: bool,
    /// The verdict of the gate, or why it is stored.
    pub gate: String,
    /// The backbone that changes with it.
    pub pair: Option<PairChange>,
}

impl Draft {
    /// An earlier head again.
    pub fn restored(file: HeadFile, stored: Stored, from: Version, pair: Option<PairChange>) -> Self {
        let Stored { held_out, classes, .. } = stored;
        Self {
            head: file.head,
            classes: file.meta.classes,
            class_ids: classes.iter().map(|class| class.id).collect(),
            method: file.meta.method,
            metrics: file.meta.metrics,
            snapshot: file.meta.snapshot,
            parent: None,
            restored_from: Some(from),
            held_out,
            promote: true,
            gate: format!("restored from version {from}"),
            pair,
        }
    }
}

/// A head as it was stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its file.
    pub file: Vec<u8>,
    /// Its classes, with the names that they have now.
    pub classes: Vec<HeadClass>,
    /// Its classes for the samples that it was trained on, by the names that they had then.
    pub held_out: Vec<HeldOut>,
}

impl Stored {
    /// Reads it.
    ///
    /// # Errors
    /// See [`Store::head_file`].
    pub fn read(store: &mut Store, version: i64) -> Result<Self, StoreError> {
        let (file, classes) = (store.head_file(version)?, store.head_classes(version)?);
        Ok(Self { file, classes, held_out: store.held_out(version)? })
    }

    /// Its held-out classes by the names that they have now, empty for one that was removed.
    pub fn held_out_now(&self) -> impl Iterator<Item = (i64, String)> {
        let now: HashMap<&str, String> =
            self.classes.iter().map(|c| (c.taught.as_str(), c.now.clone().unwrap_or_default())).collect();
        self.held_out.iter().map(move |h| (h.sample, now.get(h.class.as_str()).cloned().unwrap_or_default()))
    }
}

/// What was held out of a stored head, by the names that its classes have now; a removed one is left out.
///
/// # Errors
/// The store fails.
pub fn held_out(store: &mut Store, version: i64) -> Result<Vec<(i64, String)>, StoreError> {
    let mut found: Vec<_> = Stored::read(store, version)?.held_out_now().collect();
    found.retain(|(_, class)| !class.is_empty());
    Ok(found)
}

/// Characters kept of the name of a removed class that gets a mark.
const MARKED: usize = 40;

/// Gives the classes of a head the names that they have now, in its class list and among its held-out predictions. One that
/// was removed keeps its name, with a mark where a present class has taken it.
fn named_as_now(tx: &Tx<'_>, draft: &mut Draft) -> Result<(), StoreError> {
    let now = tx.class_names(&draft.class_ids)?;
    let mut names: HashMap<String, String> = HashMap::new();
    for (at, taught) in draft.classes.iter_mut().enumerate() {
        let name = match now.get(at) {
            Some(Some(name)) => name.clone(),
            _ if now.contains(&Some(taught.clone())) => {
                let short: String = taught.chars().take(MARKED).collect();
                format!("{short} (removed {at})")
            }
            _ => taught.clone(),
        };
        names.insert(std::mem::replace(taught, name.clone()), name);
    }
    for held_out in &mut draft.held_out {
        if let Some(name) = names.get(&held_out.class) {
            held_out.class.clone_from(name);
        }
    }
    Ok(())
}

/// A version as the store counts it.
pub fn row_version(version: Version) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Makes file, manifest and row of a head under the next version, inside a transaction. A head that is to serve must be
/// one of the backbone that serves then.
pub fn store(tx: &Tx<'_>, from: &Provenance, mut draft: Draft, now_ms: i64) -> Result<Version, StoreError> {
    named_as_now(tx, &mut draft)?;
    let version = tx.next_head_version()?;
    let (parent, parent_digest) = draft.parent.unzip();
    let meta = HeadMeta {
        dtype: Dtype::F32,
        classes: draft.classes.clone(),
        backbone: from.backbone.clone(),
        tensor: from.tensor.clone(),
        preprocess: from.preprocess.clone(),
        pictures: Some(from.pictures()),
        snapshot: draft.snapshot.clone(),
        method: draft.method.clone(),
        metrics: draft.metrics.clone(),
        parent: parent_digest,
        restored_from: draft.restored_from,
        device: from.device.clone(),
        version: version.unsigned_abs(),
        created: timestamp::rfc3339(now_ms),
    };
    let invalid = |e: &dyn std::fmt::Display| StoreError::Invalid(format!("the head cannot be written: {e}"));
    let file = HeadFile { head: draft.head, meta }.encode().map_err(|e| invalid(&e))?;
    let manifest = Manifest::signed(&file, None, &from.key).map_err(|e| invalid(&e))?;
    let head = NewHead {
        version,
        file,
        manifest: manifest.to_json(),
        method: draft.method,
        metrics: Value::Object(draft.metrics).to_string(),
        gate: draft.gate,
        parent: parent.map(row_version),
        restored_from: draft.restored_from.map(row_version),
        backbone: from.backbone.digest.clone(),
        classes: draft.classes,
        class_ids: draft.class_ids,
        snapshot: draft.snapshot,
        held_out: draft.held_out,
    };
    if let Some(pair) = &draft.pair {
        pair.store(tx, from.row, draft.promote, &head.gate, now_ms)?;
    }
    if draft.promote {
        if tx.pairs()?.active.backbone != from.row {
            return Err(StoreError::Conflict("another backbone became active meanwhile".into()));
        }
        tx.promote(&head, now_ms)?;
        probation_begins(tx, version, head.restored_from.is_none())?;
    } else {
        tx.put_head(&head, now_ms)?;
    }
    Ok(version.unsigned_abs())
}

/// `sha256:<hex>` of a stored head's file.
pub fn row_digest(row: &HeadRow) -> String {
    format!("sha256:{}", row.sha256)
}

/// A stored head, decoded and checked against the backbone in use, with the names that its classes have now.
pub fn load(stored: &Stored, here: &Provenance) -> Result<(ActiveHead, HeadState), String> {
    let Stored { file, classes, .. } = stored;
    let HeadFile { head, meta } = HeadFile::decode(file).map_err(|e| e.to_string())?;
    if head.classes != classes.len() {
        return Err(format!(
            "head {} has {} classes, {} are known",
            meta.version,
            head.classes,
            classes.len()
        ));
    }
    let active = ActiveHead {
        version: meta.version,
        head: Arc::new(head),
        classes: classes.iter().map(|class| class.now.clone()).collect(),
        ids: classes.iter().map(|class| class.id).collect(),
    };
    if meta.backbone.digest != here.backbone.digest
        || meta.preprocess != here.preprocess
        || meta.tensor != here.tensor
    {
        return Err(format!(
            "head {} was trained on embeddings of another backbone or preprocessing ({}); label or import samples, then train",
            meta.version, meta.backbone.name
        ));
    }
    let metric = |name: &str| {
        let value = meta.metrics.get(name)?;
        let figure = |key: &str| value.get(key).and_then(Value::as_f64);
        Some(Interval { value: figure("value")?, low: figure("low")?, high: figure("high")? })
    };
    let count = |name: &str| meta.metrics.get(name).and_then(Value::as_u64).unwrap_or(0);
    let state = HeadState {
        version: meta.version,
        digest: digest::sha256(file),
        method: meta.method.clone(),
        classes: active.names(),
        accuracy: metric("accuracy"),
        balanced_accuracy: metric("balanced_accuracy"),
        missing: meta.metrics.get("missing").and_then(Value::as_str).map(str::to_owned),
        samples: count("samples"),
        bursts: count("bursts"),
        pinned: false,
    };
    Ok((active, state))
}

/// Written with the promotion of a head: one of a round is on probation, one that served before is not.
fn probation_begins(tx: &Tx<'_>, head: i64, is_new: bool) -> Result<(), StoreError> {
    if is_new {
        kept::HEAD_PROBATION.put_in(tx, &Json(HeadProbation { head, starts: 1 }))
    } else {
        kept::HEAD_PROBATION.drop_in(tx)
    }
}
