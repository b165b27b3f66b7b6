//! A backbone arrives: manifest checked → files fetched → looked at in a child process → samples embedded → judged in a
//! round of its own. A niced thread does the long parts; the store remembers the backbone, so a restart begins again
//! with what is there.

use super::arriving::Arriving;
use super::change::PairChange;
use super::incoming::Incoming;
use super::tasks::{Ready, Received, Source, Stop, Task};
use crate::daemon::background::Background;
use crate::daemon::cancel::Cancel;
use crate::daemon::context::Context;
use crate::daemon::effects::Effects;
use crate::daemon::event::{JobChange, Note};
use crate::daemon::kept::PairProbation;
use crate::daemon::store_error::store_error;
use crate::daemon::store_thread::StoreTask;
use graft_backbone::admission::Refusal;
use graft_control::probation::Baseline;
use graft_control::{JobId, JobStep, Origin, RoundFailure};
use graft_store::{BackboneRow, Stage, StoreError};
use graft_wire::messages::EventType;
use graft_wire::{BackboneManifest, Code, Error, Reply};
use std::sync::Arc;

/// The backbone that is arriving.
#[derive(Debug)]
struct Arrival {
    job: JobId,
    row: i64,
    own: bool,
    cancel: Cancel,
}

/// The backbone that is arriving, and the one that takes the active one's place once its head is stored.
#[derive(Debug, Default)]
pub struct Arrivals {
    current: Option<Arrival>,
    incoming: Option<Arc<Incoming>>,
}

impl Arrivals {
    /// The job of the backbone that is arriving.
    pub fn job(&self) -> Option<JobId> {
        self.current.as_ref().map(|arrival| arrival.job)
    }

    /// The backbone that takes the active one's place once its head is stored.
    pub fn incoming(&self) -> Option<&Arc<Incoming>> {
        self.incoming.as_ref()
    }

    /// That one, once, if its head comes from this.
    pub fn take_incoming(&mut self, of: impl FnOnce(Origin) -> bool) -> Option<Arc<Incoming>> {
        self.incoming.take_if(|incoming| of(incoming.origin))
    }

    /// This one is to take the active one's place.
    pub fn comes(&mut self, incoming: Incoming) {
        self.incoming = Some(Arc::new(incoming));
    }

    /// Ends what is arriving.
    pub fn stop(&self) {
        if let Some(arrival) = &self.current {
            arrival.cancel.now();
        }
    }

    /// Takes a checked backbone on.
    pub fn receive(&mut self, cx: &Context, received: Received, fx: &mut Effects) {
        if let Some(arrival) = &self.current {
            let error = Error::busy(&arrival.job.to_string());
            return answer(&received, Err(error), fx);
        }
        if cx.active.is_none() {
            let message = "there is no head yet to compare with: label samples, then train";
            return answer(&received, Err(Error::new(Code::NotEnoughData, message)), fx);
        }
        fx.store(StoreTask::Pair(Box::new(Task::Add(Box::new(received), cx.now.wall_ms))));
    }

    /// The store knows it now, or knew it before.
    pub fn added(
        &mut self,
        cx: &Context,
        received: Received,
        added: Result<(Box<BackboneRow>, bool), StoreError>,
        fx: &mut Effects,
    ) {
        match added {
            Ok((row, true)) => {
                answer(&received, Ok(()), fx);
                self.arrive(cx, &row, fx);
            }
            Ok((row, false)) => answer(&received, Err(judged_already(&row)), fx),
            Err(error) => answer(&received, Err(store_error(&error)), fx),
        }
    }

    /// Begins, or begins again, with a backbone that the store knows as pending.
    pub fn arrive(&mut self, cx: &Context, row: &BackboneRow, fx: &mut Effects) {
        let read = BackboneManifest::from_json(row.manifest.as_bytes()).ok();
        let source = serde_json::from_str::<Source>(&row.origin).ok();
        let (Some(manifest), Some(source)) = (read, source) else {
            tracing::error!(backbone = row.id, "what is known of a backbone cannot be read: it is given up");
            return refuse(cx, row.id, "it cannot be read".into(), fx);
        };
        let cancel = Cancel::default();
        let (job, own) = (source.job, source.own);
        let op = if own { "offload" } else { "backbone" };
        fx.tell(Note::Job(job, JobChange::Resumes { op, step: "fetch" }));
        self.current = Some(Arrival { job, row: row.id, own, cancel: cancel.clone() });
        fx.start(Background::Arriving(Box::new(Arriving {
            job,
            row: row.id,
            manifest: Box::new(manifest),
            source,
            settings: Arc::clone(&cx.settings),
            key: Arc::clone(&cx.backbone.key),
            present: cx.backbone.card.clone(),
            cancel,
        })));
    }

    /// It ended before it could be judged.
    pub fn stopped(&mut self, cx: &Context, row: i64, stop: Stop, fx: &mut Effects) {
        let Some(arrival) = self.current.take_if(|arrival| arrival.row == row) else { return };
        let (job, own) = (arrival.job, arrival.own);
        let error = match stop {
            Stop::Refused(refusal) => {
                refuse(cx, row, refusal.message.clone(), fx);
                let error = error_of(&refusal);
                fx.event(&cx.now, EventType::BackboneRejected, |e| {
                    e.with("job", job.to_string()).because(error.clone())
                });
                error
            }
            Stop::Unreachable(why) => {
                forget(row, fx);
                if own {
                    // The host has it still and will say so again.
                    tracing::warn!(job, why, "the result could not be fetched");
                    return fx.tell(Note::Result(false));
                }
                Error::new(Code::OffloadUnreachable, why)
            }
            Stop::Broke(error) => {
                forget(row, fx);
                error
            }
        };
        if own {
            fx.tell(Note::Result(true));
        }
        fx.tell(Note::Job(job, JobChange::Fails(error)));
        fx.tell(Note::Tidy);
    }

