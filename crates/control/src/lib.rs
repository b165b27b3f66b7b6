//! The adaptation state machine. PURE: an [`Event`] and the time go in, [`Action`]s come out; the
//! daemon carries them out. No I/O, no clock, no thread.
//!
//! Promises, held by property tests: whoever asks gets exactly one [`Action::Reply`]; at most
//! one round runs at a time; a head is stored, then installed, then published, in that order; no
//! round starts by itself unless adaptation is wanted and nothing holds it back.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::disallowed_macros,
        reason = "tests read files, and tell"
    )
)]

pub mod backoff;
mod budget;
mod gate;
mod machine;
pub mod offering;
pub mod offload;
pub mod probation;
mod readiness;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wall;

pub use budget::{Band, BudgetPolicy, Share, Writes};
pub use gate::{GatePolicy, Verdict, is_judged, judge, missing};
pub use machine::Control;
pub use readiness::{Readiness, WaitsFor};

use graft_learn::{Advice, Choice, Comparison, Report};
use std::time::Duration;

/// What people want the daemon to do. Survives restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Adaptation on: new samples lead to new rounds.
    Adapt,
    /// Adaptation off: predict only. Labels are still stored.
    Infer,
    /// Adaptation held for now; predictions go on.
    Pause,
}

impl Wanted {
    /// The word used in commands, state messages and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adapt => "adapt",
            Self::Infer => "infer",
            Self::Pause => "pause",
        }
    }

    /// The reverse of [`Wanted::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Adapt, Self::Infer, Self::Pause].into_iter().find(|w| w.as_str() == word)
    }
}

/// Why adaptation is held back although it may be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// The camera gives no frames.
    CameraLost,
    /// Too little free space to store a head.
    DiskLow,
    /// The board is too hot.
    Thermal,
    /// Too much was written to the flash lately.
    Writes,
    /// A person said `pause`.
    User,
}

impl Hold {
    /// The word in `state.reasons`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CameraLost => "camera_lost",
            Self::DiskLow => "disk_low",
            Self::Thermal => "thermal",
            Self::Writes => "write_budget",
            Self::User => "user",
        }
    }
}

/// Where the machine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Predicts only.
    Idle,
    /// Adaptation is on and waits for enough new samples.
    Collecting,
    /// A round runs (or its head is being stored).
    Training {
        /// The round's job.
        job: JobId,
    },
    /// Adaptation is wanted but held back.
    Suspended {
        /// Why, sorted, at least one.
        holds: Vec<Hold>,
    },
}

/// Names one job; counted up over restarts by the daemon.
pub type JobId = u64;
/// Names one waiting command; the daemon made it.
pub type Token = u64;
/// Who asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A command that waits for its answer.
    Command(Token),
    /// The daemon itself.
    Daemon,
}

/// Gives each job its number.
#[derive(Clone, Debug)]
pub struct JobIds(JobId);

impl JobIds {
    /// Numbers from `next` on, which was never used.
    pub fn new(next: JobId) -> Self {
        Self(next)
    }

    /// A number that no other job has.
    pub fn take(&mut self) -> JobId {
        self.0 += 1;
        self.0 - 1
    }
}

/// A head's version; see the store.
pub type Version = u64;

/// When a round may start by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoundPolicy {
    /// New or changed samples since the last round that make a new one worthwhile. The first head is worth any.
    pub new_samples: usize,
    /// How long nobody may have labelled before a round starts.
    pub idle: Duration,
    /// Classes with fewer samples do not count.
    pub min_samples: usize,
    /// Classes with fewer bursts do not count.
    pub min_bursts: usize,
    /// Which head to train.
    pub choice: Choice,
}

/// The policies that people set.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// When a round may start.
    pub round: RoundPolicy,
    /// When its head may become active.
    pub gate: GatePolicy,
}

/// How many samples and bursts one class has.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClassTally {
    /// The class.
    pub name: String,
    /// Labelled samples.
    pub samples: usize,
    /// Bursts they came in.
    pub bursts: usize,
}

