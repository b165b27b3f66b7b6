//! What the store's thread does for rounds and heads, and what the trainer's thread answers.

use super::draft::{self, Draft, Stored};
use super::trainer::{Finished, Opponent};
use crate::daemon::frames::ActiveHead;
use crate::daemon::kept::{self, HeadProbation, Json};
use crate::daemon::provenance::Provenance;
use graft_control::{Answer, JobId, Origin, Token, Version, Wanted};
use graft_learn::{Choice, LearnError};
use graft_store::{HeadRow, Labelled, Store, StoreError};
use std::collections::HashSet;
use std::sync::Arc;

/// What the store's thread is to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Keep what people want.
    Persist(Wanted),
    /// Keep which head is pinned.
    Pin(Option<i64>),
    /// Say when everything asked before is on disk.
    Settle(Token, Answer),
    /// Read what a round works on.
    Snapshot(Box<SnapshotOrder>),
    /// Store a head.
    Store {
        /// What it came from.
        origin: Origin,
        /// The backbone that it belongs to.
        from: Arc<Provenance>,
        /// The head.
        draft: Box<Draft>,
        /// Wall time.
        now_ms: i64,
    },
    /// Read a head that is to be stored once more.
    ReadToRestore(Origin, Version),
    /// Read a head that is to be installed.
    ReadToInstall(Origin, Version),
    /// Read a head that is to be published, and all others.
    ReadToPublish(Version),
    /// Find the head that a command means; `None`: the one before the active one.
    Find {
        /// The command.
        token: Token,
        /// The version.
        version: Option<Version>,
        /// The digest that the sender meant.
        digest: Option<String>,
    },
    /// The head on probation has served long enough.
    EndProbation,
    /// The starts of the head on probation were good ones.
    ForgiveStarts,
}

/// What a round works on.
#[derive(Clone, Debug)]
pub struct SnapshotOrder {
    /// The round's job.
    pub job: JobId,
    /// Which head to train.
    pub choice: Choice,
    /// Names the embeddings that it sees.
    pub embeddings: Arc<str>,
    /// Names the embeddings of the backbone in use.
    pub present: Arc<str>,
    /// The head to compare with.
    pub active: Option<ActiveHead>,
    /// Bursts (by number) that the candidate's backbone was trained on.
    pub taught: Arc<HashSet<u64>>,
}

/// What a round works on, as read.
#[derive(Clone, Debug)]
pub struct RoundData {
    /// The samples.
    pub labelled: Labelled,
    /// The head to compare with.
    pub opponent: Option<Opponent>,
}

/// A head that is to be published.
#[derive(Clone, Debug)]
pub struct HeadToPublish {
    /// It.
    pub row: HeadRow,
    /// Its file.
    pub file: Vec<u8>,
    /// All heads.
    pub all: Vec<HeadRow>,
}

/// What background work for rounds and heads answers.
#[derive(Clone, Debug)]
pub enum Done {
    /// A fact of [`Task::Persist`] or [`Task::Pin`] is on disk, or is not.
    Persisted(Option<StoreError>),
    /// See [`Task::Settle`].
    Settled(Token, Answer),
    /// See [`Task::Snapshot`].
    Snapshot(JobId, Choice, Box<Result<RoundData, StoreError>>),
    /// A round has ended; `None`: it hit a fault in the program.
    Round(JobId, Box<Result<Finished, Option<LearnError>>>),
    /// See [`Task::Store`].
    Stored(Origin, Result<Version, StoreError>),
    /// See [`Task::ReadToRestore`].
    ToRestore(Origin, Version, Result<Stored, StoreError>),
    /// See [`Task::ReadToInstall`].
    ToInstall(Origin, Version, Result<Stored, StoreError>),
    /// See [`Task::ReadToPublish`].
    ToPublish(Version, Result<Box<HeadToPublish>, StoreError>),
    /// See [`Task::Find`].
    Found {
        /// The command.
        token: Token,
        /// The digest that the sender meant.
        digest: Option<String>,
        /// The head, if there is one.
        found: Result<Option<Box<HeadRow>>, StoreError>,
    },
}

impl Task {
    /// Does it.
    pub fn run(self, store: &mut Store) -> Option<Done> {
        Some(match self {
            Self::Persist(wanted) => Done::Persisted(kept::WANTED.put(store, &wanted).err()),
            Self::Pin(version) => Done::Persisted(store.pin(version).err()),
            Self::Settle(token, answer) => Done::Settled(token, answer),
            Self::Snapshot(order) => {
                let (job, choice) = (order.job, order.choice);
                Done::Snapshot(job, choice, Box::new(snapshot(store, *order)))
            }
            Self::Store { origin, from, draft, now_ms } => {
                let stored = store.transaction(|tx| draft::store(tx, &from, *draft, now_ms));
                Done::Stored(origin, stored)
            }
            Self::ReadToRestore(origin, version) => {
                Done::ToRestore(origin, version, Stored::read(store, draft::row_version(version)))
            }
            Self::ReadToInstall(origin, version) => {
                Done::ToInstall(origin, version, Stored::read(store, draft::row_version(version)))
            }
            Self::ReadToPublish(version) => {
                Done::ToPublish(version, to_publish(store, version).map(Box::new))
            }
            Self::Find { token, version, digest } => {
                Done::Found { token, digest, found: find(store, version).map(|row| row.map(Box::new)) }
            }
            Self::EndProbation => {
                warn("the end of a head's probation", kept::HEAD_PROBATION.drop(store));
                return None;
            }
            Self::ForgiveStarts => {
                warn("the good starts of a head", forgive(store));
                return None;
            }
        })
    }
}

fn warn(what: &str, stored: Result<(), StoreError>) {
    if let Err(error) = stored {
        tracing::warn!(%error, "{what} could not be stored");
    }
}

fn forgive(store: &mut Store) -> Result<(), StoreError> {
    match kept::HEAD_PROBATION.get(store)? {
        Some(Json(on)) => kept::HEAD_PROBATION.put(store, &Json(HeadProbation { starts: 0, ..on })),
        None => Ok(()),
    }
}

fn snapshot(store: &mut Store, order: SnapshotOrder) -> Result<RoundData, StoreError> {
    let labelled = store.snapshot(&order.embeddings)?;
    let opponent = match order.active {
        Some(head) => {
            let held_out = Stored::read(store, draft::row_version(head.version))?.held_out_now().collect();
            let other = order.embeddings != order.present;
            let embedded = if other { Some(store.snapshot(&order.present)?) } else { None };
            Some(Opponent { head, held_out, embedded, taught: order.taught })
        }
        None => None,
    };
    Ok(RoundData { labelled, opponent })
}

fn to_publish(store: &mut Store, version: Version) -> Result<HeadToPublish, StoreError> {
    let version = draft::row_version(version);
    Ok(HeadToPublish { row: store.head(version)?, file: store.head_file(version)?, all: store.heads(64)? })
}

fn find(store: &mut Store, version: Option<Version>) -> Result<Option<HeadRow>, StoreError> {
    match version.map(draft::row_version).or(store.serving()?.previous) {
        Some(version) => store.head(version).map(Some),
        None => Ok(None),
    }
}
