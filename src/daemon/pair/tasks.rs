//! What the store's thread does for backbones, and what other threads answer about one that arrives.

use super::configured;
use super::files;
use crate::config::Settings;
use crate::daemon::frames::LoadedNetwork;
use crate::daemon::kept::{self, Json, PairProbation};
use crate::daemon::provenance::Provenance;
use graft_backbone::admission::{Admission, Refusal};
use graft_control::{Asker, JobId, Token, Version};
use graft_store::{BackboneRow, Stage, Store, StoreError};
use graft_wire::messages::to_json;
use graft_wire::{BackboneManifest, Error, Key};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a backbone comes from: kept with it until it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The job that it is judged under.
    pub job: JobId,
    /// The host that has its files.
    pub url: String,
    /// Bearer token to fetch them with.
    pub token: String,
    /// It is the result of a job of this board.
    pub own: bool,
}

/// A backbone that a host sent, its manifest checked.
#[derive(Clone, Debug)]
pub struct Received {
    /// The command that brought it.
    pub token: Token,
    /// What it is.
    pub manifest: BackboneManifest,
    /// Where its files are.
    pub source: Source,
}

/// The last version of each line of backbones that passed probation, by key and line.
pub type Floors = BTreeMap<String, u64>;

/// What the store's thread is to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Add a backbone that a host sent, unless it is known.
    Add(Box<Received>, i64),
    /// Load the pair before.
    LoadPrevious {
        /// Who asked to go back to it.
        asker: Asker,
        /// Why.
        reason: String,
        /// The settings.
        settings: Arc<Settings>,
        /// The device's key.
        key: Arc<Key>,
    },
    /// The starts of the pair on probation were good ones.
    ForgiveStarts,
    /// The pair passed probation: its version is the floor from now on.
    Confirm {
        /// Its backbone.
        row: i64,
        /// The floors so far.
        floors: Floors,
        /// Wall time.
        now_ms: i64,
    },
    /// A backbone came to its end before it was promoted.
    SetStage {
        /// It.
        row: i64,
        /// How it ended.
        stage: Stage,
        /// Why.
        reason: String,
        /// Wall time.
        now_ms: i64,
    },
    /// A backbone is to be forgotten: it may be sent again.
    Drop(i64),
    /// Remove files and embeddings that nothing needs.
    Tidy {
        /// The state folder.
        state: PathBuf,
        /// Names the embeddings of the backbone in use.
        here: String,
        /// A backbone is arriving: all embeddings stay.
        arriving: bool,
        /// Jobs whose files stay.
        jobs: Vec<JobId>,
    },
}

/// The pair before, loaded.
#[derive(Clone, Debug)]
pub struct Previous {
    /// Its network.
    pub network: LoadedNetwork,
    /// What it is.
    pub provenance: Arc<Provenance>,
    /// Its head.
    pub head: Version,
}

/// A backbone that may be judged.
#[derive(Clone, Debug)]
pub struct Ready {
    /// What the child process found.
    pub admission: Admission,
    /// What it is here.
    pub provenance: Arc<Provenance>,
    /// The network.
    pub network: LoadedNetwork,
    /// Digest of the configured backbone.
    pub configured: String,
    /// Bursts (by number) that it was trained on.
    pub taught: Arc<HashSet<u64>>,
}

