//! The store's thread: it owns the database and does what it is told, in order. What a task means is said by the
//! component that it belongs to.

use super::adapt::draft::held_out;
use super::adapt::tasks as adapt;
use super::commands::tasks as commands;
use super::configuration::tasks as configuration;
use super::event::{Done, Event, Inbox, Ticket};
use super::kept::Fact;
use super::labels::dataset::DatasetView;
use super::labels::tasks as labels;
use super::offload::tasks as offload;
use super::outbox::tasks as outbox;
use super::pair::tasks as pair;
use super::views::tasks as views;
use graft_control::JobId;
use graft_store::{Added, ImportStep, Labelled, NewSample, Store, StoreError};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

/// What the loop gives the store to do. What follows comes back as a [`Done`].
#[derive(Debug)]
pub enum StoreTask {
    /// Of the outbox.
    Outbox(outbox::Task),
    /// Of commands.
    Commands(commands::Task),
    /// Of labels.
    Labels(labels::Task),
    /// Of rounds and heads.
    Adapt(adapt::Task),
    /// Of backbones.
    Pair(Box<pair::Task>),
    /// Of the job that is offered.
    Offload(Box<offload::Task>),
    /// A view.
    View(views::Task, Ticket),
    /// Read the settings again.
    Configure(configuration::Reading),
    /// A small fact is to be kept.
    Keep(Fact),
    /// Purge, checkpoint, look at the space. Wall time.
    Maintain(i64),
    /// Nothing: the thread shows that it moves.
    Nothing,
}

impl StoreTask {
    /// Does it. `progress` gets the job, the step, done and total.
    pub fn run(
        self,
        store: &mut Store,
        progress: &mut dyn FnMut(JobId, &'static str, usize, usize),
    ) -> Option<Done> {
        match self {
            Self::Outbox(task) => task.run(store).map(Done::Outbox),
            Self::Commands(task) => Some(Done::Commands(task.run(store))),
            Self::Labels(task) => Some(Done::Labels(task.run(store, progress))),
            Self::Adapt(task) => task.run(store).map(Done::Adapt),
            Self::Pair(task) => task.run(store).map(Done::Pair),
            Self::Offload(task) => Some(Done::Offload(task.run(store))),
            Self::View(task, ticket) => Some(Done::Answer(ticket, task.run(store))),
            Self::Configure(reading) => Some(Done::Configuration(reading.run())),
            Self::Keep(fact) => {
                fact.keep(store);
                None
            }
            Self::Maintain(now_ms) => {
                if let Err(error) = store.maintain(now_ms) {
                    tracing::warn!(%error, "the store could not be maintained");
                }
                None
            }
            Self::Nothing => None,
        }
    }
}

/// A picture as it is stored, and the part of its frame that it shows (left, top, right, bottom, 0…1; `None`: all).
pub type Pictured = (Vec<u8>, Option<[f64; 4]>);

/// A question of a thread that waits for the answer. Never to be asked on the loop's thread.
#[derive(Debug)]
pub enum Question {
    /// Samples that have no embedding of this name.
    Stale(Arc<str>, Sender<Result<Vec<i64>, StoreError>>),
    /// The picture of a sample, and the part of its frame that it shows.
    Image(i64, Sender<Result<Pictured, StoreError>>),
    /// The crop with this SHA-256.
    ImageOf(String, Sender<Result<Vec<u8>, StoreError>>),
    /// Keep an embedding of a sample under this name.
    PutEmbedding(i64, Arc<str>, Vec<f32>, Sender<Result<(), StoreError>>),
    /// Classes of an import: how many were new, and the step that belongs to it.
    ImportClasses(Vec<String>, ImportStep, i64, Sender<Result<(usize, ImportStep), StoreError>>),
    /// Samples of an import.
    Import(Vec<NewSample>, ImportStep, i64, Sender<Result<(Added, ImportStep), StoreError>>),
    /// Other bursts for samples of an import; the revision.
    Regroup(Vec<(i64, String)>, Sender<Result<i64, StoreError>>),
    /// The samples by class.
    Dataset(Sender<Result<DatasetView, StoreError>>),
    /// The file of a head.
    HeadFile(i64, Sender<Result<Vec<u8>, StoreError>>),
    /// The classes of the samples of a head, each from a head that had not seen its burst, by the names that they have now.
    HeldOut(i64, Sender<Result<Vec<(i64, String)>, StoreError>>),
    /// All samples with their embeddings of this name.
    Snapshot(Arc<str>, Sender<Result<Box<Labelled>, StoreError>>),
}

impl Question {
    fn answer(self, store: &mut Store) {
        // Whoever asked may have ended meanwhile.
        let _ = match self {
            Self::Stale(key, to) => to.send(store.stale(&key)).is_ok(),
            Self::Image(id, to) => {
                let picture = store.image(id);
                to.send(picture.and_then(|picture| Ok((picture, store.sample(id)?.roi)))).is_ok()
            }
            Self::ImageOf(sha256, to) => to.send(store.image_of(&sha256)).is_ok(),
            Self::PutEmbedding(id, key, embedding, to) => {
                to.send(store.put_embedding(id, &key, &embedding)).is_ok()
            }
            Self::ImportClasses(classes, mut step, now_ms, to) => {
                let added = store.add_imported_classes(&classes, &mut step, now_ms);
                to.send(added.map(|added| (added, step))).is_ok()
            }
            Self::Import(samples, mut step, now_ms, to) => {
                let added = store.add_imported(&samples, &mut step, now_ms);
                to.send(added.map(|added| (added, step))).is_ok()
            }
            Self::Regroup(bursts, to) => to.send(store.regroup(&bursts)).is_ok(),
            Self::Dataset(to) => to.send(DatasetView::read(store)).is_ok(),
            Self::HeadFile(version, to) => to.send(store.head_file(version)).is_ok(),
            Self::HeldOut(version, to) => to.send(held_out(store, version)).is_ok(),
            Self::Snapshot(key, to) => to.send(store.snapshot(&key).map(Box::new)).is_ok(),
        };
    }
}

/// What the thread is told.
#[derive(Debug)]
pub enum StoreOrder {
    /// By the loop.
    Task(StoreTask),
    /// By a thread that waits.
    Question(Question),
}

impl StoreOrder {
    /// Carries it out and tells the loop what came of it.
    pub fn carry_out(self, store: &mut Store, inbox: &Inbox) {
        match self {
            Self::Task(task) => {
                let mut progress = |job, step, done, total| inbox.progress(job, step, done, total);
                if let Some(done) = task.run(store, &mut progress) {
                    inbox.send(Event::Done(done));
                }
            }
            Self::Question(question) => question.answer(store),
        }
    }
}

/// Waits for the store's answers.
#[derive(Clone, Debug)]
pub struct StoreClient(Option<Sender<StoreOrder>>);

impl StoreClient {
    /// Of the way into the store's thread.
    pub fn new(orders: Option<Sender<StoreOrder>>) -> Self {
        Self(orders)
    }

    /// Asks and waits; `None` when the thread has ended.
    pub fn ask<R>(&self, question: impl FnOnce(Sender<R>) -> Question) -> Option<R> {
        let (to, answer) = channel();
        self.0.as_ref()?.send(StoreOrder::Question(question(to))).ok()?;
        answer.recv().ok()
    }
}
