//! Storing the pictures of a [`Folder`].

use std::ops::ControlFlow;

use super::journal::{ChangeKind, Written};
use super::{Added, Assumed, Folder, Loose, NewSample, Picture, Skipped, Store, StoreError, classes};

/// Samples stored in one transaction.
pub const IMPORT_GROUP: usize = 64;
const GROUP_BYTES: usize = 4 << 20;

/// A crop as a JPEG file and its embedding `[width]`, or why the picture is left out.
pub type Embedded = Result<(Vec<u8>, Vec<f32>), String>;

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    pub added: usize,
    /// Pictures that were stored before.
    pub duplicates: usize,
    /// Pictures left out, with the reason.
    pub skipped: Vec<Skipped>,
    pub classes_added: usize,
    pub rev: i64,
    /// What was assumed of pictures that came without bursts; `None` where there are none, and where it ended early.
    pub assumed: Option<Assumed>,
    /// What ended it early. What is counted above stays stored; the same import again goes on from there.
    pub stopped: Option<StoreError>,
    /// Whether the caller ended it early.
    pub cancelled: bool,
}

/// The journal step of a running import; see [`Store::add_imported`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportStep(Option<(i64, i64)>);

impl Store {
    /// Imports a folder: reads each picture, has `compute` crop and embed it (see [`Picture`]; it returns the crop as
    /// JPEG and the embedding), and stores groups of at most 64. One undo takes the whole import back. `progress` gets
    /// pictures done and all, and can end it.
    ///
    /// # Errors
    /// [`StoreError`] when nothing could be stored at all; later failures are in [`Imported::stopped`].
    pub fn import(
        &mut self,
        folder: &Folder,
        backbone: &str,
        now_ms: i64,
        compute: &mut dyn FnMut(&Picture) -> Embedded,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Imported, StoreError> {
        let mut done = Imported { skipped: folder.skipped().to_vec(), ..Imported::default() };
        let mut step = ImportStep::default();
        done.classes_added = self.add_imported_classes(folder.classes(), &mut step, now_ms)?;
        let mut group: Vec<NewSample> = Vec::new();
        let mut loose = Loose::default();
        for at in 0..folder.len() {
            if progress(at, folder.len()).is_break() {
                done.cancelled = true;
                break;
            }
            match folder.read(at).and_then(|picture| {
                let path = folder.path(at).unwrap_or(std::path::Path::new("")).to_owned();
                let (jpeg, embedding) = compute(&picture).map_err(|reason| Skipped { path, reason })?;
                Ok(folder.sample(at, &picture, jpeg, embedding, backbone))
            }) {
                Ok(sample) => group.push(sample),
                Err(skipped) => done.skipped.push(skipped),
            }
            let bytes: usize = group.iter().map(|sample| sample.jpeg.len()).sum();
            if group.len() >= IMPORT_GROUP || bytes >= GROUP_BYTES {
                self.import_group(&mut group, &mut loose, &mut step, &mut done, now_ms);
                if done.stopped.is_some() {
                    break;
                }
            }
        }
        if done.stopped.is_none() {
            self.import_group(&mut group, &mut loose, &mut step, &mut done, now_ms);
        }
        if done.stopped.is_none() && !done.cancelled {
            self.group_loose(&loose, &mut done);
            let _ = progress(folder.len(), folder.len());
        }
        // After a failure the store may not answer; the import's own report must not be lost for that.
        done.rev = self.rev().unwrap_or(done.rev);
        Ok(done)
    }

    /// Stores a group; where one sample of it is refused, the others are stored one by one.
    fn import_group(
        &mut self,
        group: &mut Vec<NewSample>,
        loose: &mut Loose,
        step: &mut ImportStep,
        done: &mut Imported,
        now_ms: i64,
    ) {
        let count = |added: Added, of: usize, done: &mut Imported| {
            done.added += added.fresh;
            done.duplicates += of - added.fresh;
            done.rev = added.rev;
        };
        if group.is_empty() {
            return;
        }
        match self.add_imported(group, step, now_ms) {
            Ok(added) => {
                loose.take(group, &added.ids);
                count(added, group.len(), done);
            }
            Err(StoreError::Invalid(_)) => {
                for sample in group.iter() {
                    match self.add_imported(std::slice::from_ref(sample), step, now_ms) {
                        Ok(added) => {
                            loose.take(std::slice::from_ref(sample), &added.ids);
                            count(added, 1, done);
                        }
                        Err(StoreError::Invalid(reason)) => {
                            let path = sample.source.trim_start_matches("file:").into();
                            done.skipped.push(Skipped { path, reason });
                        }
                        Err(error) => {
                            done.stopped = Some(error);
                            break;
                        }
                    }
                }
            }
            Err(error) => done.stopped = Some(error),
        }
        group.clear();
    }

    /// Gives pictures that came without bursts those that they seem to have.
    fn group_loose(&mut self, loose: &Loose, done: &mut Imported) {
        let Some((bursts, assumed)) = loose.group() else { return };
        match self.regroup(&bursts) {
            Ok(_) => done.assumed = Some(assumed),
            Err(error) => done.stopped = Some(error),
        }
    }

    /// Makes the classes of an import that are missing, under its journal step. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a bad name.
    pub fn add_imported_classes(
        &mut self,
        names: &[String],
        step: &mut ImportStep,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        let before = *step;
        let outcome = self.transaction(|tx| {
            let mut open = tx.continued(step)?;
            let mut made = 0;
            for name in names {
                if classes::find(tx.conn, name)?.is_none() {
                    let under = match &open {
                        Some(written) => written.step,
                        None => {
                            open.insert(tx.journal(ChangeKind::Import, "imported a folder", None, now_ms)?)
                                .step
                        }
                    };
                    classes::insert(tx.conn, name, under)?;
                    made += 1;
                }
            }
            *step = ImportStep(open.map(|written| (written.step, written.rev)));
            Ok(made)
        });
        if outcome.is_err() {
            *step = before;
        }
        outcome
    }

    /// [`Tx::add_samples`](super::Tx::add_samples) for an import that is stored in groups: all groups of one `step`
    /// (begin with the default) are undone together, as long as nothing else was changed in between.
    ///
    /// # Errors
    /// See [`Tx::add_samples`](super::Tx::add_samples).
    pub fn add_imported(
        &mut self,
        samples: &[NewSample],
        step: &mut ImportStep,
        now_ms: i64,
    ) -> Result<Added, StoreError> {
        let before = *step;
        let outcome = self.transaction(|tx| {
            let mut open = tx.continued(step)?;
            let added = tx.add_under(samples, &mut open, ChangeKind::Import, now_ms)?;
            if let Some(written) = &open {
                let sql = "UPDATE journal SET text = 'imported ' || (SELECT count(*) FROM samples WHERE added_step = ?1)
                           || ' samples' WHERE step = ?1";
                tx.conn.execute(sql, [written.step])?;
                *step = ImportStep(Some((written.step, written.rev)));
            }
            Ok(added)
        });
        if outcome.is_err() {
            *step = before;
        }
        outcome
    }
}

impl super::Tx<'_> {
    /// The import's step if it is still the latest one.
    fn continued(&self, step: &ImportStep) -> Result<Option<Written>, StoreError> {
        let latest: Option<i64> =
            self.conn.query_row("SELECT max(step) FROM journal", [], |row| row.get(0))?;
        Ok(step.0.filter(|(number, _)| latest == Some(*number)).map(|(step, rev)| Written { step, rev }))
    }
}
