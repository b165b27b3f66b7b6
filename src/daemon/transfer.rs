//! Exports and imports: jobs of a thread of their own, so that labels are answered meanwhile.

use super::Daemon;
use super::Input;
use super::inference::Order;
use super::samples::{DatasetView, store_error};
use super::trainer::Cancel;
use super::worker::Asker;
use graft_camera as camera;
use graft_control::{JobId, Token};
use graft_store::{
    Folder, FolderOptions, IMPORT_GROUP, ImportStep, Imported, NewSample, Picture, Skipped, Store, StoreError,
};
use graft_wire::{Code, Error, Reply};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use tokio::sync::mpsc::UnboundedSender;

/// Reasons of skipped files told in a job's result.
const TOLD: usize = 20;

/// Tells the loop how far a job is.
#[derive(Clone)]
struct Teller {
    job: JobId,
    inbox: UnboundedSender<Input>,
    cancel: Cancel,
}

impl Teller {
    fn progress(&self, step: &'static str, done: usize, total: usize) -> ControlFlow<()> {
        if done.is_multiple_of(16) || done == total {
            let job = self.job;
            self.then(move |daemon| daemon.job_progress(job, step, done, total));
        }
        if self.cancel.0.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn then(&self, then: impl FnOnce(&mut Daemon) + Send + 'static) {
        let _ = self.inbox.send(Input::Continue(Box::new(then)));
    }
}

fn canceled() -> Error {
    Error::new(Code::Canceled, "cancelled; what was stored before stays")
}

fn told(skipped: &[Skipped]) -> Value {
    skipped
        .iter()
        .take(TOLD)
        .map(|s| json!({"file": s.path.display().to_string(), "reason": s.reason}))
        .collect()
}

impl Daemon {
    fn begin_transfer(&mut self, token: Token, step: &str) -> Option<Teller> {
        if let Err(error) = self.transfer_free() {
            self.finish(token, Err(error));
            return None;
        }
        let job = self.control.new_job();
        let by = self.asked_by(token);
        self.job_begins(job, "dataset", step, &by);
        self.transfer_cancel = Cancel::default();
        self.finish(token, Ok(Reply::accepted(None, job.to_string())));
        Some(Teller { job, inbox: self.inbox.clone(), cancel: self.transfer_cancel.clone() })
    }

    fn exchange(&self, folder: &str) -> PathBuf {
        self.settings.store.dir.join(folder)
    }

    /// Where a transfer may read or write. Whoever is on the board may name any folder; what comes over
    /// MQTT stays inside `exports` and `imports` of the state folder.
    fn transfer_path(
        &self,
        token: Token,
        folder: &str,
        path: Option<String>,
    ) -> Result<Option<PathBuf>, Error> {
        let Some(path) = path.map(PathBuf::from) else { return Ok(None) };
        if self.pending.get(token).is_none_or(|w| w.by != "mqtt") {
            return Ok(Some(path));
        }
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            let message = format!(
                "over MQTT a path is relative to {folder}/ of the state folder, without '..'; use the graft command on the board for others"
            );
            return Err(Error::new(Code::Denied, message).with("pointer", "/path"));
        }
        Ok(Some(self.exchange(folder).join(path)))
    }

    pub(super) fn export(&mut self, token: Token, path: Option<String>) {
        let dir = match self.transfer_path(token, "exports", path) {
            Ok(dir) => dir,
            Err(error) => return self.finish(token, Err(error)),
        };
        let Some(teller) = self.begin_transfer(token, "export") else { return };
        let job = teller.job;
        let dir =
            dir.unwrap_or_else(|| self.exchange("exports").join(format!("{}-{job}", self.clock.wall_ms())));
        let shown = dir.display().to_string();
        self.store_then(
            move |store| store.export(&dir, &mut |done, total| teller.progress("export", done, total)),
            move |daemon, result| match result {
                Ok(done) if done.cancelled => daemon.job_fails(job, canceled()),
                Ok(done) => {
                    let facts = json!({"path": shown, "samples": done.samples, "classes": done.classes,
                        "bytes": done.bytes, "rev": done.rev, "skipped": told(&done.skipped)});
                    daemon.job_done(job, facts);
                }
                Err(error) => daemon.job_fails(job, store_error(&error)),
            },
        );
    }

    pub(super) fn import(&mut self, token: Token, path: String) {
        let path = match self.transfer_path(token, "imports", Some(path)) {
            Ok(path) => path.unwrap_or_default(),
            Err(error) => return self.finish(token, Err(error)),
        };
        let Some(teller) = self.begin_transfer(token, "import") else { return };
        let import = Import {
            teller: teller.clone(),
            store: self.store.asker(),
            orders: self.orders.clone(),
            now_ms: self.clock.wall_ms(),
        };
        let spawned = std::thread::Builder::new().name("import".into()).spawn(move || import.run(&path));
        if let Err(error) = spawned {
            self.job_fails(teller.job, Error::internal(format!("no thread for the import: {error}")));
        }
    }

