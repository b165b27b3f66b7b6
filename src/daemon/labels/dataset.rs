//! The stored samples as the daemon last saw them.

use crate::daemon::adapt::draft;
use crate::daemon::frames::SeenFrame;
use graft_control::ClassTally;
use graft_store::{BurstRow, ClassCount, Filter, SampleRow, Store, StoreError};
use graft_wire::messages::DatasetState;
use graft_wire::{Code, Error, timestamp};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Newest samples among which those of kept frames are looked for: more than a ring can hold at usual rates.
const NEWEST: usize = 2000;
/// Samples named with their burst.
const BURST_IDS: usize = 400;
/// Held-out classes told at most.
const HELD_OUT: usize = 2000;

/// What is stored, by class.
#[derive(Clone, Debug, Default)]
pub struct DatasetView {
    /// Revision.
    pub rev: i64,
    /// Classes in their order.
    pub classes: Vec<ClassCount>,
    /// Bytes of the images.
    pub bytes: u64,
    /// Samples that rounds leave out, because their pictures show another part of the frame than is looked at now.
    pub aside: usize,
}

impl DatasetView {
    /// Reads it.
    ///
    /// # Errors
    /// The store fails.
    pub fn read(store: &mut Store) -> Result<Self, StoreError> {
        let counts = store.counts()?;
        Ok(Self { rev: counts.rev, classes: store.classes()?, bytes: counts.image_bytes, aside: 0 })
    }

    /// Live samples.
    pub fn samples(&self) -> usize {
        self.classes.iter().map(|c| c.samples).sum()
    }

    /// The class list.
    pub fn names(&self) -> Vec<String> {
        self.classes.iter().map(|c| c.name.clone()).collect()
    }

    /// For the state machine.
    pub fn tallies(&self) -> Vec<ClassTally> {
        tallies(&self.classes)
    }

    /// For the `state` message.
    pub fn to_state(&self) -> DatasetState {
        DatasetState {
            rev: self.rev,
            classes: self.names(),
            counts: self.classes.iter().map(|c| (c.name.clone(), c.samples as u64)).collect(),
            bursts: self.classes.iter().map(|c| (c.name.clone(), c.bursts as u64)).collect(),
            bytes: self.bytes,
            set_aside: self.aside as u64,
        }
    }
}

/// That so many samples show another part of their frames than is looked at, if there are any.
pub fn set_aside(aside: usize) -> Option<Error> {
    let text = format!(
        "{aside} samples are set aside: their pictures show another part of the frame than backbone.crop and \
         backbone.roi want now; label new ones, or set these keys back"
    );
    (aside > 0).then(|| Error::new(Code::Incompatible, text))
}

/// Samples and bursts of each class, for the state machine.
pub fn tallies(classes: &[ClassCount]) -> Vec<ClassTally> {
    let tally = |c: &ClassCount| ClassTally { name: c.name.clone(), samples: c.samples, bursts: c.bursts };
    classes.iter().map(tally).collect()
}

/// A sample as it is listed.
pub fn sample_json(row: &SampleRow) -> Value {
    json!({"id": row.id, "class": row.class, "burst": row.burst, "sha256": row.sha256, "bytes": row.bytes,
        "frame": row.frame, "taken": timestamp::rfc3339(row.taken_ms), "source": row.source, "by": row.by})
}

/// Samples, newest first.
///
/// # Errors
/// The store fails.
pub fn list(
    store: &mut Store,
    class: Option<String>,
    limit: usize,
    offset: usize,
) -> Result<Value, StoreError> {
    let filter = Filter { class, newest_first: true, ..Filter::default() };
    let rows = store.samples(&filter, limit, offset)?;
    Ok(json!({"samples": rows.iter().map(sample_json).collect::<Vec<_>>(), "rev": store.rev()?}))
}

/// A frame that can still be labelled.
#[derive(Clone, Copy, Debug)]
pub struct KeptFrame {
    /// Its number.
    pub frame: u64,
    /// When it was taken.
    pub wall_ms: i64,
    /// How long ago that was.
    pub age: Duration,
}

impl KeptFrame {
    /// Of a frame that is kept at this moment.
    pub fn of(seen: &SeenFrame, now: Instant) -> Self {
        let age = now.saturating_duration_since(seen.taken);
        Self { frame: seen.frame, wall_ms: seen.wall_ms, age }
    }
}

/// The kept frames with the samples that labels and captures have made of them.
///
/// # Errors
/// The store fails.
pub fn ring(store: &mut Store, frames: &[KeptFrame]) -> Result<Value, StoreError> {
    let filter = Filter { newest_first: true, ..Filter::default() };
    let rows = store.samples(&filter, NEWEST, 0)?;
    // Frames are counted anew at each start: only the time tells them from those of an earlier one.
    let samples: HashMap<(u64, i64), &SampleRow> =
        rows.iter().rev().map(|row| ((row.frame, row.taken_ms), row)).collect();
    let frame = |kept: &KeptFrame| {
        let sample = samples.get(&(kept.frame, kept.wall_ms));
        let age = u64::try_from(kept.age.as_millis()).unwrap_or(u64::MAX);
        json!({"frame": kept.frame, "ts": timestamp::rfc3339(kept.wall_ms), "age_ms": age,
            "sample": sample.map(|row| row.id), "class": sample.map(|row| row.class.as_str()),
            "burst": sample.map(|row| row.burst.as_str())})
    };
    Ok(json!({"frames": frames.iter().map(frame).collect::<Vec<_>>()}))
}

/// Bursts with their samples, newest first; `suspects` are samples whose label is probably wrong.
///
/// # Errors
/// The store fails.
pub fn bursts(
    store: &mut Store,
    class: Option<&str>,
    limit: usize,
    offset: usize,
    suspects: &HashSet<i64>,
) -> Result<Value, StoreError> {
    let (rows, total) = store.bursts(class, limit, offset, BURST_IDS)?;
    let burst = |row: &BurstRow| {
        let suspect = row.ids.iter().filter(|id| suspects.contains(id)).count();
        json!({"burst": row.burst, "class": row.class, "samples": row.samples, "first": row.ids.first(),
            "ids": row.ids, "taken": timestamp::rfc3339(row.taken_ms), "suspect": suspect})
    };
    Ok(json!({"bursts": rows.iter().map(burst).collect::<Vec<_>>(), "total": total, "rev": store.rev()?}))
}

/// What was said of each sample by a head that had not seen its burst: wrong ones first, then the newest.
///
/// # Errors
/// The store fails.
pub fn held_out(store: &mut Store, head: Option<i64>) -> Result<Value, StoreError> {
    let Some(version) = head else { return Ok(json!({"head": null, "rows": [], "total": 0})) };
    let said: HashMap<i64, String> = draft::held_out(store, version)?.into_iter().collect();
    let mut rows: Vec<(bool, i64, String, &String)> = Vec::new();
    for (id, class) in store.labels()? {
        if let Some(said) = said.get(&id) {
            rows.push((*said == class, id, class, said));
        }
    }
    rows.sort_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
    let total = rows.len();
    let row =
        |(_, id, class, said): (bool, i64, String, &String)| json!({"id": id, "class": class, "said": said});
    Ok(
        json!({"head": version, "rows": rows.into_iter().take(HELD_OUT).map(row).collect::<Vec<_>>(), "total": total}),
    )
}
