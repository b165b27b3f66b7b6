//! Heads on their way: stored (with file, manifest and signature in one transaction), installed, published; restored
//! from an earlier version; and on probation.

use super::draft::{self, Draft, Stored, row_digest};
use super::tasks::{HeadToPublish, Task};
use crate::daemon::context::Context;
use crate::daemon::effects::Effects;
use crate::daemon::event::Note;
use crate::daemon::frames::{ActiveHead, Installed};
use crate::daemon::outbox::head_token;
use crate::daemon::provenance::Provenance;
use crate::daemon::store_error::store_error;
use crate::daemon::store_thread::StoreTask;
use graft_control::probation::{ProbationPolicy, StartProbation};
use graft_control::{Event, Origin, Version};
use graft_mqtt::Publication;
use graft_store::{ClassCount, HeadRow, StoreError};
use graft_wire::messages::{EventType, HeadState};
use graft_wire::{Code, Error, HeadFile, Manifest, Topics, parts};
use std::sync::Arc;

/// The head in use.
#[derive(Debug, Default)]
pub struct Heads {
    active: Option<ActiveHead>,
    state: Option<HeadState>,
    /// It is on probation.
    probation: Option<StartProbation>,
}

impl Heads {
    /// As the start found it.
    pub fn new(loaded: Option<(ActiveHead, HeadState)>, probation: Option<StartProbation>) -> Self {
        let (active, state) = loaded.unzip();
        Self { active, state, probation }
    }

    /// What the inference thread uses.
    pub fn active(&self) -> Option<&ActiveHead> {
        self.active.as_ref()
    }

    /// What is said of it.
    pub fn state(&self) -> Option<&HeadState> {
        self.state.as_ref()
    }

    /// Stores a head.
    pub fn store(&self, cx: &Context, origin: Origin, from: Arc<Provenance>, draft: Draft, fx: &mut Effects) {
        let parent = self.state.as_ref().map(|h| (h.version, h.digest.clone()));
        let draft = Box::new(Draft { parent, ..draft });
        let now_ms = cx.now.wall_ms;
        fx.store(StoreTask::Adapt(Task::Store { origin, from, draft, now_ms }));
    }

    /// An earlier head was read: it is stored as a new version. Gives what the state machine is told otherwise.
    pub fn restore(
        &self,
        cx: &Context,
        origin: Origin,
        version: Version,
        read: Result<Stored, StoreError>,
        fx: &mut Effects,
    ) -> Option<Event> {
        let incoming = cx.incoming.as_ref().filter(|incoming| incoming.origin == origin);
        let pair = incoming.map(|incoming| incoming.change.clone());
        let from = Arc::clone(incoming.map_or(&cx.backbone, |incoming| &incoming.provenance));
        let read = read.map_err(|e| e.to_string()).and_then(|stored| {
            draft::load(&stored, &from)?;
            Ok((HeadFile::decode(&stored.file).map_err(|e| e.to_string())?, stored))
        });
        match read {
            Ok((file, stored)) => {
                self.store(cx, origin, from, Draft::restored(file, stored, version, pair), fx);
                None
            }
            Err(error) => Some(Event::StoreFailed(origin, error)),
        }
    }

    /// A stored head was read: it is handed to the inference thread, with the backbone that changes with it. Gives what
    /// the state machine is told otherwise.
    pub fn install(
        &mut self,
        cx: &Context,
        origin: Origin,
        version: Version,
        read: Result<Stored, StoreError>,
        fx: &mut Effects,
    ) -> Option<Event> {
        let incoming = cx.incoming.as_ref().filter(|incoming| incoming.origin == origin);
        let from = incoming.map_or(&cx.backbone, |incoming| &incoming.provenance);
        match read.map_err(|e| e.to_string()).and_then(|stored| draft::load(&stored, from)) {
            Ok((head, state)) => {
                self.state = Some(state);
                self.active = Some(head.clone());
                fx.changed();
                fx.tell(Note::Use { origin, version, head });
                None
            }
            // The old one keeps serving; a command that waits is told.
            Err(error) => {
                tracing::error!(version, error, "a stored head cannot be installed");
                fx.tell(Note::UseFailed(origin));
                Some(Event::InstallFailed(origin, error))
            }
        }
    }