/// What a finished round brings to the gate.
#[derive(Clone, Debug)]
pub struct RoundOutcome {
    /// The class list of the candidate.
    pub classes: Vec<String>,
    /// Cross-fitted report of the candidate.
    pub report: Report,
    /// Paired comparison with the active head; `None` where there is none yet.
    pub comparison: Option<Comparison>,
    /// What would help most: [`Next::FineTune`](graft_learn::Next::FineTune) is what an offload waits for.
    pub advice: Advice,
}

/// What the daemon tells the machine.
#[derive(Clone, Debug)]
pub enum Event {
    /// `mode`.
    Mode(Token, Wanted),
    /// `train start`, with the head to train.
    Train(Token, Option<Choice>),
    /// `train cancel` or `job cancel`; `None` means the running one.
    Cancel(Asker, Option<JobId>),
    /// `head apply` or `head rollback`, or the return of a pair: make this stored head active again.
    Restore(Asker, Version),
    /// `head pin`.
    Pin(Token, bool),
    /// `head publish`.
    Publish(Token),
    /// Another backbone is ready to be judged: a round on its embeddings, under this job, once nothing else runs.
    Judge(JobId),
    /// Samples were added, removed or relabelled: how many, and what there is now.
    Samples {
        /// How many samples this change touched.
        changed: usize,
        /// One entry a class.
        classes: Vec<ClassTally>,
    },
    /// A capture runs (true), or has ended: its samples are to be complete before a round sees them.
    Labelling(bool),
    /// The trainer is done with a job.
    RoundFinished(JobId, Box<RoundOutcome>),
    /// The trainer gave up.
    RoundFailed(JobId, RoundFailure),
    /// The head of [`Action::Store`] or [`Action::RestoreHead`] is on disk.
    Stored(Origin, Version),
    /// It is not, and why.
    StoreFailed(Origin, String),
    /// The inference thread uses this head now; the origin is that of [`Event::Stored`].
    Installed(Origin, Version),
    /// It cannot: the head before it keeps serving.
    InstallFailed(Origin, String),
    /// Something that holds adaptation back appeared.
    Held(Hold),
    /// It went away.
    Released(Hold),
    /// Time passed.
    Tick,
}

/// Why a round brought no head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundFailure {
    /// Somebody cancelled it.
    Canceled,
    /// Too few samples, classes or bursts; the text says what is missing.
    NotEnough(String),
    /// Anything else.
    Failed(String),
}

/// Where a head that is being stored comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From a round.
    Round(JobId),
    /// From an earlier version.
    Restore(Asker, Version),
}

/// What the daemon is to do. Order matters.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Put the wanted state on disk. The reply comes after it.
    Persist(Wanted),
    /// Put the pin on disk.
    PersistPin(bool),
    /// Take a snapshot and train on it.
    StartRound(JobId, Choice),
    /// Tell the trainer to stop.
    CancelRound(JobId),
    /// Store the candidate of this job: promoted, or rejected with the reason.
    Store {
        /// The round.
        job: JobId,
        /// The gate's word.
        verdict: Verdict,
    },
    /// Store a new version that restores this one.
    RestoreHead(Asker, Version),
    /// Hand this stored head to the inference thread, then say [`Event::Installed`].
    Install(Origin, Version),
    /// Publish this installed head.
    Publish(Version),
    /// Answer whoever asked. Exactly once each time that something was asked.
    Reply(Asker, Answer),
    /// A job changed.
    Job(JobId, JobStep),
}

/// What a command is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done.
    Done,
    /// Under way as this job.
    Accepted(JobId),
    /// A head was made active as this version.
    Active(Version),
    /// Another job runs.
    Busy(JobId),
    /// The board is too hot.
    TooHot,
    /// There is nothing of that kind.
    NotFound(String),
    /// It failed.
    Failed(String),
}

/// A job's life.
#[derive(Clone, Debug, PartialEq)]
pub enum JobStep {
    /// It began.
    Started,
    /// The head became active.
    Promoted(Version, String),
    /// The gate kept the head back.
    Rejected(Version, String),
    /// No head came of it.
    Failed(RoundFailure),
}
