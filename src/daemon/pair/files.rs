//! The files of backbones that came from a host: each by its digest in one folder of the state folder.

use graft_backbone::Card;
use graft_backbone::admission::ResultFiles;
use graft_control::JobId;
use graft_wire::BackboneManifest;
use graft_wire::offload::Blob;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the files of one backbone lie.
#[derive(Clone, Debug)]
pub struct Files {
    /// The network.
    pub onnx: PathBuf,
    /// Its card.
    pub card: PathBuf,
    /// What came with it.
    pub result: ResultFiles,
    /// Hex digits of the network's digest.
    sha256: String,
}

/// The folder of all of them.
pub fn folder(state: &Path) -> PathBuf {
    state.join("backbones")
}

impl Files {
    /// Of a manifest as the store keeps it.
    ///
    /// # Errors
    /// When it cannot be read, for people.
    pub fn of(state: &Path, manifest: &str) -> Result<Self, String> {
        let manifest = BackboneManifest::from_json(manifest.as_bytes()).map_err(|e| e.to_string())?;
        Ok(Self::of_manifest(state, &manifest))
    }

    /// Of a manifest.
    pub fn of_manifest(state: &Path, manifest: &BackboneManifest) -> Self {
        let place = |blob: &Blob, ending: &str| folder(state).join(format!("{}.{ending}", blob.hex()));
        let files = &manifest.files;
        Self {
            onnx: place(&files.onnx, "onnx"),
            card: place(&files.card, "toml"),
            result: ResultFiles {
                manifest: place(&files.onnx, "json"),
                head: place(&files.head, "safetensors"),
                golden: place(&files.golden, "safetensors"),
            },
            sha256: files.onnx.hex().to_owned(),
        }
    }

    /// The card. It names the network by its digest, whatever it said before: another file is refused.
    ///
    /// # Errors
    /// When it cannot be read, for people.
    pub fn card(&self) -> Result<Card, String> {
        let card = Card::read(&self.card).map_err(|e| e.to_string())?;
        Ok(Card { sha256: self.sha256.clone(), ..card })
    }

    /// The files to fetch, with the name of each for people.
    pub fn wanted<'a>(&'a self, manifest: &'a BackboneManifest) -> [(&'static str, &'a Blob, &'a Path); 4] {
        let files = &manifest.files;
        [
            ("card", &files.card, &self.card),
            ("head", &files.head, &self.result.head),
            ("golden vectors", &files.golden, &self.result.golden),
            ("backbone", &files.onnx, &self.onnx),
        ]
    }
}

/// Bytes that the folder takes.
pub fn used(state: &Path) -> u64 {
    let entries = fs::read_dir(folder(state)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
}

/// Removes every file that belongs to none of these manifests.
pub fn keep_only(state: &Path, manifests: &[String]) {
    let kept: HashSet<PathBuf> = manifests
        .iter()
        .filter_map(|manifest| Files::of(state, manifest).ok())
        .flat_map(|f| [f.onnx, f.card, f.result.manifest, f.result.head, f.result.golden])
        .collect();
    for entry in fs::read_dir(folder(state)).into_iter().flatten().flatten() {
        let path = entry.path();
        let whole = path.to_string_lossy().trim_end_matches(".part").to_owned();
        if !kept.contains(Path::new(&whole))
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, path = %path.display(), "an old backbone could not be removed");
        }
    }
}

/// Removes the files of every offloaded job but these.
pub fn keep_jobs(state: &Path, jobs: &[JobId]) {
    for entry in fs::read_dir(job_folders(state)).into_iter().flatten().flatten() {
        let job = entry.file_name().to_string_lossy().parse::<JobId>().ok();
        if !job.is_some_and(|job| jobs.contains(&job))
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, "the files of an old job could not be removed");
        }
    }
}

/// Where the files of all offered jobs lie.
pub fn job_folders(state: &Path) -> PathBuf {
    state.join("offload")
}
