//! Writing the dataset as a folder: `<class>/<id>.jpg`, `labels.txt`, and, last, `samples.jsonl`.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::folder::{INDEX, LABELS, Line};
use super::{Filter, Skipped, Store, StoreError, classes, recover, rows};

/// What an export did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub samples: usize,
    pub classes: usize,
    /// Bytes of pictures written.
    pub bytes: u64,
    /// Samples whose image is damaged.
    pub skipped: Vec<Skipped>,
    pub rev: i64,
    /// Whether `progress` ended it early; `samples.jsonl` is missing then.
    pub cancelled: bool,
}

impl Store {
    /// Writes all live samples into `dir`, which must not exist or be empty. The folder is complete once
    /// `samples.jsonl` is there, which is written last; everything is flushed by then.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when `dir` is not empty, [`StoreError::Io`] and [`StoreError::Full`] of the target.
    pub fn export(
        &mut self,
        dir: &Path,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Exported, StoreError> {
        prepare(dir)?;
        let (classes, samples, rev) = self.read(|conn| {
            let tx = conn.unchecked_transaction()?;
            let classes: Vec<String> = classes::list(&tx)?.into_iter().map(|(_, name)| name).collect();
            let samples = rows::list(&tx, &Filter::default(), usize::MAX, 0)?;
            Ok((classes, samples, super::journal::counter(&tx, "rev")?))
        })?;
        let folders = folder_names(&classes);
        let mut done = Exported { classes: classes.len(), rev, ..Exported::default() };
        let mut index = String::new();
        for folder in folders.values() {
            let path = dir.join(folder);
            fs::create_dir(&path).map_err(|error| cannot(&path, &error))?;
        }
        for (at, sample) in samples.iter().enumerate() {
            if progress(at, samples.len()).is_break() {
                done.cancelled = true;
                return Ok(done);
            }
            let Some(folder) = folders.get(&sample.class) else { continue };
            let file = format!("{folder}/{}.jpg", sample.id);
            let jpeg = match self.read(|conn| match rows::image(conn, sample.id) {
                Err(StoreError::Corrupt(reason)) => Ok(Err(reason)),
                other => other.map(Ok),
            }) {
                Ok(Ok(jpeg)) => jpeg,
                Ok(Err(reason)) => {
                    done.skipped.push(Skipped { path: file.into(), reason });
                    continue;
                }
                Err(error) => return Err(error),
            };
            write(dir, &file, &jpeg)?;
            let line = Line {
                id: sample.id,
                file,
                class: sample.class.clone(),
                burst: sample.burst.clone(),
                sha256: sample.sha256.clone(),
                taken_ms: sample.taken_ms,
                source: sample.source.clone(),
                by: sample.by.clone(),
                frame: sample.frame,
                roi: sample.roi,
            };
            let line = serde_json::to_string(&line).map_err(|error| {
                StoreError::Invalid(format!("sample {} cannot be listed: {error}", sample.id))
            })?;
            index.push_str(&line);
            index.push('\n');
            done.samples += 1;
            done.bytes += jpeg.len() as u64;
        }
        let labels: String = classes.iter().flat_map(|name| [name, "\n"]).collect();
        recover::replace_file(&dir.join(LABELS), labels.as_bytes(), 0o644)?;
        // One flush of the file system is far cheaper on an SD card than one a picture.
        File::open(dir)
            .and_then(|folder| rustix::fs::syncfs(&folder).map_err(Into::into))
            .map_err(|error| cannot(dir, &error))?;
        recover::replace_file(&dir.join(INDEX), index.as_bytes(), 0o644)?;
        let _ = progress(samples.len(), samples.len());
        Ok(done)
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::file(format_args!("writing {}", path.display()), error)
}

/// Makes the target, or takes an empty one.
fn prepare(dir: &Path) -> Result<(), StoreError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(StoreError::Conflict(format!(
                "{} is not empty: name a new folder to export to",
                dir.display()
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(dir).map_err(|error| cannot(dir, &error))
        }
        Err(error) => Err(cannot(dir, &error)),
    }
}

/// Under a name that no reader takes for a picture until it is whole.
fn write(dir: &Path, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = dir.join(file);
    let fresh = PathBuf::from(format!("{}.part", path.display()));
    let written = File::create_new(&fresh).and_then(|mut file| file.write_all(bytes));
    written.and_then(|()| fs::rename(&fresh, &path)).map_err(|error| cannot(&path, &error))
}

/// Folder names that every file system takes, one a class.
fn folder_names(classes: &[String]) -> HashMap<String, String> {
    let mut taken = HashSet::from([LABELS.to_owned(), INDEX.to_owned()]);
    let mut names = HashMap::new();
    for class in classes {
        let safe = |c: char| if c.is_alphanumeric() || " ._-+()".contains(c) { c } else { '_' };
        let plain: String = class.chars().map(safe).collect();
        let plain = plain.trim_end_matches(['.', ' ']).to_owned();
        let plain = if plain.is_empty() { "class".to_owned() } else { plain };
        let mut name = plain.clone();
        let mut number = 2;
        // Case does not count on the file systems of USB sticks.
        while !taken.insert(name.to_lowercase()) {
            name = format!("{plain}~{number}");
            number += 1;
        }
        names.insert(class.clone(), name);
    }
    names
}
