//! What the daemon keeps in the store's state table over restarts: every key with its type and its text on disk.

use graft_control::probation::Baseline;
use graft_control::{JobId, Wanted};
use graft_store::{Store, StoreError, Tx};
use graft_wire::messages::{AdviceState, DriftState, to_json};
use graft_wire::offload::Offer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// One key of the state table and the type of its value.
pub struct Key<T>(&'static str, PhantomData<fn() -> T>);

/// A value as text, as it stands in the table.
pub trait Text: Sized {
    /// For the store.
    fn to_text(&self) -> String;
    /// From the store; `None` where another version wrote it.
    fn of_text(text: &str) -> Option<Self>;
}

/// What people want: adapt, infer or pause.
pub const WANTED: Key<Wanted> = Key::new("wanted");
/// The newest job id; ids are not used twice.
pub const JOB: Key<JobId> = Key::new("job");
/// The revision of the samples that the last round saw.
pub const TRAINED_REV: Key<i64> = Key::new("trained_rev");
/// The last drift verdict.
pub const DRIFT: Key<Json<DriftState>> = Key::new("drift");
/// Advice and suspect labels of the latest round.
pub const FINDINGS: Key<Json<Findings>> = Key::new("findings");
/// There while the active head is on probation.
pub const HEAD_PROBATION: Key<Json<HeadProbation>> = Key::new("head_trial");
/// There while the active pair is on probation.
pub const PAIR_PROBATION: Key<Json<PairProbation>> = Key::new("probation");
/// Digest of the configured backbone when the active pair was promoted.
pub const CONFIGURED_BACKBONE: Key<String> = Key::new("configured_backbone");
/// Digest of the configured backbone that was admitted last.
pub const ADMITTED_BACKBONE: Key<String> = Key::new("admitted_backbone");
/// Name of the backbone that was loaded last, a blank, and its proof (`Backbone::proof`).
pub const BACKBONE_PROOF: Key<String> = Key::new("backbone_proof");
/// Names the embeddings of the pair before.
pub const EMBEDDED_BEFORE: Key<String> = Key::new("embedded_before");
/// The last version of each line of backbones that passed probation.
pub const BACKBONE_FLOORS: Key<Json<BTreeMap<String, u64>>> = Key::new("backbone_floors");
/// The job that is offered to a host.
pub const OFFER: Key<Json<OfferRecord>> = Key::new("offload");
/// How many samples the last offered job had.
pub const OFFERED_SAMPLES: Key<u64> = Key::new("offered_samples");

/// A value that stands in the table as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Text for Json<T> {
    fn to_text(&self) -> String {
        to_json(&self.0)
    }

    fn of_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }
}

impl Text for Wanted {
    fn to_text(&self) -> String {
        self.as_str().to_owned()
    }

    fn of_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Text for String {
    fn to_text(&self) -> String {
        self.clone()
    }

    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Text for u64 {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Text for i64 {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl<T: Text> Key<T> {
    const fn new(name: &'static str) -> Self {
        Self(name, PhantomData)
    }

    /// The key in the table.
    pub fn name(&self) -> &'static str {
        self.0
    }

    /// The value; `None` where there is none that this version can read.
    ///
    /// # Errors
    /// The store fails.
    pub fn get(&self, store: &mut Store) -> Result<Option<T>, StoreError> {
        let Some(text) = store.get_state(self.0)? else { return Ok(None) };
        let value = T::of_text(&text);
        if value.is_none() {
            tracing::warn!(key = self.0, "a kept fact cannot be read: another version wrote it");
        }
        Ok(value)
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// The store fails.
    pub fn put(&self, store: &mut Store, value: &T) -> Result<(), StoreError> {
        store.put_state(self.0, &value.to_text())
    }

    /// Keeps a value as part of a transaction.
    ///
    /// # Errors
    /// The store fails.
    pub fn put_in(&self, tx: &Tx<'_>, value: &T) -> Result<(), StoreError> {
        tx.put_state(self.0, &value.to_text())
    }

    /// Forgets it.
    ///
    /// # Errors
    /// The store fails.
    pub fn drop(&self, store: &mut Store) -> Result<(), StoreError> {
        store.drop_state(self.0)
    }

    /// Forgets it as part of a transaction.
    ///
    /// # Errors
    /// The store fails.
    pub fn drop_in(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        tx.drop_state(self.0)
    }
}

/// A fact that is kept on its own and that no command waits for.
#[derive(Clone, Debug)]
pub enum Fact {
    /// See [`JOB`].
    Job(JobId),
    /// See [`TRAINED_REV`].
    TrainedRev(i64),
    /// See [`DRIFT`].
    Drift(DriftState),
    /// See [`FINDINGS`].
    Findings(Findings),
    /// See [`OFFERED_SAMPLES`].
    OfferedSamples(u64),
}

impl Fact {
    /// Puts it on disk, on the store's thread. A failure is logged.
    pub fn keep(self, store: &mut Store) {
        let (key, stored) = match self {
            Self::Job(job) => (JOB.name(), JOB.put(store, &job)),
            Self::TrainedRev(rev) => (TRAINED_REV.name(), TRAINED_REV.put(store, &rev)),
            Self::Drift(state) => (DRIFT.name(), DRIFT.put(store, &Json(state))),
            Self::Findings(found) => (FINDINGS.name(), FINDINGS.put(store, &Json(found))),
            Self::OfferedSamples(n) => (OFFERED_SAMPLES.name(), OFFERED_SAMPLES.put(store, &n)),
        };
        if let Err(error) = stored {
            tracing::warn!(key, %error, "a fact could not be stored");
        }
    }
}

/// What a round found beside its head.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// What would help most.
    pub advice: Option<AdviceState>,
    /// Labels that are probably wrong, worst first.
    pub suspects: Vec<Suspect>,
}

/// A sample whose label is probably wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Its id.
    pub sample: i64,
    /// The class it had.
    pub class: String,
    /// The class that the other bursts say it is.
    pub said: String,
    /// Negated logarithm of how much likelier that is.
    pub margin: f32,
}

/// A head on probation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadProbation {
    /// Its version.
    pub head: i64,
    /// Starts in a row that did not end well, this one included.
    pub starts: u32,
}

/// A pair on probation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairProbation {
    /// Starts in a row that did not end well, this one included.
    pub starts: u32,
    /// Share of frames that the pair before called unknown.
    pub unknown: Option<f64>,
    /// Milliseconds a frame may take.
    pub frame_ms: Option<f64>,
}

impl PairProbation {
    /// What the pair is measured by.
    pub fn baseline(&self) -> Baseline {
        Baseline { unknown: self.unknown, frame_ms: self.frame_ms }
    }
}

/// The job that is offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OfferRecord {
    /// The job.
    pub job: JobId,
    /// The offer as it is published.
    pub offer: Offer,
    /// When it is given up, in milliseconds since 1970.
    pub expires_ms: i64,
    /// The host that has it.
    pub claim: Option<ClaimRecord>,
    /// The host has all it asked for.
    pub fed: bool,
    /// Its result is being fetched.
    pub taking: bool,
}

/// Where the host of a claim is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRecord {
    /// Its name.
    pub host: String,
    /// Its file store.
    pub url: String,
    /// Bearer token for that.
    pub token: String,
}
