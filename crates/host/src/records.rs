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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Phase;
    use serde_json::json;
    use tempfile::TempDir;

    fn job(id: &str) -> Job {
        let digest = graft_wire::digest::sha256(b"x");
        let offer = json!({"job": id, "recipe": "auto", "state": "offered", "expires": "2099-01-01T00:00:00Z",
            "backbone": {"name": "tiny", "digest": digest, "size": 1, "tensor": "features"},
            "dataset": {"rev": 1, "digest": digest, "samples": 1, "classes": 2, "bytes": 1}});
        let offer = serde_json::from_value(offer).unwrap();
        Job {
            device: "cam-1".into(),
            offer,
            token: format!("token of {id}"),
            phase: Phase::Receiving,
            attempts: 0,
        }
    }

    #[test]
    fn jobs_survive_a_restart_and_half_a_folder_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let mut records = Records::open(dir.path()).unwrap();
        for id in ["16", "17"] {
            records.put(job(id)).unwrap();
        }
        records.put(Job { phase: Phase::Training, attempts: 1, ..job("16") }).unwrap();
        fs::create_dir(records.folder("cam-1.18")).unwrap();
        fs::write(records.folder("cam-1.17").join("state.json"), "{").unwrap();
        let records = Records::open(dir.path()).unwrap();
        let jobs: Vec<_> =
            records.jobs().map(|(name, job)| (name.as_str(), job.phase.word(), job.attempts)).collect();
        assert_eq!(jobs, [("cam-1.16", "training", 1)]);
        assert_eq!(records.by_token("token of 16").map(Job::name).as_deref(), Some("cam-1.16"));
        assert!(records.by_token("token of 17").is_none());
        assert!(records.dataset("cam-1.16").is_none());
    }

    #[test]
    fn a_record_that_cannot_be_written_changes_nothing() {
        let dir = TempDir::new().unwrap();
        let mut records = Records::open(dir.path()).unwrap();
        // A file stands where the job's folder should be.
        fs::write(records.folder("cam-1.16"), "").unwrap();
        let error = records.put(job("16")).unwrap_err();
        assert!(format!("{error:#}").contains("the state of job cam-1.16 cannot be written"));
        assert_eq!(records.jobs().count(), 0);
    }

    #[test]
    fn a_removed_job_leaves_nothing() {
        let dir = TempDir::new().unwrap();
        let mut records = Records::open(dir.path()).unwrap();
        records.put(job("16")).unwrap();
        records.remove("cam-1.16");
        records.remove("cam-1.17");
        assert_eq!(fs::read_dir(dir.path().join("jobs")).unwrap().count(), 0);
    }
}
