//! Exports and imports: one at a time, where they may read or write, and what their job tells at the end.

use super::import::Import;
use super::tasks::Task;
use crate::daemon::background::Background;
use crate::daemon::cancel::Cancel;
use crate::daemon::context::{Asked, By, Context};
use crate::daemon::effects::Effects;
use crate::daemon::event::{JobChange, Note};
use crate::daemon::store_error::store_error;
use crate::daemon::store_thread::StoreTask;
use graft_control::JobId;
use graft_store::{Exported, Imported, Skipped, StoreError};
use graft_wire::{Code, Error, Reply};
use serde_json::{Map, Value, json};
use std::path::{Component, Path, PathBuf};

/// Reasons of skipped files told in a job's result.
const TOLD: usize = 20;

/// The export or import that runs.
#[derive(Debug, Default)]
pub struct Transfers(Option<(JobId, Cancel)>);

impl Transfers {
    /// Ends it at its next step.
    pub fn cancel(&self) {
        if let Some((_, cancel)) = &self.0 {
            cancel.now();
        }
    }

    /// It has ended.
    pub fn over(&mut self) {
        self.0 = None;
    }

    /// A job of its own for an export or import.
    fn begin(&mut self, asked: &Asked, step: &'static str, fx: &mut Effects) -> Option<(JobId, Cancel)> {
        if let Some((job, _)) = &self.0 {
            fx.finish(asked.token, Err(Error::busy(&job.to_string())));
            return None;
        }
        let (job, cancel) = (fx.job_ids().take(), Cancel::default());
        fx.tell(Note::Job(job, JobChange::Begins { op: "dataset", step, by: asked.by }));
        fx.finish(asked.token, Ok(Reply::accepted(None, job.to_string())));
        self.0 = Some((job, cancel.clone()));
        Some((job, cancel))
    }

    /// `dataset export`.
    pub fn export(&mut self, cx: &Context, asked: &Asked, to: Option<String>, fx: &mut Effects) {
        let state = &cx.settings.store.dir;
        let dir = match to.map(|to| path(state, asked.by, "exports", to)).transpose() {
            Ok(dir) => dir,
            Err(error) => return fx.finish(asked.token, Err(error)),
        };
        let Some((job, cancel)) = self.begin(asked, "export", fx) else { return };
        let named = || state.join("exports").join(format!("{}-{job}", cx.now.wall_ms));
        let dir = dir.unwrap_or_else(named);
        fx.store(StoreTask::Labels(Task::Export { job, dir, cancel }));
    }

    /// `dataset import`.
    pub fn import(&mut self, cx: &Context, asked: &Asked, from: String, fx: &mut Effects) {
        let path = match path(&cx.settings.store.dir, asked.by, "imports", from) {
            Ok(path) => path,
            Err(error) => return fx.finish(asked.token, Err(error)),
        };
        let Some((job, cancel)) = self.begin(asked, "import", fx) else { return };
        fx.start(Background::Import(Import { job, path, now_ms: cx.now.wall_ms, cancel }));
    }
}

/// Where a transfer may read or write. Whoever is on the board may name any folder; what comes over
/// MQTT or from the page stays inside `exports` and `imports` of the state folder.
fn path(state: &Path, by: By, folder: &str, path: String) -> Result<PathBuf, Error> {
    let path = PathBuf::from(path);
    if !matches!(by, By::Mqtt | By::Http) {
        return Ok(path);
    }
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        let message = format!(
            "over MQTT and HTTP a path is relative to {folder}/ of the state folder, without '..'; use the graft command on the board for others"
        );
        return Err(Error::new(Code::Denied, message).with("pointer", "/path"));
    }
    Ok(state.join(folder).join(path))
}

fn canceled() -> Error {
    Error::new(Code::Canceled, "cancelled; what was stored before stays")
}

fn skipped(files: &[Skipped]) -> Value {
    files
        .iter()
        .take(TOLD)
        .map(|s| json!({"file": s.path.display().to_string(), "reason": s.reason}))
        .collect()
}

fn succeeds(facts: Value) -> JobChange {
    JobChange::Succeeds(if let Value::Object(facts) = facts { facts } else { Map::new() })
}

/// How an export ends its job.
pub fn exported(dir: &Path, result: Result<Exported, StoreError>) -> JobChange {
    match result {
        Ok(done) if done.cancelled => JobChange::Fails(canceled()),
        Ok(done) => succeeds(json!({"path": dir.display().to_string(), "samples": done.samples,
            "classes": done.classes, "bytes": done.bytes, "rev": done.rev,
            "skipped": skipped(&done.skipped)})),
        Err(error) => JobChange::Fails(store_error(&error)),
    }
}

/// How an import ends its job.
pub fn imported(result: Result<Imported, StoreError>) -> JobChange {
    let done = match result {
        Ok(done) => done,
        Err(error) => return JobChange::Fails(store_error(&error)),
    };
    let facts = json!({"added": done.added, "duplicates": done.duplicates, "rev": done.rev,
        "classes_added": done.classes_added, "skipped_files": done.skipped.len(),
        "skipped": skipped(&done.skipped),
        "bursts": done.assumed.map(|assumed| assumed.bursts),
        "grouped_by": done.assumed.map(|assumed| assumed.as_str()),
        "assumed": done.assumed.map(|assumed| assumed.to_string())});
    match &done.stopped {
        Some(error) => JobChange::Fails(store_error(error).with("result", facts)),
        None if done.cancelled => JobChange::Fails(canceled().with("result", facts)),
        None => succeeds(facts),
    }
}
