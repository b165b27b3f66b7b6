//! Events that wait for the broker: on disk first, so that they survive a broker that is away.

use graft_store::{Outgoing, Store, StoreError};

/// What the store's thread is to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Keep a message, then say [`Done::Kept`].
    Push {
        /// Its topic.
        topic: String,
        /// The message.
        payload: String,
    },
    /// Read what an earlier start could not deliver.
    Pending,
    /// A kept message is at the broker.
    Delivered(i64),
    /// A head is at the broker.
    HeadPublished {
        /// Its version.
        version: i64,
        /// Wall time.
        now_ms: i64,
    },
}

/// What it answers.
#[derive(Clone, Debug)]
pub enum Done {
    /// A message may be sent; its number in the outbox, if it is there.
    Kept {
        /// Its topic.
        topic: String,
        /// The message.
        payload: String,
        /// Its number.
        seq: Option<u64>,
    },
    /// What an earlier start could not deliver.
    Pending(Vec<Outgoing>),
}

impl Task {
    /// Does it. Failures are logged: nobody waits for these.
    pub fn run(self, store: &mut Store) -> Option<Done> {
        match self {
            Self::Push { topic, payload } => {
                let kept = store.push(&topic, payload.as_bytes(), false);
                let seq = warned("an event could not be stored", kept);
                Some(Done::Kept { topic, payload, seq: seq.and_then(|seq| u64::try_from(seq).ok()) })
            }
            Self::Pending => {
                warned("the outbox could not be read", store.pending(0, 1000)).map(Done::Pending)
            }
            Self::Delivered(seq) => {
                warned("a delivered event could not be taken off the outbox", store.done(seq));
                None
            }
            Self::HeadPublished { version, now_ms } => {
                let noted = store.set_published(version, now_ms);
                warned("the publication of a head could not be noted", noted);
                None
            }
        }
    }
}

fn warned<T>(what: &str, result: Result<T, StoreError>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(%error, "{what}")).ok()
}