/// How the arrival of a backbone ended before it was judged.
#[derive(Clone, Debug)]
pub enum Stop {
    /// Its own fault: it is not taken on again.
    Refused(Refusal),
    /// Its files could not be had.
    Unreachable(String),
    /// Ours, or cancelled: it may be tried again.
    Broke(Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What background work for backbones answers.
#[derive(Clone, Debug)]
pub enum Done {
    /// See [`Task::Add`]: the row, and whether it is new.
    Added(Box<Received>, Result<(Box<BackboneRow>, bool), StoreError>),
    /// See [`Task::LoadPrevious`]; `None`: there is none.
    PreviousLoaded {
        /// Who asked to go back to it.
        asker: Asker,
        /// Why.
        reason: String,
        /// The pair, or why it cannot be loaded.
        previous: Result<Option<Result<Previous, String>>, StoreError>,
    },
    /// See [`Task::Confirm`].
    Confirmed(Result<Floors, StoreError>),
    /// All files of this backbone are here.
    Fetched(i64),
    /// This backbone was admitted and has embedded every sample.
    Arrived(i64, Box<Ready>),
    /// The arrival of this backbone has ended.
    Stopped(i64, Stop),
}

impl Task {
    /// Does it.
    pub fn run(self, store: &mut Store) -> Option<Done> {
        match self {
            Self::Add(received, now_ms) => {
                let added = add(store, &received, now_ms).map(|(row, new)| (Box::new(row), new));
                return Some(Done::Added(received, added));
            }
            Self::LoadPrevious { asker, reason, settings, key } => {
                let previous = load_previous(store, &settings, &key);
                return Some(Done::PreviousLoaded { asker, reason, previous });
            }
            Self::Confirm { row, floors, now_ms } => {
                return Some(Done::Confirmed(confirm(store, row, floors, now_ms)));
            }
            Self::ForgiveStarts => warn("the good starts of a pair", forgive(store)),
            Self::SetStage { row, stage, reason, now_ms } => {
                let set = store.transaction(|tx| tx.set_stage(row, stage, &reason, now_ms));
                warn("a backbone's end", set);
            }
            Self::Drop(row) => {
                warn("a backbone's end", store.transaction(|tx| tx.drop_backbone(row)));
            }
            Self::Tidy { state, here, arriving, jobs } => {
                files::keep_jobs(&state, &jobs);
                warn("the end of old backbones", tidy(store, &state, &here, arriving));
            }
        }
        None
    }
}

fn warn(what: &str, stored: Result<(), StoreError>) {
    if let Err(error) = stored {
        tracing::warn!(%error, "{what} could not be stored");
    }
}

fn add(store: &mut Store, received: &Received, now_ms: i64) -> Result<(BackboneRow, bool), StoreError> {
    let text = received.manifest.to_json();
    if let Some(row) = store.backbones(1000)?.into_iter().find(|row| row.manifest == text) {
        return Ok((row, false));
    }
    let version = i64::try_from(received.manifest.version).unwrap_or(i64::MAX);
    let (digest, origin) = (&received.manifest.files.onnx.digest, to_json(&received.source));
    let id = store.transaction(|tx| tx.add_backbone(version, digest, &text, &origin, now_ms))?;
    store.backbone(id).map(|row| (row, true))
}

fn load_previous(
    store: &mut Store,
    settings: &Settings,
    key: &Arc<Key>,
) -> Result<Option<Result<Previous, String>>, StoreError> {
    let Some(pair) = store.pairs()?.previous else { return Ok(None) };
    let Some(head) = pair.head else { return Ok(None) };
    let loaded = configured::load(pair, store, settings, key).map(|(backbone, provenance)| {
        let network = LoadedNetwork::new(backbone, Arc::clone(&provenance.embeddings));
        Previous { network, provenance: Arc::new(provenance), head: head.unsigned_abs() }
    });
    Ok(Some(loaded))
}

fn forgive(store: &mut Store) -> Result<(), StoreError> {
    match kept::PAIR_PROBATION.get(store)? {
        Some(Json(on)) => kept::PAIR_PROBATION.put(store, &Json(PairProbation { starts: 0, ..on })),
        None => Ok(()),
    }
}

fn confirm(store: &mut Store, row: i64, mut floors: Floors, now_ms: i64) -> Result<Floors, StoreError> {
    let manifest = BackboneManifest::from_json(store.backbone(row)?.manifest.as_bytes())
        .map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let floor = floors.entry(floor_key(&manifest)).or_default();
    *floor = manifest.version.max(*floor);
    let kept_floors = Json(floors);
    store.transaction(|tx| {
        tx.set_stage(row, Stage::Confirmed, "passed its probation", now_ms)?;
        kept::BACKBONE_FLOORS.put_in(tx, &kept_floors)?;
        kept::PAIR_PROBATION.drop_in(tx)
    })?;
    Ok(kept_floors.0)
}

fn tidy(store: &mut Store, state: &std::path::Path, here: &str, arriving: bool) -> Result<(), StoreError> {
    let pairs = store.pairs()?;
    let serving: HashSet<i64> =
        [Some(pairs.active), pairs.previous].into_iter().flatten().filter_map(|pair| pair.backbone).collect();
    let needed = |row: &BackboneRow| serving.contains(&row.id) || row.stage == Stage::Pending;
    let rows = store.backbones(1000)?;
    let manifests: Vec<String> = rows.into_iter().filter(needed).map(|row| row.manifest).collect();
    files::keep_only(state, &manifests);
    // Those of the pair before would be wanted at a roll back.
    let before = kept::EMBEDDED_BEFORE.get(store)?.filter(|_| pairs.previous.is_some());
    let stays = |digest: &String| arriving || *digest == here || Some(digest) == before.as_ref();
    for digest in store.embedded_by()?.into_iter().filter(|digest| !stays(digest)) {
        store.forget_backbone(&digest)?;
    }
    Ok(())
}

/// Names the versions that follow one another: those of one key and one line.
pub fn floor_key(manifest: &BackboneManifest) -> String {
    format!("{}/{}", manifest.key_id, manifest.line)
}
