//! What the store's thread does for commands: which replies are known, and which are to be remembered.

use graft_control::Token;
use graft_store::{Store, StoreError};
use graft_wire::command::Envelope;

/// What the store's thread is to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// Whether a command of this id was answered before.
    Known {
        /// The command.
        token: Token,
        /// Its idempotency key.
        id: String,
        /// The command, to be carried out if not.
        envelope: Box<Envelope>,
    },
    /// A reply that is to be sent once it is remembered.
    Remember {
        /// The command.
        token: Token,
        /// Its idempotency key.
        id: String,
        /// The reply.
        reply: String,
    },
}

/// What it answers.
#[derive(Clone, Debug)]
pub enum Done {
    /// The reply that was given before, if there was one.
    Known(Token, Box<Envelope>, Result<Option<String>, StoreError>),
    /// The reply may be sent.
    Remembered(Token, String),
}

impl Task {
    /// Does it.
    pub fn run(self, store: &mut Store) -> Done {
        match self {
            Self::Known { token, id, envelope } => Done::Known(token, envelope, store.reply_for(&id)),
            Self::Remember { token, id, reply } => {
                if let Err(error) = store.transaction(|tx| tx.replace_reply(&id, &reply)) {
                    tracing::warn!(%error, "a reply could not be remembered");
                }
                Done::Remembered(token, reply)
            }
        }
    }
}
