//! The records of this host's jobs on disk: `jobs/<device>.<job>/state.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::job::Job;
use graft_base::whole_file;
use graft_wire::offload::Dataset;

/// All jobs of a state folder.
#[derive(Debug)]
pub(crate) struct Records {
    dir: PathBuf,
    jobs: BTreeMap<String, Job>,
}

impl Records {
    /// Reads the jobs of a state folder.
    ///
    /// # Errors
    /// When the folder cannot be read. A job whose record cannot be read is left out, and logged.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
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
                // A folder without a record was never promised anything.
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a job cannot be read and is left alone")
                }
            }
        }
        Ok(Self { dir, jobs })
    }

    /// Every job, by name.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = (&String, &Job)> {
        self.jobs.iter()
    }

    /// The job that this token opens.
    pub(crate) fn by_token(&self, token: &str) -> Option<&Job> {
        self.jobs.values().find(|job| job.token == token)
    }

    /// The folder of a job.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The list of files of a job; `None` before the board sent it.
    pub(crate) fn dataset(&self, name: &str) -> Option<Dataset> {
        let bytes = fs::read(self.folder(name).join("dataset.json")).ok()?;
        Dataset::from_json(&bytes).ok()
    }

    /// Writes a job to disk, then keeps it.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub(crate) fn put(&mut self, job: Job) -> Result<()> {
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

    /// Removes a job and all its files. The record goes first, so that half a folder is never taken up again.
    pub(crate) fn remove(&mut self, name: &str) {
        if self.jobs.remove(name).is_some() {
            let folder = self.folder(name);
            let gone = fs::remove_file(folder.join("state.json")).and_then(|()| fs::remove_dir_all(&folder));
            if let Err(error) = gone {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "the files of an ended job could not be removed");
            }
        }
    }
}
