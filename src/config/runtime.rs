//! Keys that are set while the daemon runs: kept in a drop-in of the state folder.

use super::layers::{Effective, read_text};
use super::nearest::nearest;
use super::problem::Problem;
use super::rules::{Rule, rules};
use graft_base::whole_file;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Why a key was not set. Nothing was set then.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// No such key.
    #[error("unknown key {key}{}", .nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// As given.
        key: String,
        /// The nearest key that can be set.
        nearest: Option<String>,
    },
    /// Needs a restart.
    #[error("{key} cannot be set while the daemon runs; put it into the configuration file and restart")]
    NotRuntime { key: String },
    /// Wrong type or range.
    #[error("{key} = {value} is not allowed: write {allowed}")]
    Value {
        key: String,
        /// As given.
        value: String,
        /// In words.
        allowed: String,
    },
    /// The drop-in could not be written.
    #[error("cannot write {path}: {source}; check free space and permissions", path = .path.display())]
    Io {
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The keys that [`set_runtime`] takes.
pub fn runtime_keys() -> impl Iterator<Item = &'static Rule> + Clone {
    rules().list.iter().filter(|rule| rule.runtime)
}

/// The drop-in of a state folder.
pub fn runtime_file(state_dir: &Path) -> PathBuf {
    state_dir.join("conf.d").join("90-runtime.toml")
}

/// Sets keys and keeps them over restarts; `null` takes a key back to what the files say. All or nothing: on an
/// error no key has changed. On return the file is on disk. [`super::load`] then gives the new settings.
pub fn set_runtime(state_dir: &Path, changes: &BTreeMap<String, Json>) -> Result<(), SetError> {
    let mut admitted = Vec::new();
    for (key, json) in changes {
        admitted.push((key, check(key, json)?));
    }
    let path = runtime_file(state_dir);
    let mut table: Table = read_text(&path).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    for (key, value) in admitted {
        let Some((section, name)) = key.split_once('.') else { continue };
        match (value, table.entry(section).or_insert_with(|| Value::Table(Table::new()))) {
            (Some(value), Value::Table(section)) => drop(section.insert(name.to_owned(), value)),
            (None, Value::Table(section)) => drop(section.remove(name)),
            (value, broken) => {
                *broken = Value::Table(value.into_iter().map(|value| (name.to_owned(), value)).collect());
            }
        }
    }
    let text = format!("# Written by `config set`. Delete a line, or this file, to undo it.\n{table}");
    write(&path, text.as_bytes()).map_err(|source| SetError::Io { path, source })
}

/// Checks one change; `None` takes the key back.
fn check(key: &str, json: &Json) -> Result<Option<Value>, SetError> {
    let Some(rule) = rules().get(key) else {
        let near = nearest(key, runtime_keys().map(|rule| rule.key.as_str()));
        return Err(SetError::Unknown { key: key.to_owned(), nearest: near });
    };
    if !rule.runtime {
        return Err(SetError::NotRuntime { key: key.to_owned() });
    }
    if json.is_null() {
        return Ok(None);
    }
    let refused = || SetError::Value {
        key: key.to_owned(),
        value: json.to_string().chars().take(60).collect(),
        allowed: rule.allowed(),
    };
    let value = toml_value(json).ok_or_else(refused)?;
    rule.admit(&value).map_err(|_| refused())?;
    Ok(Some(value))
}

fn toml_value(json: &Json) -> Option<Value> {
    match json {
        Json::Bool(flag) => Some(Value::Boolean(*flag)),
        Json::Number(n) => n.as_i64().map(Value::Integer).or_else(|| n.as_f64().map(Value::Float)),
        Json::String(text) => Some(Value::String(text.clone())),
        Json::Array(list) => list.iter().map(toml_value).collect::<Option<_>>().map(Value::Array),
        Json::Null | Json::Object(_) => None,
    }
}

/// Lays the drop-in over the files. One that a newer or older version wrote must not keep a board from
/// starting: what does not fit any more is left out and logged.
pub fn read(state_dir: &Path, effective: &mut Effective, problems: &mut Vec<Problem>) {
    let path = runtime_file(state_dir);
    if !path.exists() {
        return;
    }
    let mut own = Vec::new();
    let mut layer = Effective::default();
    match read_text(&path) {
        Ok(text) => layer.read_text(&path, &text, &mut own),
        Err(text) => {
            return problems.push(Problem { place: path.display().to_string(), text });
        }
    }
    for problem in own {
        tracing::warn!("left out: {problem}");
    }
    for (key, entry) in layer.0 {
        match rules().get(&key) {
            Some(rule) if rule.runtime => drop(effective.0.insert(key, entry)),
            _ => tracing::warn!("left out: {}: {key} is no runtime key", entry.origin),
        }
    }
}

/// After a power cut either the old or the new file is there.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = whole_file::folder(path);
    fs::create_dir_all(folder)?;
    whole_file::write(path, bytes, 0o644)?;
    // The folder may be new.
    File::open(whole_file::folder(folder))?.sync_all()
}
