//! One job of this host: what `jobs/<device>.<job>/state.json` holds.

use serde::{Deserialize, Serialize};

use graft_wire::BackboneManifest;
use graft_wire::command::Outcome;
use graft_wire::offload::Offer;

/// A job that this host has taken, in any phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Job {
    /// Id of the board.
    pub(crate) device: String,
    /// Its offer, as it was when this host took it.
    pub(crate) offer: Offer,
    /// Bearer token of the claim: 64 hexadecimal digits, one for the whole life of the job.
    pub(crate) token: String,
    pub(crate) phase: Phase,
    /// How often the engine has failed.
    #[serde(default)]
    pub(crate) attempts: u32,
}

/// Where a job stands. A phase is on disk before anything that it promises is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The board uploads its files.
    Receiving,
    /// Every file is in the store: the engine runs, or is about to.
    Training,
    /// The engine is done: its result is verified.
    Verifying,
    /// The signed result waits for the board.
    Returned { manifest: Box<BackboneManifest> },
    /// The job is given back.
    Released { outcome: Outcome, reason: String },
}

impl Phase {
    /// The word in status and progress messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Training => "training",
            Self::Verifying => "verifying",
            Self::Returned { .. } => "returned",
            Self::Released { .. } => "released",
        }
    }

    /// Whether the job still occupies a training device.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self, Self::Receiving | Self::Training | Self::Verifying)
    }
}

/// `<device>.<job>`, the key of a job on this host and the name of its folder. Neither part holds a dot.
pub(crate) fn job_name(device: &str, job: &str) -> String {
    format!("{device}.{job}")
}

impl Job {
    /// See [`job_name`].
    pub(crate) fn name(&self) -> String {
        job_name(&self.device, &self.offer.job)
    }
}