    fn imported(
        &mut self,
        job: JobId,
        result: Result<Imported, StoreError>,
        view: Option<Result<DatasetView, StoreError>>,
    ) {
        let added = result.as_ref().map_or(0, |done| done.added);
        if let Some(view) = view {
            self.samples_changed(view, added);
        }
        match result {
            Err(error) => self.job_fails(job, store_error(&error)),
            Ok(done) => {
                let facts = json!({"added": done.added, "duplicates": done.duplicates, "rev": done.rev,
                    "classes_added": done.classes_added, "skipped_files": done.skipped.len(), "skipped": told(&done.skipped)});
                match &done.stopped {
                    Some(error) => {
                        let error = store_error(error).with("result", facts);
                        self.job_fails(job, error);
                    }
                    None if done.cancelled => self.job_fails(job, canceled().with("result", facts)),
                    None => self.job_done(job, facts),
                }
            }
        }
    }

    fn job_done(&mut self, job: JobId, facts: Value) {
        if let Value::Object(facts) = facts {
            self.job_succeeds(job, facts);
        }
    }
}

/// One import, on its own thread. Pictures are embedded by the inference thread between two frames, and
/// stored in groups between two labels.
struct Import {
    teller: Teller,
    store: Asker<Store>,
    orders: mpsc::Sender<Order>,
    now_ms: i64,
}

impl Import {
    fn run(self, path: &Path) {
        let result = self.import(path);
        let view = self.store.ask(DatasetView::read);
        let job = self.teller.job;
        self.teller.then(move |daemon| daemon.imported(job, result, view));
    }

    fn import(&self, path: &Path) -> Result<Imported, StoreError> {
        let folder = Folder::open(path, &FolderOptions::default())?;
        let mut done = Imported { skipped: folder.skipped().to_vec(), ..Imported::default() };
        let mut step = ImportStep::default();
        let (classes, now_ms) = (folder.classes().to_vec(), self.now_ms);
        (done.classes_added, step) = self.in_store(move |store| {
            let added = store.add_imported_classes(&classes, &mut step, now_ms)?;
            Ok((added, step))
        })?;
        let mut group = Vec::new();
        for at in 0..folder.len() {
            if self.teller.progress("import", at, folder.len()).is_break() {
                done.cancelled = true;
                break;
            }
            match folder.read(at).and_then(|picture| self.embed(&folder, at, &picture)) {
                Ok(sample) => group.push(sample),
                Err(skipped) => done.skipped.push(skipped),
            }
            if group.len() >= IMPORT_GROUP {
                self.store_group(&mut group, &mut step, &mut done);
            }
            if done.stopped.is_some() {
                return Ok(done);
            }
        }
        self.store_group(&mut group, &mut step, &mut done);
        Ok(done)
    }

    fn in_store<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Store) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.store.ask(task).unwrap_or_else(|| Err(StoreError::Locked("the daemon is stopping".into())))
    }

    fn embed(&self, folder: &Folder, at: usize, picture: &Picture) -> Result<NewSample, Skipped> {
        let (Picture::Crop(bytes) | Picture::Photo(bytes)) = picture;
        let embedded = camera::decode_image(bytes).map_err(|e| e.to_string()).and_then(|rgb| {
            let (answer, result) = mpsc::channel();
            let crop = matches!(picture, Picture::Crop(_));
            let order = Order::Embed { picture: Box::new(rgb), crop, answer };
            self.orders.send(order).map_err(|_| "the daemon is stopping".to_owned())?;
            result.recv().unwrap_or_else(|_| Err("the daemon is stopping".to_owned()))
        });
        let path = || folder.path(at).unwrap_or(Path::new("")).to_owned();
        let embedded = embedded.map_err(|reason| Skipped { path: path(), reason })?;
        Ok(folder.sample(at, picture, embedded.jpeg, embedded.embedding, &embedded.key))
    }

    fn store_group(&self, group: &mut Vec<NewSample>, step: &mut ImportStep, done: &mut Imported) {
        let samples = std::mem::take(group);
        let (count, mut step_now, now_ms) = (samples.len(), *step, self.now_ms);
        if count == 0 {
            return;
        }
        match self
            .in_store(move |store| store.add_imported(&samples, &mut step_now, now_ms).map(|a| (a, step_now)))
        {
            Ok((added, next)) => {
                *step = next;
                done.added += added.fresh;
                done.duplicates += count - added.fresh;
                done.rev = added.rev;
            }
            Err(error) => done.stopped = Some(error),
        }
    }
}
