//! Reading a folder of pictures: our own export, or any ImageFolder. Nothing of the store is touched here, so that the
//! slow part of an import (decoding, embedding) can run elsewhere.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use graft_base::pictures::{Links, Skipped, image_folder};
use graft_wire::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::classes::check_name;
use super::samples::ALONE;
use super::{NewSample, StoreError};

pub(super) const LABELS: &str = "labels.txt";
pub(super) const INDEX: &str = "samples.jsonl";
const MOST_FILE_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 1_000_000;
const MOST_INDEX_BYTES: u64 = 1 << 30;

/// One line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub id: i64,
    pub file: String,
    pub class: String,
    pub burst: String,
    pub sha256: String,
    pub taken_ms: i64,
    pub source: String,
    pub by: String,
    #[serde(default)]
    pub frame: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roi: Option<[f64; 4]>,
}

/// A picture of a folder, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A crop that graft exported: store the bytes as they are, embed the whole picture.
    Crop(Vec<u8>),
    /// Any other picture: crop it, encode the crop as JPEG, embed it.
    Photo(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Entry {
    path: PathBuf,
    class: String,
    line: Option<Line>,
}

/// The pictures of a folder, found but not read.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    entries: Vec<Entry>,
    classes: Vec<String>,
    skipped: Vec<Skipped>,
}

impl Folder {
    /// Finds the pictures of `dir`: those of `samples.jsonl` where there is one, else `<class>/*`, or `train/<class>/*`,
    /// `val/<class>/*`, in name order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when `dir` is no readable folder, [`StoreError::Invalid`] when it holds no class folder.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let root = fs::canonicalize(dir)
            .ok()
            .filter(|root| root.is_dir())
            .ok_or_else(|| StoreError::NotFound(format!("{} is not a readable folder", dir.display())))?;
        let mut folder = Self { root, entries: Vec::new(), classes: Vec::new(), skipped: Vec::new() };
        if folder.root.join(INDEX).is_file() {
            folder.read_index()?
        } else {
            folder.read_image_folder()?
        }
        if folder.entries.is_empty() && folder.classes.is_empty() {
            return Err(StoreError::Invalid(format!(
                "{} holds no pictures: expected <class>/<picture>, train/<class>/<picture> or {INDEX}",
                dir.display()
            )));
        }
        Ok(folder)
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The class list: the order of `labels.txt` where there is one, else of the names.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What was left out while looking.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The path of a picture, relative to the folder.
    pub fn path(&self, at: usize) -> Option<&Path> {
        self.entries.get(at).map(|entry| entry.path.as_path())
    }

    /// Reads a picture.
    ///
    /// # Errors
    /// Says why the picture is left out: unreadable, too large, outside of the folder, or changed since its export.
    pub fn read(&self, at: usize) -> Result<Picture, Skipped> {
        let Some(entry) = self.entries.get(at) else {
            return Err(Skipped { path: PathBuf::new(), reason: format!("there is no picture {at}") });
        };
        let skip = |reason: String| Skipped { path: entry.path.clone(), reason };
        let path = inside(&self.root, &entry.path).map_err(skip)?;
        let bytes = read_bounded(&path, MOST_FILE_BYTES).map_err(skip)?;
        let Some(line) = &entry.line else { return Ok(Picture::Photo(bytes)) };
        if hex(&Sha256::digest(&bytes)) != line.sha256.to_ascii_lowercase() {
            return Err(skip(format!("its digest is not the one in {INDEX}: export it again")));
        }
        Ok(Picture::Crop(bytes))
    }

    /// The part of its frame that an exported picture shows, in fractions; `None`: all of it.
    pub fn shown(&self, at: usize) -> Option<[f64; 4]> {
        self.entries.get(at)?.line.as_ref()?.roi
    }

