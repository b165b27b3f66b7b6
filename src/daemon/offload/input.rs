//! What offload is told.

use super::tasks::Done;
use crate::daemon::context::Asked;
use graft_control::{JobId, Token};
use graft_wire::{Error, command};

/// What offload is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The loop turns for the first time.
    Begin,
    /// `cmd/offload`.
    Command(Asked, command::Offload),
    /// A round's head is in use or rejected.
    RoundJudged {
        /// The round advises to fine-tune.
        advised: bool,
        /// Stored samples.
        samples: u64,
    },
    /// The result is here or of no use (true), or could not be fetched.
    Result(bool),
    /// Whether the result was taken on.
    Received {
        /// The command of the host.
        token: Token,
        /// The job.
        job: JobId,
        /// Why not.
        result: Result<(), Error>,
    },
    /// The broker is there again.
    Connected,
    /// Time passed.
    Tick,
    /// The daemon stops.
    Stop,
    /// Background work is done.
    Done(Done),
}
