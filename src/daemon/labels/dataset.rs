//! The stored samples as the daemon last saw them.

use graft_control::ClassTally;
use graft_store::{ClassCount, Filter, SampleRow, Store, StoreError};
use graft_wire::messages::DatasetState;
use graft_wire::{Code, Error, timestamp};
use serde_json::{Value, json};

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