    /// The inference thread uses it: one of a round is on probation.
    pub fn installed(&mut self, cx: &Context, installed: &Installed, fx: &mut Effects) {
        let kind = match installed.origin {
            Origin::Round(_) => {
                self.probation = Some(StartProbation::begin(&ProbationPolicy::default(), cx.now.uptime));
                EventType::HeadApplied
            }
            Origin::Restore(..) => {
                self.probation = None;
                EventType::RolledBack
            }
        };
        let accuracy = self.state.as_ref().and_then(|h| h.accuracy).map(|a| a.value);
        fx.event(&cx.now, kind, |mut e| {
            if let Origin::Restore(_, from) = installed.origin {
                e = e.with("restored_from", from);
            }
            e.with("version", installed.version).with("accuracy", accuracy)
        });
    }

    /// The classes are others now: a renamed one has its new name from the next frame on, a removed one is never said again.
    pub fn classes_are(&mut self, classes: &[ClassCount], fx: &mut Effects) {
        let Some(active) = self.active.as_ref().and_then(|active| active.renamed(classes)) else { return };
        if let Some(state) = &mut self.state {
            state.classes = active.names();
        }
        self.active = Some(active.clone());
        fx.changed();
        fx.install(active, None);
    }

    /// Time passed: a head with which the daemon has served long enough has passed probation.
    pub fn tick(&mut self, cx: &Context, fx: &mut Effects) {
        if self.probation.as_mut().is_some_and(|probation| probation.settles(cx.now.uptime)) {
            self.probation = None;
            fx.store(StoreTask::Adapt(Task::EndProbation));
        }
    }

    /// The daemon stops in order: that is no failed start.
    pub fn stop(&self, fx: &mut Effects) {
        if self.probation.is_some() {
            fx.store(StoreTask::Adapt(Task::ForgiveStarts));
        }
    }
}

/// The version that a command means, if it fits this backbone and has the digest that the sender meant.
pub fn checked(
    cx: &Context,
    digest: Option<&str>,
    found: Result<Option<Box<HeadRow>>, StoreError>,
) -> Result<Version, Error> {
    match found {
        Err(StoreError::NotFound(what)) => Err(Error::new(Code::NotFound, what)),
        Err(error) => Err(store_error(&error)),
        Ok(None) => Err(Error::new(Code::NotFound, "there is no earlier head to go back to")),
        Ok(Some(row)) if digest.is_some_and(|digest| digest != row_digest(&row)) => Err(Error::new(
            Code::DigestMismatch,
            format!("version {} has another digest; see `graft head list`", row.version),
        )),
        Ok(Some(row)) if row.backbone != cx.backbone.backbone.digest => Err(Error::new(
            Code::Incompatible,
            format!("version {} was trained for another backbone ({})", row.version, row.backbone),
        )),
        Ok(Some(row)) => Ok(row.version.unsigned_abs()),
    }
}

/// Publishes a stored head: its parts, then the manifest, then the parts of older heads go.
pub fn publish(version: Version, read: Result<Box<HeadToPublish>, StoreError>, fx: &mut Effects) {
    let stages = read.map_err(|e| e.to_string()).and_then(|head| stages(&head, fx.topics()));
    match stages {
        Ok(stages) => {
            tracing::info!(version, parts = stages.first().map_or(0, Vec::len), "publishing the head");
            fx.sequence(stages, head_token(version));
        }
        Err(error) => tracing::error!(version, error, "a head could not be published"),
    }
}

fn stages(head: &HeadToPublish, topics: &Topics) -> Result<Vec<Vec<Publication>>, String> {
    let HeadToPublish { row, file, all } = head;
    let (list, bytes) = parts::split(file).map_err(|e| e.to_string())?;
    let body = list
        .iter()
        .zip(bytes)
        .map(|(part, bytes)| {
            Publication::on(topics.head_part(row.version.unsigned_abs(), part.n), bytes.to_vec())
        })
        .collect();
    let manifest = vec![Publication::on(topics.head(), row.manifest.clone())];
    // The head before this one stays, for whoever is just fetching it.
    let mut published: Vec<&HeadRow> =
        all.iter().filter(|r| r.published_ms.is_some() && r.version != row.version).collect();
    published.sort_by_key(|r| std::cmp::Reverse(r.version));
    let cleared = published
        .into_iter()
        .skip(1)
        .filter_map(|old| serde_json::from_str::<Manifest>(&old.manifest).ok().map(|m| (old.version, m)))
        .flat_map(|(version, old)| old.parts.into_iter().map(move |part| (version, part.n)))
        .map(|(version, n)| Publication::on(topics.head_part(version.unsigned_abs(), n), ""))
        .collect();
    Ok(vec![body, manifest, cleared])
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;
