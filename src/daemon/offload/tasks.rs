//! What the store's thread does for the job that is offered, and what its transfer answers.

use super::dataset::{Gathered, Gathering};
use crate::daemon::kept::{self, Json, OfferRecord};
use crate::offload::PushError;
use graft_control::{Asker, JobId};
use graft_store::{BackboneRow, Stage, Store, StoreError};
use graft_wire::messages::{Schema1, to_json};
use graft_wire::offload::{Offer, OfferState, Recipe};
use graft_wire::{Error, timestamp};

/// A job that is about to be offered.
#[derive(Clone, Debug)]
pub struct NewOffer {
    /// Who asked for it.
    pub asker: Asker,
    /// The job.
    pub job: JobId,
    /// What is to be trained.
    pub recipe: Recipe,
    /// When it is given up, in milliseconds since 1970.
    pub expires_ms: i64,
}

impl NewOffer {
    /// The offer of what was gathered, as nobody has claimed it yet.
    pub fn record(self, gathered: Gathered) -> OfferRecord {
        let Self { job, recipe, expires_ms, .. } = self;
        let offer = Offer {
            schema: Schema1,
            job: job.to_string(),
            recipe,
            backbone: gathered.backbone,
            dataset: gathered.dataset,
            state: OfferState::Offered,
            host: None,
            expires: timestamp::rfc3339(expires_ms),
        };
        OfferRecord { job, offer, expires_ms, claim: None, fed: false, taking: false }
    }
}

/// What the store's thread is to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Write the files of a job.
    Gather(NewOffer, Gathering),
    /// How many samples the last offered job had, if one is to be offered now that there are so many.
    LastOffered(u64),
    /// Keep the offer, then publish it.
    Keep {
        /// The offer.
        record: Box<OfferRecord>,
        /// Its topic.
        topic: String,
    },
    /// Forget the offer, then take it back at the broker.
    End {
        /// Its topic.
        topic: String,
    },
    /// Read what the last start left behind.
    Resume,
}

/// What the last start left behind.
#[derive(Clone, Debug, Default)]
pub struct LeftBehind {
    /// The job that was offered.
    pub offer: Option<OfferRecord>,
    /// The backbone that was arriving.
    pub arriving: Option<BackboneRow>,
}

/// What background work for the offered job answers.
#[derive(Clone, Debug)]
pub enum Done {
    /// See [`Task::Gather`].
    Gathered(NewOffer, Result<Box<Gathered>, Error>),
    /// See [`Task::LastOffered`]: samples now and then.
    LastOffered(u64, Result<Option<u64>, StoreError>),
    /// The offer is on disk.
    Kept {
        /// Its topic.
        topic: String,
        /// The offer, as it is published.
        payload: String,
        /// Why it is not.
        result: Result<(), StoreError>,
    },
    /// The offer is forgotten.
    Ended {
        /// Its topic.
        topic: String,
    },
    /// See [`Task::Resume`].
    Resumed(Result<Box<LeftBehind>, StoreError>),
    /// The transfer of this number has ended.
    Fed(u64, Result<(), PushError>),
}

impl Task {
    /// Does it.
    pub fn run(self, store: &mut Store) -> Done {
        match self {
            Self::Gather(offer, gathering) => Done::Gathered(offer, gathering.gather(store).map(Box::new)),
            Self::LastOffered(samples) => Done::LastOffered(samples, kept::OFFERED_SAMPLES.get(store)),
            Self::Keep { record, topic } => {
                let payload = to_json(&record.offer);
                Done::Kept { topic, payload, result: kept::OFFER.put(store, &Json(*record)) }
            }
            Self::End { topic } => {
                if let Err(error) = kept::OFFER.drop(store) {
                    tracing::warn!(%error, "the end of an offer could not be stored");
                }
                Done::Ended { topic }
            }
            Self::Resume => Done::Resumed(left_behind(store).map(Box::new)),
        }
    }
}

fn left_behind(store: &mut Store) -> Result<LeftBehind, StoreError> {
    let offer = kept::OFFER.get(store)?.map(|record| record.0);
    let arriving = store.backbones(1000)?.into_iter().find(|row| row.stage == Stage::Pending);
    Ok(LeftBehind { offer, arriving })
}
