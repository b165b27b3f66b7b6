//! What the machine is told, and what it wants done.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::group::{Assignment, Member, Progress};
use crate::job::Job;
use graft_wire::BackboneManifest;
use graft_wire::command::{Offload, Outcome};
use graft_wire::offload::Offer;

/// The time of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Now {
    /// Since the host's start; never goes back.
    pub(crate) uptime: Duration,
    /// Milliseconds since 1970, for the times that boards name.
    pub(crate) wall_ms: i64,
}

impl Now {
    /// Whether something is due that was last done at `last`; if so, it counts as done now.
    pub(super) fn due(self, last: &mut Option<Duration>, every: Duration) -> bool {
        let due = last.is_none_or(|last| self.uptime.saturating_sub(last) >= every);
        if due {
            *last = Some(self.uptime);
        }
        due
    }
}

/// One piece of work for a job. The executor answers each with one event that names it; an answer to a task that the
/// machine no longer waits for is stale and passed over.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    /// `<device>.<job>`.
    pub(crate) job: String,
    /// Counted up; never used twice in a run of the host.
    pub(crate) number: u64,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.job, self.number)
    }
}

/// One line of the engine's progress. Unknown fields are passed over.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct EngineFigures {
    /// Steps done.
    pub(crate) step: u64,
    /// Steps in all; 0: not known yet.
    pub(crate) steps: u64,
    /// Passes over the samples.
    pub(crate) epoch: Option<u64>,
    /// What it is doing, in a word.
    pub(crate) stage: String,
    /// Training loss.
    pub(crate) loss: Option<f64>,
    /// Share of held-out samples that are right, 0 to 1.
    pub(crate) val_accuracy: Option<f64>,
    /// Seconds to go.
    pub(crate) eta_s: Option<f64>,
}

/// How the engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineEnd {
    /// The result is in the job folder.
    Done,
    /// Nothing that was trained is better than the head alone.
    NoImprovement,
    /// The job cannot be done; the engine's last words.
    BadJob(String),
    /// Any other end (out of memory, a signal, no start): worth another try.
    Failed(String),
}

/// A group of boards as `graft host assign` and this host's own notes leave it on disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) assignment: Assignment,
    pub(crate) manifest: BackboneManifest,
    pub(crate) progress: Progress,
}

/// What a board answers to `cmd/backbone` `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApplyReply {
    /// It judges the backbone in this job.
    Accepted { job: Option<String> },
    /// It cannot now; it is sent again.
    Later { reason: String },
    /// It does not want it.
    Refused { reason: Option<String> },
}

/// What the machine is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HostEvent {
    /// The MQTT session is up; the retained offers follow.
    Connected,
    /// The MQTT session is down.
    Disconnected,
    /// A board's offer, new or changed. `claimed` with this host's id is the yes to its claim.
    OfferSeen {
        device: String,
        offer: Box<Offer>,
    },
    /// A board cleared its offer: the job is over or cancelled.
    OfferCleared {
        device: String,
        job: String,
    },
    /// What a board says it is; `None` where it does not say.
    BoardInfo {
        device: String,
        group: Option<String>,
        backbone: Option<String>,
    },
    BoardAvailability {
        device: String,
        online: bool,
    },
    /// A board answers [`HostAction::Apply`].
    ApplyReplied {
        device: String,
        group: String,
        version: u64,
        reply: ApplyReply,
    },
    /// The job in which a board judged a backbone ended without promotion.
    NotPromoted {
        device: String,
        job: String,
        reason: String,
    },
    /// Answer to [`HostAction::ReadGroups`]: every group there is.
    GroupsRead(Vec<Group>),
    /// A board may have uploaded the last file of a job.
    UploadComplete {
        job: String,
    },
    /// Answer to [`HostAction::Take`].
    Taken {
        task: Task,
        result: Result<Box<Job>, String>,
    },
    /// Answer to [`HostAction::Record`].
    Recorded {
        task: Task,
        result: Result<(), String>,
    },
    /// Answer to [`HostAction::CheckFiles`]: files still missing; `None` before the list of files came.
    FilesChecked {
        task: Task,
        missing: Result<Option<usize>, String>,
    },
    /// Answer to [`HostAction::PrepareFolder`].
    FolderPrepared {
        task: Task,
        result: Result<(), String>,
    },
    /// [`HostAction::StartEngine`] began.
    EngineStarted {
        task: Task,
    },
    EngineProgress {
        task: Task,
        figures: EngineFigures,
    },
    /// Answer to [`HostAction::StartEngine`].
    EngineEnded {
        task: Task,
        end: EngineEnd,
    },
    /// Answer to [`HostAction::Verify`]: the manifest, unsigned; or how the job is given back, and why.
    Verified {
        task: Task,
        result: Result<Box<BackboneManifest>, (Outcome, String)>,
    },
    /// Answer to [`HostAction::Sign`]: the manifest with version and signature.
    Signed {
        task: Task,
        result: Result<Box<BackboneManifest>, String>,
    },
    /// Time passed.
    Tick,
}

/// Why a job is over for this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    OfferCleared,
    OfferUnseen,
    OfferExpired,
    OfferChanged,
    OtherHost,
    OfferedAgain,
}

impl fmt::Display for JobEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OfferCleared => "the board cleared its offer",
            Self::OfferUnseen => "its offer is gone",
            Self::OfferExpired => "its offer has expired",
            Self::OfferChanged => "the board offers other samples under its name",
            Self::OtherHost => "another host has it",
            Self::OfferedAgain => "it is offered again",
        })
    }
}

/// Why an offer is not taken although the board wants an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsuitable {
    TooLarge { bytes: u64, most: u64 },
    BackboneName(String),
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, most } => {
                write!(f, "it has {bytes} bytes, taken are {most} (offers.max_gb)")
            }
            Self::BackboneName(name) => {
                write!(f, "its backbone is called {name:?} on its card: use a-z, 0-9, '.', '_', '-'")
            }
        }
    }
}

/// What the executor does for the machine. Order matters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HostAction {
    /// Write a record of this offer as a job with a fresh token.
    Take { task: Task, device: String, offer: Box<Offer> },
    /// Write a changed job.
    Record { task: Task, job: Box<Job> },
    /// Remove a job and all its files.
    Remove { job: String, why: JobEnd },
    /// Sign and send a claim.
    Claim { job: Box<Job>, until_ms: i64 },
    /// Send a message about a job to its board.
    Send { device: String, message: Offload },
    /// Log that an offer is not taken.
    LogUnsuitable { job: String, why: Unsuitable },
    /// Count the files of a job that are not in the store.
    CheckFiles { task: Task, job: Box<Job> },
    /// Write the job folder for the engine.
    PrepareFolder { task: Task, job: Box<Job> },
    /// Start the engine in the job folder on this device.
    StartEngine { task: Task, device: String },
    /// Kill the engine of this task.
    StopEngine { task: Task },
    /// Verify the engine's result and put its files into the store.
    Verify { task: Task, job: Box<Job> },
    /// Give a manifest the next version of its line, sign it and keep it.
    Sign { task: Task, manifest: Box<BackboneManifest> },
    /// Read all groups from disk.
    ReadGroups,
    /// Write how far a board of a group is with this version.
    RecordMember { group: String, version: u64, device: String, member: Member },
    /// Send a board the backbone of its group, for the `sent`th time.
    Apply { device: String, group: String, token: String, manifest: Box<BackboneManifest>, sent: u32 },
    /// Delete files that no job and no group needs.
    Sweep,
}
