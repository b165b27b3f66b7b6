//! The pair that serves, backbone and head: how another one takes its place between two frames, its probation, and the
//! return to the one before. Backbone and head change in one transaction of the store (`graft_store::Pairs`).

mod arrival;
pub mod arriving;
pub mod change;
pub mod check;
pub mod configured;
pub mod files;
pub mod incoming;
mod recent;
pub mod reembed;
pub mod tasks;

use self::arrival::Arrivals;
use self::change::PairChange;
use self::incoming::Incoming;
use self::recent::RecentFrames;
use self::reembed::Reembedding;
use self::tasks::{Done, Floors, Received, Source, Task};
use super::background::Background;
use super::context::{Asked, Context};
use super::effects::{Effect, Effects};
use super::event::{JobChange, Note};
use super::frames::{ActiveHead, Installed, Order};
use super::kept::PairProbation;
use super::provenance::Provenance;
use super::store_error::store_error;
use super::store_thread::StoreTask;
use crate::config::Settings;
use graft_control::probation::{Decision, Probation, ProbationPolicy};
use graft_control::{Answer, Asker, JobId, JobStep, Origin, Version};
use graft_store::{BackboneRow, StoreError};
use graft_wire::messages::EventType;
use graft_wire::{Code, Error, command};
use std::sync::Arc;
use std::time::Duration;

/// What the pair is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The loop turns for the first time.
    Begin {
        /// The pair before came back, and why.
        rolled_back: Option<String>,
    },
    /// A frame went through the backbone and the head.
    Predicted {
        /// It was called unknown.
        unknown: bool,
        /// How long it took, in milliseconds.
        frame_ms: f32,
    },
    /// `cmd/backbone`.
    Command(Asked, command::Backbone),
    /// A stored head is to be used, with the backbone that comes with it.
    Use {
        /// What it came from.
        origin: Origin,
        /// Its version.
        version: Version,
        /// The head.
        head: ActiveHead,
    },
    /// A head cannot be used.
    UseFailed(Origin),
    /// The inference thread uses a backbone.
    Installed(PairChange),
    /// A restoring was answered.
    RestoreAnswered(Asker, Answer),
    /// A round has come so far.
    RoundStep(JobId, JobStep),
    /// A backbone is to be fetched and judged.
    Receive(Box<Received>),
    /// A backbone of an earlier start goes on arriving.
    Arrive(Box<BackboneRow>),
    /// The backbone of this job is no longer wanted.
    CancelArrival(JobId),
    /// Files that nothing needs may go.
    Tidy,
    /// Time passed.
    Tick,
    /// The daemon stops in order.
    Stop,
    /// Background work is done.
    Done(Done),
}

/// The pair that serves, and those before and after it.
#[derive(Debug)]
pub struct Pair {
    backbone: Arc<Provenance>,
    /// The name of the configured backbone.
    line: Arc<str>,
    arrivals: Arrivals,
    floors: Arc<Floors>,
    probation: Option<Probation>,
    recent: RecentFrames,
    /// Why the active pair has to go as soon as nothing else runs.
    rollback_due: Option<String>,
}

impl Pair {
    /// As the start found it.
    pub fn new(
        settings: &Settings,
        uptime: Duration,
        line: &str,
        backbone: Provenance,
        on: Option<&PairProbation>,
        floors: Floors,
    ) -> Self {
        Self {
            backbone: Arc::new(backbone),
            line: line.into(),
            arrivals: Arrivals::default(),
            floors: Arc::new(floors),
            probation: on.map(|on| probation(settings, on, uptime)),
            recent: RecentFrames::default(),
            rollback_due: None,
        }
    }

    /// The backbone in use.
    pub fn backbone(&self) -> &Arc<Provenance> {
        &self.backbone
    }

    /// The name of the configured backbone.
    pub fn line(&self) -> &Arc<str> {
        &self.line
    }

    /// The last version of each line that passed probation.
    pub fn floors(&self) -> &Arc<Floors> {
        &self.floors
    }

    /// The backbone that takes the active one's place once its head is stored.
    pub fn incoming(&self) -> Option<&Arc<Incoming>> {
        self.arrivals.incoming()
    }

