//! Jobs, backbones and groups of a host, read from its state folder: it need not run for that.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::fleet::Fleet;
use crate::group::Progress;
use crate::job::Phase;
use crate::key;
use crate::records::Records;

/// What `graft host status` shows.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Whether it runs.
    pub running: bool,
    /// Ed25519, base64; boards pin it.
    pub public_key: String,
    /// Short name of that key.
    pub key_id: String,
    pub jobs: Vec<JobStatus>,
    pub backbones: Vec<BackboneStatus>,
    /// By name.
    pub groups: BTreeMap<String, GroupStatus>,
}

/// A job that this host has taken.
#[derive(Debug, Serialize)]
pub struct JobStatus {
    pub device: String,
    /// Its id on the device.
    pub job: String,
    /// `receiving`, `training`, `verifying`, `returned` or `released`.
    pub phase: &'static str,
    pub recipe: String,
    pub samples: u64,
    /// Why it was given back.
    pub reason: Option<String>,
}

/// A backbone that this host has made.
#[derive(Debug, Serialize)]
pub struct BackboneStatus {
    pub line: String,
    pub version: u64,
    /// The device or the group it is for.
    pub for_whom: String,
    pub recipe: String,
    pub metrics: BTreeMap<String, f64>,
    /// When it was made.
    pub created: String,
}

/// The backbone that a group is assigned, and how far its boards are.
#[derive(Debug, Serialize)]
pub struct GroupStatus {
    pub line: String,
    #[serde(flatten)]
    pub progress: Progress,
}

/// Reads a state folder.
///
/// # Errors
/// When it cannot be read.
pub fn status(dir: &Path) -> Result<Status> {
    let public = key(dir)?.public();
    let running = File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock_shared().is_err());
    let (records, fleet) = (Records::open(dir)?, Fleet::open(dir)?);
    let jobs = records.jobs().map(|(_, job)| JobStatus {
        device: job.device.clone(),
        job: job.offer.job.clone(),
        phase: job.phase.word(),
        recipe: job.offer.recipe.to_string(),
        samples: job.offer.dataset.samples,
        reason: match &job.phase {
            Phase::Released { reason, .. } => Some(reason.clone()),
            _ => None,
        },
    });
    let backbones = fleet.backbones().map(|m| BackboneStatus {
        line: m.line.clone(),
        version: m.version,
        for_whom: m
            .device
            .clone()
            .or_else(|| m.group.as_ref().map(|g| format!("group {g}")))
            .unwrap_or_default(),
        recipe: m.recipe.to_string(),
        metrics: m.metrics.clone(),
        created: m.created.clone(),
    });
    let groups = fleet.groups().map(|(group, assignment, progress)| {
        (group.clone(), GroupStatus { line: assignment.line.clone(), progress: progress.clone() })
    });
    Ok(Status {
        running,
        public_key: public.base64(),
        key_id: public.id(),
        jobs: jobs.collect(),
        backbones: backbones.collect(),
        groups: groups.collect(),
    })
}
