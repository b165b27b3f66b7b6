//! What the host keeps, shared by the loop and the HTTP server: records of jobs, the fleet, blobs, uploads.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use crate::blobs::Blobs;
use crate::decide::HostEvent;
use crate::fleet::Fleet;
use crate::job::Job;
use crate::records::Records;
use crate::uploads::{self, Uploads};
use graft_wire::offload::{Blob, Dataset};

/// What may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes that the store and uploads may take.
    pub(crate) quota_bytes: u64,
    /// Bytes of the largest job.
    pub(crate) max_job_bytes: u64,
}

/// What the host keeps. Locks are held for a look or a change, never over a wait.
pub(crate) struct Storage {
    records: Mutex<Records>,
    fleet: Mutex<Fleet>,
    pub(crate) blobs: Blobs,
    pub(crate) uploads: Uploads,
    pub(crate) limits: Limits,
    events: mpsc::Sender<HostEvent>,
}

impl Storage {
    /// `events` is told of jobs whose files may all be here.
    pub(crate) fn new(
        records: Records,
        fleet: Fleet,
        blobs: Blobs,
        limits: Limits,
        events: mpsc::Sender<HostEvent>,
    ) -> Self {
        let (records, fleet) = (Mutex::new(records), Mutex::new(fleet));
        Self { records, fleet, blobs, uploads: Uploads::default(), limits, events }
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the loop that a board may have uploaded the last file of a job.
    pub(crate) async fn upload_complete(&self, job: &Job) {
        // The channel is closed once the host stops; the files are counted at its next start.
        let _ = self.events.send(HostEvent::UploadComplete { job: job.name() }).await;
    }

    /// The list of files of a job that the board has sent.
    ///
    /// # Errors
    /// When it is not there any more.
    pub(crate) fn dataset(&self, name: &str) -> Result<Dataset> {
        self.records().dataset(name).context("the list of files is gone")
    }

    /// The files of a job that are not in the store yet; `None` before its list came.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn missing(&self, job: &Job) -> Result<Option<Vec<Blob>>> {
        let name = job.name();
        let Some(dataset) = self.records().dataset(&name) else { return Ok(None) };
        let there = self.blobs.list().await?;
        let lacks = |blob: &Blob| there.get(blob.hex()).is_none_or(|(size, _)| *size != blob.size);
        Ok(Some(dataset.blobs().into_iter().filter(lacks).collect()))
    }

    /// Takes a file that has all its bytes from a job's folder into the store; false if it is another file.
    ///
    /// # Errors
    /// When it cannot be read, or the store does not take it.
    pub(crate) async fn admit(&self, name: &str, blob: &Blob) -> Result<bool> {
        let path = self.incoming(name, blob);
        let (file, wanted) = (path.clone(), blob.clone());
        let whole = tokio::task::spawn_blocking(move || uploads::is_whole(&file, &wanted)).await??;
        if whole {
            self.blobs.keep(blob.hex(), &path).await?;
            std::fs::remove_file(&path)?;
        }
        Ok(whole)
    }

    /// Where a file of a job lies while it is under way.
    pub(crate) fn incoming(&self, name: &str, blob: &Blob) -> PathBuf {
        uploads::path(&self.records().folder(name), blob)
    }

    /// Names of every blob that a job or a backbone of this host needs.
    pub(crate) fn needed(&self) -> HashSet<String> {
        let mut needed: HashSet<String> = HashSet::new();
        {
            let records = self.records();
            for (name, _) in records.jobs() {
                needed
                    .extend(records.dataset(name).iter().flat_map(|d| d.blobs()).map(|b| b.hex().to_owned()));
            }
        }
        needed.extend(self.fleet().blobs());
        needed
    }
}
