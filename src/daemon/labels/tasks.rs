//! What the store's thread does for labels. Effect and remembered reply of a command are one transaction: what was
//! answered `ok` is on disk.

use super::dataset::{self, DatasetView, sample_json};
use crate::daemon::cancel::Cancel;
use crate::daemon::kept;
use crate::daemon::picture::Picture;
use graft_control::{JobId, Readiness, Token};
use graft_store::{Change, Exported, Imported, NewSample, Store, StoreError, Tx};
use graft_wire::Reply;
use graft_wire::command::Chosen;
use graft_wire::messages::EventType;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// A sample whose picture may not be encoded yet: the store's thread waits for it.
#[derive(Clone, Debug)]
pub struct FrameSample {
    /// Everything but the picture.
    pub sample: NewSample,
    /// The crop.
    pub picture: Picture,
}

impl FrameSample {
    fn ready(self) -> NewSample {
        NewSample { jpeg: self.picture.wait().to_vec(), ..self.sample }
    }
}

/// One change of the samples.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A frame gets a class.
    Label {
        /// The frame as a sample.
        frame: Box<FrameSample>,
        /// The sample that an earlier label made of this frame.
        earlier: Option<i64>,
    },
    /// Samples get another class.
    Relabel(Chosen, String),
    /// Samples go.
    Delete(Chosen),
    /// The last change is taken back.
    Undo,
    /// A capture begins: its class is there before its first frame.
    Capture {
        /// The class.
        class: String,
        /// The burst of its frames.
        burst: String,
    },
    /// All samples go.
    Clear,
    /// A class comes.
    AddClass(String),
    /// A class gets another name.
    RenameClass(String, String),
    /// A class goes with its samples.
    RemoveClass {
        /// The class.
        class: String,
        /// Only tell what would go.
        dry_run: bool,
    },
}

/// A command's change, with what makes its reply.
#[derive(Clone, Debug)]
pub struct ChangeOrder {
    /// The command.
    pub token: Token,
    /// Its idempotency key.
    pub id: Option<String>,
    /// Only at this revision.
    pub if_rev: Option<i64>,
    /// What is told on the topic `event`.
    pub event: Option<EventType>,
    /// Wall time.
    pub now_ms: i64,
    /// What decides, beside the samples, whether a round starts by itself.
    pub readiness: Readiness,
    /// The change.
    pub edit: Edit,
}

/// What a change came to.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The reply, remembered already.
    pub reply: String,
    /// Its data.
    pub data: Value,
    /// Samples touched.
    pub touched: usize,
    /// What is told on the topic `event`.
    pub event: Option<EventType>,
    /// The samples now.
    pub view: Result<DatasetView, StoreError>,
}

/// What the store's thread is to do.
#[derive(Debug)]
pub enum Task {
    /// Change samples for a command.
    Change(Box<ChangeOrder>),
    /// Keep a frame of the running capture.
    Keep(Box<FrameSample>, i64),
    /// Say when everything asked before is on disk.
    EndCapture(CaptureEnd),
    /// List samples.
    List {
        /// The command.
        token: Token,
        /// Only this class.
        class: Option<String>,
        /// Maximum rows.
        limit: usize,
        /// Left out from the start.
        offset: usize,
    },
    /// List samples whose label is probably wrong.
    Suspects(Token, usize),
    /// Write all samples into a folder.
    Export {
        /// The job.
        job: JobId,
        /// The folder.
        dir: PathBuf,
        /// Ends it.
        cancel: Cancel,
    },
}

/// A capture that is over.
#[derive(Clone, Debug)]
pub struct CaptureEnd {
    /// Class, burst, and how many frames were kept and skipped.
    pub facts: Value,
    /// The command that ended it.
    pub token: Option<Token>,
}

