//! The files of an offered job: the list of samples with their split, card and head as they were when it was offered.

use crate::config::Settings;
use crate::daemon::adapt::draft::row_version;
use crate::daemon::pair::files::job_folders;
use crate::daemon::provenance::Provenance;
use crate::daemon::store_error::store_error;
use graft_base::whole_file;
use graft_control::offering::held_out;
use graft_control::{JobId, Version};
use graft_store::{Filter, Store, burst_number};
use graft_wire::messages::Schema1;
use graft_wire::offload::{Blob, Dataset, OfferedBackbone, OfferedDataset, Sample, Split};
use graft_wire::{Code, Error, HeadFile};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

const LIST: &str = "dataset.json";
/// The card of the backbone.
pub const CARD: &str = "card.toml";
/// The active head.
pub const HEAD: &str = "head.safetensors";

/// Where the files of an offered job lie.
pub fn folder(settings: &Settings, job: JobId) -> PathBuf {
    job_folders(&settings.store.dir).join(job.to_string())
}

/// What is to be gathered.
#[derive(Clone, Debug)]
pub struct Gathering {
    /// The device id.
    pub device: String,
    /// The line of its backbone.
    pub line: String,
    /// The backbone in use.
    pub from: Arc<Provenance>,
    /// The active head.
    pub head: Option<Version>,
    /// Where the files go.
    pub folder: PathBuf,
}

/// What was gathered.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The backbone.
    pub backbone: OfferedBackbone,
    /// The samples.
    pub dataset: OfferedDataset,
}

impl Gathering {
    /// Writes the files of the job, on the store's thread: list, card, head.
    pub fn gather(&self, store: &mut Store) -> Result<Gathered, Error> {
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
            // A host squeezes pictures whole: one that shows more than is looked at would be another picture there.
            .filter(|row| self.from.sees_all_of(row.roi))
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
            device: self.device.clone(),
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
                name: self.line.clone(),
                digest: dataset.backbone.digest,
                size: dataset.backbone.size,
                tensor: self.from.tensor.clone(),
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

/// The list of a job as it was offered.
///
/// # Errors
/// When it cannot be read, for people.
pub fn read_list(settings: &Settings, job: JobId) -> Result<(Vec<u8>, Dataset), String> {
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
