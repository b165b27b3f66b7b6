//! What a host has promised and what it has made, read from its state folder: it need not run for that.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::book::{Book, Phase};
use super::fleet::{Fleet, Progress};
use super::key;

/// How a host stands.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Whether it runs.
    pub running: bool,
    /// For boards to pin.
    pub public_key: String,
    /// Short name of that key.
    pub key_id: String,
    /// Jobs.
    pub jobs: Vec<JobStatus>,
    /// What it has made.
    pub backbones: Vec<Made>,
    /// What groups are to have.
    pub groups: BTreeMap<String, Wanted>,
}

/// One job.
#[derive(Debug, Serialize)]
pub struct JobStatus {
    /// The device.
    pub device: String,
    /// The job there.
    pub job: String,
    /// Where it stands.
    pub phase: &'static str,
    /// What is trained.
    pub recipe: String,
    /// Samples.
    pub samples: u64,
    /// Why it was given back.
    pub reason: Option<String>,
}

/// A backbone that this host has made.
#[derive(Debug, Serialize)]
pub struct Made {
    /// Its line.
    pub line: String,
    /// Its version there.
    pub version: u64,
    /// The device or the group it is for.
    pub for_whom: String,
    /// The recipe.
    pub recipe: String,
    /// Figures.
    pub metrics: BTreeMap<String, f64>,
    /// When it was made.
    pub created: String,
}

/// What a group is to have, and how far that is.
#[derive(Debug, Serialize)]
pub struct Wanted {
    /// The line.
    pub line: String,
    /// By board.
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
    let (book, fleet) = (Book::open(dir)?, Fleet::open(dir)?);
    let jobs = book.jobs().map(|(_, job)| JobStatus {
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
    let backbones = fleet.backbones().map(|m| Made {
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
    let groups = fleet.groups().map(|(group, wish, progress)| {
        (group.clone(), Wanted { line: wish.line.clone(), progress: progress.clone() })
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