    /// The sample of a picture that was read, cropped and embedded.
    pub fn sample(
        &self,
        at: usize,
        picture: &Picture,
        jpeg: Vec<u8>,
        embedding: Vec<f32>,
        backbone: &str,
    ) -> NewSample {
        let entry = self.entries.get(at);
        let backbone = backbone.to_owned();
        match (picture, entry.and_then(|entry| entry.line.clone())) {
            (Picture::Crop(bytes), Some(line)) => NewSample {
                class: line.class,
                burst: line.burst,
                jpeg: bytes.clone(),
                embedding,
                backbone,
                frame: line.frame,
                taken_ms: line.taken_ms,
                source: line.source,
                by: line.by,
                roi: line.roi,
            },
            (Picture::Crop(bytes) | Picture::Photo(bytes), _) => {
                let path = entry.map(|entry| entry.path.as_path()).unwrap_or(Path::new(""));
                let text: String =
                    path.to_string_lossy().chars().filter(|c| !c.is_control()).take(120).collect();
                NewSample {
                    class: entry.map(|entry| entry.class.clone()).unwrap_or_default(),
                    // The picture itself is the burst until all are there, so that copies of it stay together.
                    burst: format!("{ALONE}{}", &hex(&Sha256::digest(bytes))[..16]),
                    jpeg,
                    embedding,
                    backbone,
                    frame: 0,
                    taken_ms: 0,
                    source: format!("file:{text}"),
                    by: "import".into(),
                    roi: None,
                }
            }
        }
    }

    fn skip(&mut self, path: PathBuf, reason: impl Into<String>) {
        self.skipped.push(Skipped { path, reason: reason.into() });
    }

    fn read_index(&mut self) -> Result<(), StoreError> {
        let text = |name: &str| {
            let path = inside(&self.root, Path::new(name))?;
            String::from_utf8(read_bounded(&path, MOST_INDEX_BYTES)?)
                .map_err(|_| "it is not UTF-8 text".to_owned())
        };
        let index = text(INDEX).map_err(|reason| StoreError::Invalid(format!("{INDEX}: {reason}")))?;
        let labels = text(LABELS).unwrap_or_default();
        for name in labels.lines().map(str::trim).filter(|name| !name.is_empty()) {
            self.meet_class(name, Path::new(LABELS));
        }
        for (number, line) in index.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at = PathBuf::from(format!("{INDEX}:{}", number + 1));
            match serde_json::from_str::<Line>(line) {
                Ok(line) => {
                    let path = PathBuf::from(&line.file);
                    if self.meet_class(&line.class, &at) {
                        self.entries.push(Entry { path, class: line.class.clone(), line: Some(line) });
                    }
                }
                Err(error) => self.skip(at, format!("the line cannot be read: {error}")),
            }
            if self.entries.len() > MOST_FILES {
                return Err(too_many());
            }
        }
        Ok(())
    }

    /// Appends a class where it is new; says whether its name may be used.
    fn meet_class(&mut self, name: &str, found_in: &Path) -> bool {
        if self.classes.iter().any(|known| known == name) {
            return true;
        }
        match check_name(name) {
            Ok(()) => self.classes.push(name.to_owned()),
            Err(error) => {
                self.skip(found_in.to_owned(), error.to_string());
                return false;
            }
        }
        true
    }

    fn read_image_folder(&mut self) -> Result<(), StoreError> {
        let found = image_folder(&self.root, Links::Inside)
            .map_err(|error| StoreError::Invalid(format!("{}: {error}", self.root.display())))?;
        self.skipped.extend(found.skipped);
        for class in found.classes {
            let place = class.pictures.first().cloned().unwrap_or_else(|| PathBuf::from(&class.name));
            if self.meet_class(&class.name, &place) {
                let entry = |path| Entry { path, class: class.name.clone(), line: None };
                self.entries.extend(class.pictures.into_iter().map(entry));
            }
        }
        Ok(())
    }
}

fn too_many() -> StoreError {
    StoreError::Invalid(format!("the folder holds over {MOST_FILES} pictures: import it in parts"))
}

/// The full path of something that, links followed, lies inside `root`.
fn inside(root: &Path, relative: &Path) -> Result<PathBuf, String> {
    if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err("the path leads out of the folder: refused".into());
    }
    let full = fs::canonicalize(root.join(relative)).map_err(|error| format!("cannot be read: {error}"))?;
    if full.starts_with(root) { Ok(full) } else { Err("the link leads out of the folder: refused".into()) }
}

fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe or a device could block for ever.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("not a regular file".into());
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(cannot)?.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(format!("larger than {} MiB", most >> 20));
    }
    Ok(bytes)
}
