//! What the loop and the HTTP side share: the book of jobs, the store, files under way.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::sync::mpsc;

use super::blobs::Blobs;
use super::book::{Book, Job};
use super::fleet::Fleet;
use super::uploads::{self, Uploads};
use graft_wire::offload::Blob;

/// The shared things. Locks are held for a look or a change, never over a wait.
pub struct Desk {
    book: Mutex<Book>,
    fleet: Mutex<Fleet>,
    /// The store.
    pub blobs: Blobs,
    /// Files under way.
    pub uploads: Uploads,
    /// Bytes that the store and files under way may take.
    pub quota_bytes: u64,
    /// Bytes of the largest job.
    pub max_job_bytes: u64,
    /// Tells the loop of a job whose files may all be here.
    pub ready: mpsc::Sender<String>,
}

impl Desk {
    /// Puts it together.
    pub fn new(
        book: Book,
        fleet: Fleet,
        blobs: Blobs,
        limits: (u64, u64),
        ready: mpsc::Sender<String>,
    ) -> Self {
        let (quota_bytes, max_job_bytes) = limits;
        let (book, fleet) = (Mutex::new(book), Mutex::new(fleet));
        Self { book, fleet, blobs, uploads: Uploads::default(), quota_bytes, max_job_bytes, ready }
    }

    /// The book.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backbones of groups.
    pub fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of a job that are not in the store yet; `None` before its list came.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn missing(&self, job: &Job) -> Result<Option<Vec<Blob>>> {
        let name = job.name();
        let Some(dataset) = self.book().dataset(&name) else { return Ok(None) };
        let there = self.blobs.list().await?;
        let lacks = |blob: &Blob| there.get(blob.hex()).is_none_or(|(size, _)| *size != blob.size);
        Ok(Some(dataset.blobs().into_iter().filter(lacks).collect()))
    }

    /// Takes a file that has all its bytes from a job's folder into the store; false if it is another file.
    ///
    /// # Errors
    /// When it cannot be read, or the store does not take it.
    pub async fn admit(&self, name: &str, blob: &Blob) -> Result<bool> {
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
    pub fn incoming(&self, name: &str, blob: &Blob) -> PathBuf {
        uploads::path(&self.book().folder(name), blob)
    }

    /// Names of every blob that a job or a backbone of this host needs.
    pub fn needed(&self) -> HashSet<String> {
        let mut needed: HashSet<String> = HashSet::new();
        {
            let book = self.book();
            for (name, _) in book.jobs() {
                needed.extend(book.dataset(name).iter().flat_map(|d| d.blobs()).map(|b| b.hex().to_owned()));
            }
        }
        needed.extend(self.fleet().blobs());
        needed
    }
}
