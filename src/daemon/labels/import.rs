//! An import, on its own thread: pictures are embedded by the inference thread between two frames, and stored in groups
//! between two labels.

use super::tasks::Done;
use crate::daemon::access::Access;
use crate::daemon::cancel::Cancel;
use crate::daemon::event;
use crate::daemon::frames::Shows;
use crate::daemon::store_thread::Question;
use crate::web::UPLOADED;
use graft_camera as camera;
use graft_control::JobId;
use graft_store::{
    Folder, IMPORT_GROUP, ImportStep, Imported, Loose, NewSample, Picture, Skipped, StoreError,
};
use std::path::{Path, PathBuf};

/// One import.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its job.
    pub job: JobId,
    /// The folder, with one folder a class.
    pub path: PathBuf,
    /// Wall time at its start.
    pub now_ms: i64,
    /// Ends it.
    pub cancel: Cancel,
}

/// What an import has done so far.
struct Work<'a> {
    of: &'a Import,
    access: &'a Access,
    step: ImportStep,
    group: Vec<NewSample>,
    loose: Loose,
    done: Imported,
}

impl Import {
    /// Imports, and tells the loop what came of it.
    pub fn run(self, access: &Access) {
        let result = Box::new(self.import(access));
        self.remove_upload();
        let view = access.store.ask(Question::Dataset);
        access.inbox.done(event::Done::Labels(Done::Imported { job: self.job, result, view }));
    }

    /// A folder that was uploaded for this import alone goes.
    fn remove_upload(&self) {
        let upload = self.path.ancestors().find(|path| {
            let is = |path: Option<&Path>, wanted: fn(&str) -> bool| {
                path.and_then(Path::file_name).and_then(|name| name.to_str()).is_some_and(wanted)
            };
            is(Some(path), |name| name.starts_with(UPLOADED)) && is(path.parent(), |name| name == "imports")
        });
        if let Some(upload) = upload {
            let _ = std::fs::remove_dir_all(upload);
        }
    }

    fn import(&self, access: &Access) -> Result<Imported, StoreError> {
        let folder = Folder::open(&self.path)?;
        let done = Imported { skipped: folder.skipped().to_vec(), ..Imported::default() };
        let mut work = Work {
            of: self,
            access,
            step: ImportStep::default(),
            group: Vec::new(),
            loose: Loose::default(),
            done,
        };
        work.classes(folder.classes().to_vec())?;
        for at in 0..folder.len() {
            if at.is_multiple_of(16) || at == folder.len() {
                access.inbox.progress(self.job, "import", at, folder.len());
            }
            if self.cancel.asked() {
                work.done.cancelled = true;
                break;
            }
            match folder.read(at).and_then(|picture| embed(access, &folder, at, &picture)) {
                Ok(sample) => work.group.push(sample),
                Err(skipped) => work.done.skipped.push(skipped),
            }
            if work.group.len() >= IMPORT_GROUP {
                work.store();
            }
            if work.done.stopped.is_some() {
                return Ok(work.done);
            }
        }
        work.store();
        if work.done.stopped.is_none() && !work.done.cancelled {
            work.group_loose();
        }
        Ok(work.done)
    }
}

fn stopping() -> StoreError {
    StoreError::Locked("the daemon is stopping".into())
}

fn embed(access: &Access, folder: &Folder, at: usize, picture: &Picture) -> Result<NewSample, Skipped> {
    let (Picture::Crop(bytes) | Picture::Photo(bytes)) = picture;
    let shows = match picture {
        Picture::Crop(_) => Shows::Part(folder.shown(at)),
        Picture::Photo(_) => Shows::Frame,
    };
    let embedded = camera::decode_image(bytes).map_err(|e| e.to_string()).and_then(|rgb| {
        let embedded = access.embed(Box::new(rgb), shows).ok_or("the daemon is stopping")?;
        embedded.map_err(|e| e.to_string())
    });
    let path = || folder.path(at).unwrap_or(Path::new("")).to_owned();
    let embedded = embedded.map_err(|reason| Skipped { path: path(), reason })?;
    let sample = folder.sample(at, picture, embedded.jpeg, embedded.embedding, &embedded.key);
    Ok(NewSample { roi: embedded.shown, ..sample })
}

impl Work<'_> {
    fn classes(&mut self, classes: Vec<String>) -> Result<(), StoreError> {
        let (step, now_ms) = (self.step, self.of.now_ms);
        let added = self.access.store.ask(|to| Question::ImportClasses(classes, step, now_ms, to));
        (self.done.classes_added, self.step) = added.unwrap_or_else(|| Err(stopping()))?;
        Ok(())
    }

    /// Stores the group.
    fn store(&mut self) {
        let samples = std::mem::take(&mut self.group);
        let (count, step, now_ms) = (samples.len(), self.step, self.of.now_ms);
        if count == 0 {
            return;
        }
        // What was taken together shows only once all are there.
        let kept = samples.clone();
        let added = self.access.store.ask(|to| Question::Import(samples, step, now_ms, to));
        match added.unwrap_or_else(|| Err(stopping())) {
            Ok((added, next)) => {
                self.step = next;
                self.loose.take(&kept, &added.ids);
                self.done.added += added.fresh;
                self.done.duplicates += count - added.fresh;
                self.done.rev = added.rev;
            }
            Err(error) => self.done.stopped = Some(error),
        }
    }

    /// Gives pictures that came without bursts those that they seem to have.
    fn group_loose(&mut self) {
        let Some((bursts, assumed)) = self.loose.group() else { return };
        let grouped = self.access.store.ask(|to| Question::Regroup(bursts, to));
        match grouped.unwrap_or_else(|| Err(stopping())) {
            Ok(rev) => {
                tracing::info!(job = self.of.job, "import: {assumed}");
                (self.done.assumed, self.done.rev) = (Some(assumed), rev);
            }
            Err(error) => self.done.stopped = Some(error),
        }
    }
}
