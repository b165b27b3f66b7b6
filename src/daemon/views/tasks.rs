//! Views that the store's thread answers. Nothing here changes anything.

use crate::daemon::adapt::draft::row_digest;
use crate::daemon::kept;
use crate::daemon::labels::dataset::{self, KeptFrame};
use crate::daemon::store_error::store_error;
use crate::web::Answer;
use bytes::Bytes;
use graft_store::{HeadRow, Store, StoreError};
use graft_wire::{BackboneManifest, Error, timestamp};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Heads listed at most.
const HEADS: usize = 100;

/// What is looked at.
#[derive(Clone, Debug)]
pub enum Task {
    /// Samples, newest first.
    Samples {
        /// Only this class.
        class: Option<String>,
        /// Maximum rows.
        limit: usize,
        /// Left out from the start.
        offset: usize,
    },
    /// Bursts with their samples, newest first.
    Bursts {
        /// Only this class.
        class: Option<String>,
        /// At most so many.
        limit: usize,
        /// Left out from the start.
        offset: usize,
    },
    /// What was said of each sample by a head that had not seen its burst.
    HeldOut,
    /// The frames that can still be labelled, with their samples.
    Ring(Vec<KeptFrame>),
    /// The stored crop of a sample.
    SampleImage(i64),
    /// Backbones that came from a host.
    Backbones,
    /// All heads.
    Heads,
    /// One head.
    Head(u64),
}

impl Task {
    /// Reads it.
    pub fn run(self, store: &mut Store) -> Answer {
        let value = match self {
            Self::SampleImage(id) => {
                return match store.image(id) {
                    Ok(jpeg) => Answer::bytes("image/jpeg", jpeg),
                    Err(error) => refusal(&store_error(&error)),
                };
            }
            Self::Samples { class, limit, offset } => dataset::list(store, class, limit, offset),
            Self::Bursts { class, limit, offset } => bursts(store, class.as_deref(), limit, offset),
            Self::HeldOut => store.serving().and_then(|serving| dataset::held_out(store, serving.active)),
            Self::Ring(frames) => dataset::ring(store, &frames),
            Self::Backbones => backbones(store),
            Self::Heads => heads(store),
            Self::Head(version) => one_head(store, version),
        };
        match value {
            Ok(value) => answer_json(&value),
            Err(error) => refusal(&store_error(&error)),
        }
    }
}

/// 200 with JSON.
pub fn answer_json(value: &Value) -> Answer {
    Answer { status: 200, content_type: "application/json", body: Bytes::from(value.to_string()) }
}

/// An error as it is answered over HTTP.
pub fn refusal(error: &Error) -> Answer {
    Answer::error(error)
}

fn head(row: &HeadRow, active: Option<i64>, whole: bool) -> Value {
    let metrics: Value = serde_json::from_str(&row.metrics).unwrap_or_default();
    let mut value = json!({
        "version": row.version,
        "active": active == Some(row.version),
        "digest": row_digest(row),
        "bytes": row.bytes,
        "method": row.method,
        "classes": row.classes,
        "accuracy": metrics.get("accuracy"),
        "gate": row.gate,
        "promoted": row.promoted_ms.map(timestamp::rfc3339),
        "published": row.published_ms.map(timestamp::rfc3339),
        "created": timestamp::rfc3339(row.created_ms),
        "restored_from": row.restored_from,
        "has_file": row.has_file,
    });
    if whole {
        value["metrics"] = metrics;
        value["manifest"] = serde_json::from_str(&row.manifest).unwrap_or_default();
        value["backbone"] = row.backbone.clone().into();
        value["snapshot"] = row.snapshot.clone().into();
    }
    value
}

fn heads(store: &mut Store) -> Result<Value, StoreError> {
    let serving = store.serving()?;
    let rows: Vec<Value> = store.heads(HEADS)?.iter().map(|row| head(row, serving.active, false)).collect();
    Ok(
        json!({"heads": rows, "active": serving.active, "previous": serving.previous, "pinned": serving.pinned}),
    )
}

fn one_head(store: &mut Store, version: u64) -> Result<Value, StoreError> {
    let row = store.head(i64::try_from(version).unwrap_or(i64::MAX))?;
    Ok(head(&row, store.serving()?.active, true))
}

fn bursts(store: &mut Store, class: Option<&str>, limit: usize, offset: usize) -> Result<Value, StoreError> {
    let found = kept::FINDINGS.get(store)?.map(|found| found.0.suspects).unwrap_or_default();
    let mut suspects = HashSet::new();
    for suspect in found {
        match store.sample(suspect.sample) {
            // Nobody has looked at it since.
            Ok(row) if row.class == suspect.class => drop(suspects.insert(suspect.sample)),
            Ok(_) | Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    dataset::bursts(store, class, limit, offset, &suspects)
}

/// For `graft backbone list`.
fn backbones(store: &mut Store) -> Result<Value, StoreError> {
    let pairs = store.pairs()?;
    let probation = kept::PAIR_PROBATION.get(store)?.is_some();
    let slot = |id: Option<i64>| {
        if pairs.active.backbone == id {
            "active"
        } else if pairs.previous.is_some_and(|pair| pair.backbone == id) {
            "previous"
        } else {
            ""
        }
    };
    let rows = store.backbones(100)?;
    let listed = rows.iter().map(|row| {
        let manifest = BackboneManifest::from_json(row.manifest.as_bytes()).ok();
        json!({"id": row.id, "line": manifest.as_ref().map(|m| m.line.clone()), "version": row.version,
            "digest": row.digest, "recipe": manifest.as_ref().map(|m| m.recipe),
            "metrics": manifest.map(|m| m.metrics), "stage": row.stage.as_str(), "reason": row.reason,
            "slot": slot(Some(row.id)), "created": timestamp::rfc3339(row.created_ms),
            "changed": timestamp::rfc3339(row.changed_ms)})
    });
    Ok(json!({"backbones": listed.collect::<Vec<_>>(), "configured": slot(None), "probation": probation}))
}
