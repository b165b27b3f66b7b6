//! The files of an offered job: the list of samples with their split, card and head as they were when it was offered, and
//! the reading of each file when the host lacks it.

use crate::config::Settings;
use crate::daemon::heads::row_version;
use crate::daemon::provenance::Provenance;
use crate::daemon::samples::store_error;
use crate::daemon::worker::Asker;
use graft_base::whole_file;
use graft_control::offering::held_out;
use graft_control::{JobId, Version};
use graft_store::{Filter, Store, burst_number};
use graft_wire::messages::Schema1;
use graft_wire::offload::{Blob, Dataset, OfferedBackbone, OfferedDataset, Sample, Split};
use graft_wire::{Code, Error, HeadFile};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const LIST: &str = "dataset.json";
const CARD: &str = "card.toml";
const HEAD: &str = "head.safetensors";

/// Where the files of all offered jobs lie.
pub fn root(state: &Path) -> PathBuf {
    state.join("offload")
}

/// Where those of one lie.
pub fn folder(settings: &Settings, job: JobId) -> PathBuf {
    root(&settings.store.dir).join(job.to_string())
}

/// What is to be gathered.
pub struct Gathering {
    /// The device id.
    pub device: String,
    /// The line of its backbone.
    pub line: String,
    /// The backbone in use.
    pub from: Provenance,
    /// The active head.
    pub head: Option<Version>,
    /// Where the files go.
    pub folder: PathBuf,
}

/// What was gathered.
pub struct Gathered {
    /// The backbone.
    pub backbone: OfferedBackbone,
    /// The samples.
    pub dataset: OfferedDataset,
}

impl Gathering {
    /// Writes the files of the job, on the store's thread: list, card, head.
    pub fn gather(self, store: &mut Store) -> Result<Gathered, Error> {
        let failed = |e: graft_store::StoreError| store_error(&e);
        let classes: Vec<String> =
            store.classes().map_err(failed)?.into_iter().filter(|c| c.samples > 0).map(|c| c.name).collect();
        if classes.len() < 2 {
            let message = "a host needs samples of at least two classes: label more";
            return Err(Error::new(Code::NotEnoughData, message));
        }
        let rows = store.samples(&Filter::default(), usize::MAX >> 1, 0).map_err(failed)?;
        let placed: Vec<(&str, &str)> = rows.iter().map(|r| (r.burst.as_str(), r.class.as_str())).collect();
        let held = held_out(&placed, burst_number);
        let mut seen = HashSet::new();
        let samples: Vec<Sample> = rows
            .iter()
            // One picture under two classes would teach nothing.
            .filter(|row| seen.insert(row.sha256.clone()))
            .map(|row| Sample {
                digest: format!("sha256:{}", row.sha256),
                size: row.bytes,
                class: row.class.clone(),
                burst: row.burst.clone(),
                split: if held.contains(&row.burst) { Split::Val } else { Split::Train },
            })
            .collect();
        if !samples.iter().any(|sample| sample.split == Split::Val) {
            let message = "no burst can be held out: every class has but one; label a second burst of each";
            return Err(Error::new(Code::NotEnoughData, message));
        }
        let onnx = self.from.onnx().map_err(Error::internal)?;
        let card = self.from.card.to_toml().into_bytes();
        // A head of other classes is no start for these.
        let head = match self.head.map(|version| store.head_file(row_version(version))) {
            Some(Ok(file)) => {
                HeadFile::decode(&file).is_ok_and(|h| h.meta.classes == classes).then_some(file)
            }
            _ => None,
        };
        let dataset = Dataset {
            schema: Schema1,
            device: self.device,
            rev: store.rev().map_err(failed)?,
            classes,
            backbone: Blob::of(&onnx),
            card: Blob::of(&card),
            head: head.as_deref().map(Blob::of),
            samples,
        };
        let list = dataset.to_json().into_bytes();
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&self.folder)?;
            whole_file::write(&self.folder.join(LIST), &list, 0o600)?;
            whole_file::write(&self.folder.join(CARD), &card, 0o600)?;
            head.map_or(Ok(()), |head| whole_file::write(&self.folder.join(HEAD), &head, 0o600))
        };
        write().map_err(|e| {
            Error::new(Code::DiskFull, format!("{} cannot be written: {e}", self.folder.display()))
        })?;
        let bytes = dataset.blobs().iter().map(|blob| blob.size).sum();
        Ok(Gathered {
            backbone: OfferedBackbone {
                name: self.line,
                digest: dataset.backbone.digest,
                size: dataset.backbone.size,
                tensor: self.from.tensor,
            },
            dataset: OfferedDataset {
                rev: dataset.rev,
                digest: Blob::of(&list).digest,
                samples: dataset.samples.len() as u64,
                classes: dataset.classes.len() as u64,
                bytes,
            },
        })
    }
}

fn read_list(settings: &Settings, job: JobId) -> Result<(Vec<u8>, Dataset), String> {
    let path = folder(settings, job).join(LIST);
    let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}; start the job again", path.display());
    let bytes = std::fs::read(&path).map_err(|e| wrong(&e))?;
    let dataset = Dataset::from_json(&bytes).map_err(|e| wrong(&e))?;
    Ok((bytes, dataset))
}

/// The bursts (by number) that a job gave to be trained on.
///
/// # Errors
/// When the list of the job cannot be read, for people.
pub fn taught(settings: &Settings, job: JobId) -> Result<HashSet<u64>, String> {
    let (_, dataset) = read_list(settings, job)?;
    let trained = dataset.samples.iter().filter(|sample| sample.split == Split::Train);
    Ok(trained.map(|sample| burst_number(&sample.burst)).collect())
}

/// Gives the files of a job by their digest.
pub struct Source {
    list: Vec<u8>,
    dataset: Dataset,
    folder: PathBuf,
    store: Asker<Store>,
    from: Provenance,
}

impl Source {
    /// Of a job that was offered.
    ///
    /// # Errors
    /// When its list cannot be read, for people.
    pub fn open(
        settings: &Settings,
        job: JobId,
        store: Asker<Store>,
        from: &Provenance,
    ) -> Result<Self, String> {
        let (list, dataset) = read_list(settings, job)?;
        Ok(Self { list, dataset, folder: folder(settings, job), store, from: from.clone() })
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
            let image = self.store.ask(move |store| store.image_of(&digest));
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
