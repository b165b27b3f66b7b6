//! The files of an offered job, read when the host lacks them.

use super::dataset::{CARD, HEAD, folder, read_list};
use crate::config::Settings;
use crate::daemon::provenance::Provenance;
use crate::daemon::store_thread::{Question, StoreClient};
use graft_control::JobId;
use graft_wire::offload::{Blob, Dataset};
use std::path::PathBuf;
use std::sync::Arc;

/// Gives the files of a job by their digest.
pub struct Source {
    list: Vec<u8>,
    dataset: Dataset,
    folder: PathBuf,
    store: StoreClient,
    from: Arc<Provenance>,
}

impl Source {
    /// Of a job that was offered.
    ///
    /// # Errors
    /// When its list cannot be read, for people.
    pub fn open(
        settings: &Settings,
        job: JobId,
        store: StoreClient,
        from: &Arc<Provenance>,
    ) -> Result<Self, String> {
        let (list, dataset) = read_list(settings, job)?;
        Ok(Self { list, dataset, folder: folder(settings, job), store, from: Arc::clone(from) })
    }

    /// The list as it was offered, and every file of it.
    pub fn list(&self) -> (Vec<u8>, Vec<Blob>) {
        (self.list.clone(), self.dataset.blobs())
    }

    /// The bytes of one file.
    ///
    /// # Errors
    /// When it is not here any more, for people.
    pub fn read(&mut self, blob: &Blob) -> Result<Vec<u8>, String> {
        let file =
            |name| std::fs::read(self.folder.join(name)).map_err(|e| format!("{name} of the job: {e}"));
        let bytes = if *blob == self.dataset.backbone {
            self.from.onnx()?
        } else if *blob == self.dataset.card {
            file(CARD)?
        } else if self.dataset.head.as_ref() == Some(blob) {
            file(HEAD)?
        } else {
            let digest = blob.hex().to_owned();
            let image = self.store.ask(|to| Question::ImageOf(digest, to));
            image
                .ok_or("the daemon is stopping")?
                .map_err(|e| format!("a sample of the job is gone ({e}): start it again"))?
        };
        if Blob::of(&bytes) == *blob {
            Ok(bytes)
        } else {
            Err(format!("{} is another file now than was offered: start the job again", blob.digest))
        }
    }
}
