//! What every component may know of the whole while it handles one event: values, no references.

use super::clock::Now;
use super::pair::incoming::Incoming;
use super::pair::tasks::Floors;
use super::provenance::Provenance;
use crate::config::Settings;
use graft_control::{Hold, JobId, Token, Version};
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
    /// The job of the backbone that is arriving.
    pub arrival: Option<JobId>,
    /// The job that is offered to hosts.
    pub offered: Option<JobId>,
}

/// A command that is being carried out, as the component that does so sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Names it for the answer.
    pub token: Token,
    /// Its idempotency key.
    pub id: Option<String>,
    /// Who asked: `mqtt`, `http` or `button`.
    pub by: &'static str,
    /// Only to be carried out at this revision.
    pub if_rev: Option<i64>,
}