/// What background work for labels answers.
#[derive(Clone, Debug)]
pub enum Done {
    /// A command's change.
    Changed(Token, Box<Result<Changed, StoreError>>),
    /// A frame of a capture: fresh samples, and the samples now.
    Kept(Result<(usize, Result<DatasetView, StoreError>), StoreError>),
    /// All frames of a capture are on disk.
    CaptureEnded(CaptureEnd),
    /// A list.
    Listed(Token, Result<Value, StoreError>),
    /// An export.
    Exported {
        /// The job.
        job: JobId,
        /// The folder.
        dir: PathBuf,
        /// How it went.
        result: Result<Exported, StoreError>,
    },
    /// An import, and the samples after it.
    Imported {
        /// The job.
        job: JobId,
        /// How it went.
        result: Box<Result<Imported, StoreError>>,
        /// The samples now; `None`: the daemon is stopping.
        view: Option<Result<DatasetView, StoreError>>,
    },
    /// Stored crops were embedded anew.
    Reembedded {
        /// So many.
        made: usize,
        /// So many show another part of the frame than is looked at now.
        aside: usize,
        /// The samples now.
        view: Result<DatasetView, StoreError>,
    },
}

impl Task {
    /// Does it. `progress` gets the job, the step, done and total.
    pub fn run(self, store: &mut Store, progress: &mut dyn FnMut(JobId, &'static str, usize, usize)) -> Done {
        match self {
            Self::Change(order) => {
                let token = order.token;
                Done::Changed(token, Box::new(change(store, *order)))
            }
            Self::Keep(frame, now_ms) => {
                let sample = frame.ready();
                let added = store.transaction(|tx| {
                    tx.ensure_class(&sample.class, now_ms)?;
                    tx.add_samples(&[sample], now_ms)
                });
                Done::Kept(added.map(|added| (added.fresh, DatasetView::read(store))))
            }
            Self::EndCapture(end) => Done::CaptureEnded(end),
            Self::List { token, class, limit, offset } => {
                Done::Listed(token, dataset::list(store, class, limit, offset))
            }
            Self::Suspects(token, limit) => Done::Listed(token, suspects(store, limit)),
            Self::Export { job, dir, cancel } => {
                let mut step = |done: usize, total: usize| {
                    if done.is_multiple_of(16) || done == total {
                        progress(job, "export", done, total);
                    }
                    if cancel.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                };
                let result = store.export(&dir, &mut step);
                Done::Exported { job, dir, result }
            }
        }
    }
}

fn change(store: &mut Store, order: ChangeOrder) -> Result<Changed, StoreError> {
    let ChangeOrder { id, if_rev, event, now_ms, readiness, edit, .. } = order;
    let edit = edit.ready();
    let captured = match &edit {
        Edit::Capture { class, .. } => Some(class.clone()),
        _ => None,
    };
    let (reply, data, touched) = store.transaction(|tx| {
        if let Some(rev) = if_rev {
            tx.expect_rev(rev)?;
        }
        let (mut data, touched) = edit.carry_out(tx, now_ms)?;
        if event.is_some() || captured.is_some() {
            let waits = waiting_for(tx, readiness.after(touched), captured.as_deref())?;
            data["waiting_for"] = waits.into();
        }
        let reply = Reply::with(id.clone(), data.clone()).to_json();
        if let Some(id) = &id {
            tx.remember_reply(id, &reply)?;
        }
        Ok((reply, data, touched))
    })?;
    Ok(Changed { reply, data, touched, event, view: DatasetView::read(store) })
}

/// What keeps a round from starting by itself after this change. A class that is being captured counts as captured.
fn waiting_for(
    tx: &Tx<'_>,
    readiness: Readiness,
    captured: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let mut classes = dataset::tallies(&tx.classes()?);
    let Some(captured) = captured else {
        return Ok(readiness.waits_for(&classes, Duration::ZERO).map(|waits| waits.to_string()));
    };
    for class in classes.iter_mut().filter(|class| class.name == captured) {
        class.samples += 1;
        class.bursts += 1;
    }
    let readiness = Readiness { labelling: true, ..readiness.after(1) };
    Ok(readiness.waits_for(&classes, Duration::ZERO).map(|waits| waits.to_string()))
}

/// The answer's data, and how many samples were touched.
fn figures(change: &Change) -> (Value, usize) {
    (json!({"rev": change.rev, "affected": change.affected, "text": change.text}), change.affected)
}

impl Edit {
    /// Waits for the picture that is to be stored.
    fn ready(self) -> Self {
        match self {
            Self::Label { frame, earlier } => {
                let sample = frame.ready();
                let frame = Box::new(FrameSample { sample, picture: Picture::default() });
                Self::Label { frame, earlier }
            }
            other => other,
        }
    }