    /// The files are here, whole.
    pub fn fetched(&self, row: i64, fx: &mut Effects) {
        if self.current.as_ref().is_some_and(|arrival| arrival.row == row && arrival.own) {
            fx.tell(Note::Result(true));
        }
    }

    /// It was admitted and has embedded every sample: the round may judge it.
    pub fn arrived(&mut self, cx: &Context, row: i64, ready: Ready, baseline: Baseline, fx: &mut Effects) {
        let Some(job) = self.current.as_ref().filter(|a| a.row == row).map(|a| a.job) else { return };
        if self.incoming.is_some() {
            let error = Error::new(Code::Busy, "the pair before is coming back; send the backbone again");
            return self.stopped(cx, row, Stop::Broke(error), fx);
        }
        // The fastest run: the others tell of what else ran on the board.
        let took = ready.admission.inspection.ms_per_frame.min;
        if let Some(most) = baseline.frame_ms.filter(|most| took > *most) {
            let message = format!("a frame takes {took:.0} ms with it, {most:.0} ms are allowed");
            return self.stopped(cx, row, Stop::Refused(Refusal::new("too_slow", message)), fx);
        }
        // The start that it is promoted in counts.
        let probation = PairProbation { starts: 1, unknown: baseline.unknown, frame_ms: baseline.frame_ms };
        let Ready { provenance, network, taught, configured, .. } = ready;
        let before = Arc::clone(&cx.backbone.embeddings);
        let change = PairChange::Judged { probation, configured, before };
        let origin = Origin::Round(job);
        self.comes(Incoming { origin, provenance, network, change, taught });
        fx.tell(Note::Judge(job));
    }

    /// The round that judges it has come so far. True: the job is to be told.
    pub fn step(&mut self, cx: &Context, job: JobId, step: &JobStep, fx: &mut Effects) -> bool {
        let Some(arrival) = self.current.as_ref().filter(|arrival| arrival.job == job) else { return true };
        let (row, asked) = (arrival.row, arrival.cancel.asked());
        match step {
            JobStep::Started => return true,
            // Held back, not unwanted: its turn comes again.
            JobStep::Failed(RoundFailure::Canceled) if !asked => {
                fx.tell(Note::Judge(job));
                return false;
            }
            // On disk; the rest follows once it is in use.
            JobStep::Promoted(..) => {
                self.current = None;
                return true;
            }
            JobStep::Rejected(_, reason) => {
                let error = Error::new(Code::Regression, reason.clone());
                fx.event(&cx.now, EventType::BackboneRejected, |e| {
                    e.with("job", job.to_string()).because(error)
                });
            }
            JobStep::Failed(RoundFailure::NotEnough(what)) => refuse(cx, row, what.clone(), fx),
            JobStep::Failed(_) => forget(row, fx),
        }
        self.incoming = None;
        self.current = None;
        fx.tell(Note::Tidy);
        true
    }

    /// Cancels what is arriving.
    pub fn cancel(&self, job: JobId, fx: &mut Effects) {
        let Some(arrival) = self.current.as_ref().filter(|arrival| arrival.job == job) else { return };
        arrival.cancel.now();
        // A judging that waits or runs is ended by the state machine.
        if self.incoming.as_ref().is_some_and(|incoming| incoming.origin == Origin::Round(job)) {
            fx.tell(Note::CancelJudging(job));
        }
    }
}

/// Whoever sent it is told whether it was taken on: a host by the offer's machine, others here.
fn answer(received: &Received, result: Result<(), Error>, fx: &mut Effects) {
    let (token, job) = (received.token, received.source.job);
    if received.source.own {
        return fx.tell(Note::Received { token, job, result });
    }
    if let Err(error) = &result {
        fx.tell(Note::Job(job, JobChange::Fails(error.clone())));
    }
    fx.finish(token, result.map(|()| Reply::accepted(None, job.to_string())));
}

fn refuse(cx: &Context, row: i64, reason: String, fx: &mut Effects) {
    let (stage, now_ms) = (Stage::Refused, cx.now.wall_ms);
    fx.store(StoreTask::Pair(Box::new(Task::SetStage { row, stage, reason, now_ms })));
}

fn forget(row: i64, fx: &mut Effects) {
    fx.store(StoreTask::Pair(Box::new(Task::Drop(row))));
}

/// The code of the interface for a refusal.
fn error_of(refusal: &Refusal) -> Error {
    let code = match refusal.reason.as_str() {
        "digest_mismatch" | "size_mismatch" => Code::DigestMismatch,
        _ => Code::Incompatible,
    };
    Error::new(code, refusal.message.clone()).with("reason", refusal.reason.as_str())
}

/// What is said to a host that sends a backbone once more.
fn judged_already(row: &BackboneRow) -> Error {
    let version = row.version;
    match row.stage {
        Stage::Pending => Error::new(Code::Busy, format!("version {version} is on its way already")),
        Stage::Promoted | Stage::Confirmed => {
            Error::new(Code::Conflict, format!("version {version} was taken on already"))
                .with("reason", "replayed")
        }
        Stage::Refused | Stage::RolledBack => {
            let message = format!("version {version} was judged already: {}", row.reason);
            Error::new(Code::Regression, message).with("reason", "judged")
        }
    }
}
