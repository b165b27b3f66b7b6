//! What every component may know of the whole while it handles one event: values, no references.

use super::clock::Now;
use super::pair::incoming::Incoming;
use super::pair::tasks::Floors;
use super::provenance::Provenance;
use crate::config::Settings;
use graft_control::{Hold, JobId, Readiness, Token, Version};
use std::fmt;
use std::sync::Arc;

/// The daemon at the moment of one event.
#[derive(Clone, Debug)]
pub struct Context {
    /// The time.
    pub now: Now,
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// The backbone in use.
    pub backbone: Arc<Provenance>,
    /// The backbone that takes its place once its head is stored.
    pub incoming: Option<Arc<Incoming>>,
    /// The name of the configured backbone: what a host made of it is of the same line.
    pub line: Arc<str>,
    /// The last version of each line of backbones that passed probation.
    pub floors: Arc<Floors>,
    /// The active head.
    pub active: Option<Version>,
    /// The job of the running round.
    pub round: Option<JobId>,
    /// What holds adaptation back.
    pub holds: Vec<Hold>,
    /// What decides, beside the samples, whether a round starts by itself.
    pub readiness: Readiness,
    /// The job of the backbone that is arriving.
    pub arrival: Option<JobId>,
    /// The job that is offered to hosts.
    pub offered: Option<JobId>,
}

/// Who asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Somebody at the broker.
    Mqtt,
    /// A user of the device, by number.
    Cli(u32),
    /// Somebody at the page, or at a listener that cannot tell.
    Http,
    /// The button on the board.
    Button,
    /// The daemon itself.
    Adaptation,
    /// The daemon itself, which goes on with a job of an earlier start.
    Restart,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mqtt => f.write_str("mqtt"),
            Self::Cli(user) => write!(f, "cli:{user}"),
            Self::Http => f.write_str("http"),
            Self::Button => f.write_str("button"),
            Self::Adaptation => f.write_str("adaptation"),
            Self::Restart => f.write_str("restart"),
        }
    }
}

/// A command that is being carried out, as the component that does so sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Names it for the answer.
    pub token: Token,
    /// Its idempotency key.
    pub id: Option<String>,
    /// Who asked.
    pub by: By,
    /// Only to be carried out at this revision.
    pub if_rev: Option<i64>,
}