    fn carry_out(self, tx: &Tx<'_>, now_ms: i64) -> Result<(Value, usize), StoreError> {
        let all = |change: Change| figures(&change);
        match self {
            Self::Label { frame, earlier } => label(tx, frame.sample, earlier, now_ms),
            Self::Relabel(chosen, class) => {
                let samples = ids(tx, chosen)?;
                tx.ensure_class(&class, now_ms)?;
                tx.relabel(&samples, &class, now_ms).map(all)
            }
            Self::Delete(chosen) => tx.delete(&ids(tx, chosen)?, now_ms).map(all),
            Self::Undo => tx.undo(now_ms).map(all),
            Self::Capture { class, burst } => {
                tx.ensure_class(&class, now_ms)?;
                Ok((json!({"class": class, "burst": burst}), 0))
            }
            Self::Clear => tx.clear(now_ms).map(all),
            Self::AddClass(class) => tx.add_class(&class, now_ms).map(|c| (figures(&c).0, 0)),
            Self::RenameClass(class, to) => tx.rename_class(&class, &to, now_ms).map(all),
            Self::RemoveClass { class, dry_run } => {
                let change = tx.remove_class(&class, dry_run, now_ms)?;
                let (mut data, touched) = figures(&change);
                data["dry_run"] = dry_run.into();
                Ok((data, if dry_run { 0 } else { touched }))
            }
        }
    }
}

/// The samples that are meant.
fn ids(tx: &Tx<'_>, chosen: Chosen) -> Result<Vec<i64>, StoreError> {
    match chosen {
        Chosen::Samples(ids) => Ok(ids),
        Chosen::Burst(burst) => tx.samples_of_burst(&burst),
    }
}

/// Labels a frame. A second label of one frame corrects the first: one picture never teaches two classes.
fn label(
    tx: &Tx<'_>,
    sample: NewSample,
    earlier: Option<i64>,
    now_ms: i64,
) -> Result<(Value, usize), StoreError> {
    tx.ensure_class(&sample.class, now_ms)?;
    let (class, frame, burst) = (sample.class.clone(), sample.frame, sample.burst.clone());
    let data =
        |id: i64, rev: i64| json!({"sample": id, "class": class, "frame": frame, "burst": burst, "rev": rev});
    if let Some(id) = earlier {
        match tx.relabel(&[id], &class, now_ms) {
            Ok(change) => return Ok((data(id, change.rev), change.affected)),
            Err(StoreError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let added = tx.add_samples(&[sample], now_ms)?;
    let id = added.ids.first().copied().unwrap_or_default();
    Ok((data(id, added.rev), added.fresh))
}

/// The suspects that nobody has looked at since: still there, still of that class.
fn suspects(store: &mut Store, limit: usize) -> Result<Value, StoreError> {
    let mut rows = Vec::new();
    let found = kept::FINDINGS.get(store)?.map(|found| found.0.suspects).unwrap_or_default();
    for suspect in found {
        if rows.len() == limit {
            break;
        }
        let row = match store.sample(suspect.sample) {
            Ok(row) if row.class == suspect.class => row,
            Ok(_) | Err(StoreError::NotFound(_)) => continue,
            Err(error) => return Err(error),
        };
        let mut row = sample_json(&row);
        row["said"] = suspect.said.into();
        row["margin"] = suspect.margin.into();
        rows.push(row);
    }
    Ok(json!({"suspects": rows, "rev": store.rev()?}))
}