    /// The job of the backbone that is arriving.
    pub fn arrival(&self) -> Option<JobId> {
        self.arrivals.job()
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Begin { rolled_back } => {
                self.reembed(fx);
                if let Some(reason) = rolled_back {
                    self.tell_rolled_back(cx, reason, fx);
                }
            }
            Input::Predicted { unknown, frame_ms } => match &mut self.probation {
                Some(probation) => probation.frame(unknown, f64::from(frame_ms)),
                None => self.recent.frame(unknown, frame_ms),
            },
            Input::Command(asked, command) => self.command(cx, &asked, command, fx),
            Input::Use { origin, version, head } => self.use_head(origin, version, head, fx),
            Input::UseFailed(origin) => {
                self.arrivals.take_incoming(|of| of == origin);
            }
            Input::Installed(change) => self.installed(cx, change, fx),
            Input::RestoreAnswered(asker, answer) => self.restore_answered(asker, &answer),
            Input::RoundStep(job, step) => {
                if self.arrivals.step(cx, job, &step, fx) {
                    fx.tell(Note::RoundTold(job, step));
                }
            }
            Input::Receive(received) => self.arrivals.receive(cx, *received, fx),
            Input::Arrive(row) => self.arrivals.arrive(cx, &row, fx),
            Input::CancelArrival(job) => self.arrivals.cancel(job, fx),
            Input::Tidy => self.tidy(cx, fx),
            Input::Tick => self.tick(cx, fx),
            Input::Stop => {
                if self.probation.is_some() {
                    fx.store(StoreTask::Pair(Box::new(Task::ForgiveStarts)));
                }
                self.arrivals.stop();
            }
            Input::Done(done) => self.done(cx, done, fx),
        }
    }

    /// Embeds stored crops anew for the backbone in use, if there is anything to do.
    fn reembed(&self, fx: &mut Effects) {
        let key = Arc::clone(&self.backbone.embeddings);
        fx.start(Background::Reembedding(Reembedding { key }));
    }

    fn command(&mut self, cx: &Context, asked: &Asked, command: command::Backbone, fx: &mut Effects) {
        match command {
            command::Backbone::Rollback => {
                if self.arrivals.incoming().is_some() || self.rollback_due.is_some() {
                    let error = Error::new(Code::Busy, "the pair is changing; try again");
                    return fx.finish(asked.token, Err(error));
                }
                self.roll_back(cx, Asker::Command(asked.token), "on request".into(), fx);
            }
            command::Backbone::Apply { url, token, manifest } => {
                if let Err(error) = check::manifest(cx, &manifest, None, None, fx) {
                    return fx.finish(asked.token, Err(error));
                }
                let job = fx.job_ids().take();
                let source = Source { job, url, token, own: false };
                let begins = JobChange::Begins { op: "backbone", step: "fetch", by: asked.by };
                fx.tell(Note::Job(job, begins));
                let received = Received { token: asked.token, manifest: *manifest, source };
                self.arrivals.receive(cx, received, fx);
            }
        }
    }

    /// Loads the pair before, then restores its head.
    fn roll_back(&self, cx: &Context, asker: Asker, reason: String, fx: &mut Effects) {
        let (settings, key) = (Arc::clone(&cx.settings), Arc::clone(&self.backbone.key));
        fx.store(StoreTask::Pair(Box::new(Task::LoadPrevious { asker, reason, settings, key })));
    }

    fn previous_loaded(
        &mut self,
        asker: Asker,
        reason: String,
        previous: Result<Option<Result<tasks::Previous, String>>, StoreError>,
        fx: &mut Effects,
    ) {
        let error = match previous {
            Ok(Some(Ok(previous))) => {
                let tasks::Previous { network, provenance, head } = previous;
                let origin = Origin::Restore(asker, head);
                let change = PairChange::Back(reason);
                let taught = Arc::default();
                self.arrivals.comes(Incoming { origin, provenance, network, change, taught });
                return fx.tell(Note::Restore(asker, head));
            }
            Ok(Some(Err(error))) => {
                tracing::error!(error, "the pair before cannot be loaded");
                Error::internal(error)
            }
            Ok(None) => Error::new(Code::NotFound, "there is no earlier backbone to go back to"),
            Err(error) => store_error(&error),
        };
        if let Asker::Command(token) = asker {
            fx.finish(token, Err(error));
        }
    }

    /// A restoring that is answered with a no brings no backbone.
    fn restore_answered(&mut self, asker: Asker, answer: &Answer) {
        if !matches!(answer, Answer::Busy(_) | Answer::Failed(_)) {
            return;
        }
        let ours = |origin: Origin| matches!(origin, Origin::Restore(of, _) if of == asker);
        let Some(incoming) = self.arrivals.take_incoming(ours) else { return };
        match (answer, &incoming.change, asker) {
            // Nobody asks again for what the daemon itself wants.
            (Answer::Busy(_), PairChange::Back(reason), Asker::Daemon) => {
                self.rollback_due = Some(reason.clone());
            }
            (Answer::Failed(why), ..) => tracing::error!(why, "the pair before could not come back"),
            _ => {}
        }
    }

    /// Uses a head from the next frame on, with the backbone that comes with it.
    fn use_head(&mut self, origin: Origin, version: Version, head: ActiveHead, fx: &mut Effects) {
        let Some(incoming) = self.arrivals.take_incoming(|of| of == origin) else {
            return fx.install(head, Some(Installed { origin, version, change: None }));
        };
        self.backbone = Arc::clone(&incoming.provenance);
        fx.changed();
        let then = Installed { origin, version, change: Some(incoming.change.clone()) };
        let network = incoming.network.clone();
        fx.send(Effect::Order(Order::InstallPair { network, head, then }));
    }

    fn installed(&mut self, cx: &Context, change: PairChange, fx: &mut Effects) {
        fx.tell(Note::Info);
        // Samples that were labelled meanwhile have embeddings of the other backbone.
        self.reembed(fx);
        match change {
            PairChange::Judged { probation: on, .. } => {
                self.recent = RecentFrames::default();
                self.probation = Some(probation(&cx.settings, &on, cx.now.uptime));
                let backbone = self.backbone.backbone.clone();
                fx.event(&cx.now, EventType::BackboneApplied, |e| {
                    e.with("name", backbone.name).with("digest", backbone.digest)
                });
            }
            PairChange::Back(reason) => {
                self.probation = None;
                self.tell_rolled_back(cx, reason, fx);
            }
        }
        fx.tell(Note::Tidy);
    }

    /// Tells that the pair before serves again.
    fn tell_rolled_back(&self, cx: &Context, reason: String, fx: &mut Effects) {
        let backbone = self.backbone.backbone.clone();
        let error = Error::new(Code::Regression, reason);
        fx.event(&cx.now, EventType::RolledBack, |e| {
            e.with("name", backbone.name).with("digest", backbone.digest).because(error)
        });
    }

    fn tick(&mut self, cx: &Context, fx: &mut Effects) {
        if self.arrivals.incoming().is_none()
            && cx.round.is_none()
            && let Some(reason) = self.rollback_due.take()
        {
            return self.roll_back(cx, Asker::Daemon, reason, fx);
        }
        match self.probation.as_mut().and_then(|probation| probation.tick(cx.now.uptime)) {
            None => {}
            Some(Decision::Settled) => fx.store(StoreTask::Pair(Box::new(Task::ForgiveStarts))),
            Some(Decision::Confirm) => {
                self.probation = None;
                if let Some(row) = self.backbone.row {
                    let floors = Floors::clone(&self.floors);
                    let now_ms = cx.now.wall_ms;
                    fx.store(StoreTask::Pair(Box::new(Task::Confirm { row, floors, now_ms })));
                }
            }
            Some(Decision::RollBack(reason)) => {
                tracing::warn!(reason, "the new pair fails its probation");
                self.probation = None;
                self.rollback_due = Some(reason);
            }
        }
    }

    /// Removes files and embeddings of backbones that nothing needs, and the files of jobs that are over.
    fn tidy(&self, cx: &Context, fx: &mut Effects) {
        fx.store(StoreTask::Pair(Box::new(Task::Tidy {
            state: cx.settings.store.dir.clone(),
            here: self.backbone.embeddings.to_string(),
            arriving: self.arrival().is_some(),
            jobs: [cx.offered, self.arrival()].into_iter().flatten().collect(),
        })));
    }

    fn done(&mut self, cx: &Context, done: Done, fx: &mut Effects) {
        match done {
            Done::PreviousLoaded { asker, reason, previous } => {
                self.previous_loaded(asker, reason, previous, fx);
            }
            Done::Confirmed(Ok(floors)) => {
                tracing::info!(backbone = self.backbone.backbone.name, "the pair has passed its probation");
                self.floors = Arc::new(floors);
            }
            // It stays on probation in the store: the next start begins it again.
            Done::Confirmed(Err(error)) => {
                tracing::error!(%error, "the end of a probation could not be stored");
            }
            Done::Added(received, added) => self.arrivals.added(cx, *received, added, fx),
            Done::Fetched(row) => self.arrivals.fetched(row, fx),
            Done::Arrived(row, ready) => {
                let baseline = self.recent.baseline(cx.settings.offload.max_frame_ms);
                self.arrivals.arrived(cx, row, *ready, baseline, fx);
            }
            Done::Stopped(row, stop) => self.arrivals.stopped(cx, row, stop, fx),
        }
    }
}

/// Probation as the settings want it.
fn probation(settings: &Settings, on: &PairProbation, uptime: Duration) -> Probation {
    let policy = ProbationPolicy::default();
    let length = Duration::from_secs_f64(settings.offload.probation_s);
    let (settle, window) = (policy.settle.min(length), policy.window.min(length));
    Probation::new(ProbationPolicy { length, settle, window, ..policy }, on.baseline(), uptime)
}

#[cfg(test)]
mod tests;
