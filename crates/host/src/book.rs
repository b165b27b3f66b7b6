//! The jobs that this host has promised something for, each with its state on disk: `jobs/<device>.<job>/state.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use graft_base::whole_file;
use graft_wire::BackboneManifest;
use graft_wire::command::Outcome;
use graft_wire::offload::{Dataset, Offer};

/// A job of a device, wherever it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The device.
    pub device: String,
    /// Its offer, as it was claimed.
    pub offer: Offer,
    /// The bearer token of the claim.
    pub token: String,
    /// Where it stands.
    pub phase: Phase,
    /// How often the engine was started.
    #[serde(default)]
    pub attempts: u32,
}

/// Where a job stands. Each phase begins when what it builds on is on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Phase {
    /// The board sends its files.
    Receiving,
    /// Every file is here: the engine is at work, or about to be.
    Training,
    /// The engine is done: its result is looked at.
    Verifying,
    /// The result waits for the board.
    Returned {
        /// It, signed.
        manifest: Box<BackboneManifest>,
    },
    /// The job is given back.
    Released {
        /// How it ended.
        outcome: Outcome,
        /// Why.
        reason: String,
    },
}

impl Phase {
    /// In a word, for people and for progress.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Training => "training",
            Self::Verifying => "verifying",
            Self::Returned { .. } => "returned",
            Self::Released { .. } => "released",
        }
    }

    /// Whether it still needs the training engine of this host.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Receiving | Self::Training | Self::Verifying)
    }
}

/// `<device>.<job>`: neither holds a dot.
pub fn name_of(device: &str, job: &str) -> String {
    format!("{device}.{job}")
}

impl Job {
    /// Its name in the book, and of its folder.
    pub fn name(&self) -> String {
        name_of(&self.device, &self.offer.job)
    }
}

/// All jobs.
#[derive(Debug)]
pub struct Book {
    dir: PathBuf,
    jobs: BTreeMap<String, Job>,
}

impl Book {
    /// Reads the jobs of a state folder.
    ///
    /// # Errors
    /// When the folder cannot be read. A job whose state cannot be read is left out, and said.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = dir.join("jobs");
        fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let mut jobs = BTreeMap::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("{} cannot be read", dir.display()))? {
            let path = entry?.path().join("state.json");
            let read = fs::read(&path).map_err(anyhow::Error::from);
            match read.and_then(|bytes| Ok(serde_json::from_slice::<Job>(&bytes)?)) {
                Ok(job) => {
                    jobs.insert(job.name(), job);
                }
                // A folder without a state was never promised anything.
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a job cannot be read and is left alone")
                }
            }
        }
        Ok(Self { dir, jobs })
    }

    /// Every job, by name.
    pub fn jobs(&self) -> impl Iterator<Item = (&String, &Job)> {
        self.jobs.iter()
    }

    /// One job.
    pub fn get(&self, name: &str) -> Option<&Job> {
        self.jobs.get(name)
    }

    /// The job that this token opens.
    pub fn by_token(&self, token: &str) -> Option<&Job> {
        self.jobs.values().find(|job| job.token == token)
    }

    /// The folder of a job.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The list of files of a job, once it came.
    pub fn dataset(&self, name: &str) -> Option<Dataset> {
        let bytes = fs::read(self.folder(name).join("dataset.json")).ok()?;
        Dataset::from_json(&bytes).ok()
    }

    /// Writes a job, then knows it.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub fn put(&mut self, job: Job) -> Result<()> {
        let name = job.name();
        let folder = self.folder(&name);
        let write = || {
            fs::create_dir_all(&folder)?;
            whole_file::write(&folder.join("state.json"), &serde_json::to_vec_pretty(&job)?, 0o600)
        };
        write().with_context(|| format!("the state of job {name} cannot be written"))?;
        self.jobs.insert(name, job);
        Ok(())
    }

    /// Puts a job into another phase.
    ///
    /// # Errors
    /// As [`Book::put`].
    pub fn advance(&mut self, name: &str, phase: Phase) -> Result<()> {
        match self.jobs.get(name) {
            Some(job) => self.put(Job { phase, ..job.clone() }),
            None => Ok(()),
        }
    }

    /// Forgets a job and all its files. The state goes first, so that half a folder is never taken up again.
    pub fn remove(&mut self, name: &str) {
        if self.jobs.remove(name).is_some() {
            let folder = self.folder(name);
            let gone = fs::remove_file(folder.join("state.json")).and_then(|()| fs::remove_dir_all(&folder));
            if let Err(error) = gone {
                tracing::warn!(folder = %folder.display(), %error, "the files of an ended job could not be removed");
            }
        }
    }
}
