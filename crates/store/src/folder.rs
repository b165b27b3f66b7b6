//! Reading a folder of pictures: our own export, or any ImageFolder. Nothing of the store is touched here, so that the
//! slow part of an import (decoding, embedding) can run elsewhere.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use regex::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::classes::check_name;
use super::{NewSample, StoreError, rows};

pub(super) const LABELS: &str = "labels.txt";
pub(super) const INDEX: &str = "samples.jsonl";
/// Folders that hold class folders rather than being one.
const SPLITS: [&str; 5] = ["train", "val", "valid", "validation", "test"];
const ENDINGS: [&str; 11] = ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pnm"];
const MOST_FILE_BYTES: u64 = 64 << 20;
const MOST_FILES: usize = 1_000_000;
const MOST_INDEX_BYTES: u64 = 1 << 30;

/// How to read a folder.
#[derive(Clone, Debug, Default)]
pub struct FolderOptions {
    /// For a plain ImageFolder: the first capture group, matched against the file name without its ending, is the burst
    /// id. Where it does not match, and without a pattern, each picture is a burst of its own.
    pub burst: Option<Regex>,
}

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

/// A file or folder that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Relative to the folder.
    pub path: PathBuf,
    /// Why, and what to do.
    pub reason: String,
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
    options: FolderOptions,
}

impl Folder {
    /// Finds the pictures of `dir`: those of `samples.jsonl` where there is one, else `<class>/*`, or `train/<class>/*`,
    /// `val/<class>/*`, in name order.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when `dir` is no readable folder, [`StoreError::Invalid`] when it holds no class folder.
    pub fn open(dir: &Path, options: &FolderOptions) -> Result<Self, StoreError> {
        let root = fs::canonicalize(dir)
            .ok()
            .filter(|root| root.is_dir())
            .ok_or_else(|| StoreError::NotFound(format!("{} is not a readable folder", dir.display())))?;
        let mut folder = Self {
            root,
            entries: Vec::new(),
            classes: Vec::new(),
            skipped: Vec::new(),
            options: options.clone(),
        };
        if folder.root.join(INDEX).is_file() {
            folder.read_index()?
        } else {
            folder.walk()?
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
        if rows::hex(&Sha256::digest(&bytes)) != line.sha256.to_ascii_lowercase() {
            return Err(skip(format!("its digest is not the one in {INDEX}: export it again")));
        }
        Ok(Picture::Crop(bytes))
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
                    burst: self.burst(path, bytes),
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

    fn burst(&self, path: &Path, bytes: &[u8]) -> String {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let named = self.options.burst.as_ref().and_then(|pattern| {
            let found = pattern.captures(&stem)?;
            found.get(1).or_else(|| found.get(0)).map(|group| group.as_str().to_owned())
        });
        // Without a name the picture itself is the burst, so that copies of it stay together.
        match named.filter(|name| !name.is_empty() && !name.chars().any(char::is_control)) {
            Some(name) => name.chars().take(100).collect(),
            None => format!("file:{}", &rows::hex(&Sha256::digest(bytes))[..16]),
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

    fn walk(&mut self) -> Result<(), StoreError> {
        let top = self.list(Path::new(""));
        let splits: Vec<PathBuf> = top
            .iter()
            .filter(|(path, is_dir)| *is_dir && SPLITS.iter().any(|split| path == Path::new(split)))
            .map(|(path, _)| path.clone())
            .filter(|path| self.list(path).iter().any(|(_, is_dir)| *is_dir))
            .collect();
        let mut class_folders = HashMap::new();
        let roots = if splits.is_empty() { vec![PathBuf::new()] } else { splits };
        for root in &roots {
            for (path, is_dir) in self.list(root) {
                if is_dir {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    class_folders.entry(name).or_insert_with(Vec::new).push(path);
                }
            }
        }
        let mut class_folders: Vec<(String, Vec<PathBuf>)> = class_folders.into_iter().collect();
        class_folders.sort();
        for (class, folders) in class_folders {
            if !self.meet_class(&class, &folders[0]) {
                continue;
            }
            for folder in folders {
                self.pictures(&class, &folder)?;
            }
        }
        Ok(())
    }

    fn pictures(&mut self, class: &str, folder: &Path) -> Result<(), StoreError> {
        for (path, is_dir) in self.list(folder) {
            let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if is_dir {
                self.skip(path, "a folder inside a class folder: move its pictures up");
            } else if !ENDINGS.contains(&ending.as_str()) {
                self.skip(path, "not the name of a picture");
            } else {
                self.entries.push(Entry { path, class: class.to_owned(), line: None });
            }
            if self.entries.len() > MOST_FILES {
                return Err(too_many());
            }
        }
        Ok(())
    }

    /// The entries of a folder, relative to the root, in name order, hidden ones left out; links that lead out of the
    /// root are refused.
    fn list(&mut self, folder: &Path) -> Vec<(PathBuf, bool)> {
        let found =
            match inside(&self.root, folder).and_then(|path| fs::read_dir(path).map_err(|e| e.to_string())) {
                Ok(found) => found,
                Err(reason) => {
                    self.skip(folder.to_owned(), reason);
                    return Vec::new();
                }
            };
        let mut names: Vec<_> = found.filter_map(|entry| entry.ok().map(|entry| entry.file_name())).collect();
        names.sort();
        let mut entries = Vec::new();
        for name in names.into_iter().filter(|name| !name.to_string_lossy().starts_with('.')) {
            let path = folder.join(name);
            match inside(&self.root, &path) {
                Ok(full) => entries.push((path, full.is_dir())),
                Err(reason) if self.skipped.iter().all(|skipped| skipped.path != path) => {
                    self.skip(path, reason)
                }
                Err(_) => {}
            }
        }
        entries
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
