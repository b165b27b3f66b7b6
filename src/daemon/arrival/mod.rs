//! A backbone's way in: manifest checked → files fetched → looked at in a child process → samples embedded → judged in a
//! round of its own. A niced thread does the long parts; the store remembers the backbone, so a restart begins again
//! with what is there.

mod way;

use self::way::{Ready, Way};
use super::Daemon;
use super::files;
use super::pair::{Incoming, OnProbation, PairChange};
use super::trainer::Cancel;
use crate::board;
use graft_backbone::admission::Refusal;
use graft_control::{Event, JobId, JobStep, Origin, RoundFailure};
use graft_store::{BackboneRow, Stage};
use graft_wire::backbone_manifest::Wanted;
use graft_wire::messages::EventType;
use graft_wire::{BackboneManifest, Code, Error};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A version may be this far above the last one.
const MAX_JUMP: u64 = 1000;
/// A host that cannot be reached is tried again so often, each pause twice the last one, from two seconds.
const TRIES: u32 = 6;

/// Where a backbone comes from: kept with it until it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The job that it is judged under.
    pub job: JobId,
    /// The host that has its files.
    pub url: String,
    /// Bearer token to fetch them with.
    pub token: String,
    /// It is the result of a job of this board.
    pub own: bool,
}

/// The backbone that is on its way.
pub struct Arrival {
    /// Its job.
    pub job: JobId,
    row: i64,
    own: bool,
    /// Ends it.
    pub cancel: Cancel,
}

/// How the way of a backbone ended before it was judged.
enum Stop {
    /// Its own fault: it is not taken on again.
    Refused(Refusal),
    /// Its files could not be had.
    Unreachable(String),
    /// Ours, or cancelled: it may be tried again.
    Broke(Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The code of the interface for a refusal.
fn error_of(refusal: &Refusal) -> Error {
    let code = match refusal.reason.as_str() {
        "digest_mismatch" | "size_mismatch" => Code::DigestMismatch,
        _ => Code::Incompatible,
    };
    Error::new(code, refusal.message.clone()).with("reason", refusal.reason.as_str())
}

impl Daemon {
    /// Whether a manifest is one that this board may take on: signature, addressee, version, time, room.
    pub(super) fn check_manifest(
        &self,
        manifest: &BackboneManifest,
        job: Option<&str>,
        base: Option<&str>,
    ) -> Result<(), Error> {
        let offload = &self.settings.offload;
        let pinned = offload.keys().map_err(Error::internal)?;
        let state = &self.settings.store.dir;
        let free = board::free_bytes(state).unwrap_or(u64::MAX);
        let room = offload.quota_bytes.saturating_sub(files::used(state));
        let floor = self.floors.get(&floor_key(manifest)).copied().unwrap_or(0);
        manifest.verify(
            &pinned,
            &Wanted {
                device: self.topics.device(),
                group: offload.group.as_deref(),
                job,
                base,
                line: &self.line,
                floor,
                max_jump: MAX_JUMP,
                max_bytes: room.min(free.saturating_sub(self.settings.store.free_floor_bytes)),
                now_ms: self.clock.synced().then(|| self.clock.wall_ms()),
            },
        )?;
        if manifest.width != self.provenance.width as u64 {
            let (found, here) = (manifest.width, self.provenance.width);
            let message =
                format!("its embeddings have {found} numbers, those of the present backbone {here}");
            return Err(Error::new(Code::Incompatible, message).with("reason", "wrong_width"));
        }
        Ok(())
    }

    /// Takes a checked manifest on, then calls back with what came of that.
    pub(super) fn receive(
        &mut self,
        manifest: BackboneManifest,
        source: Source,
        then: impl FnOnce(&mut Daemon, Result<(), Error>) + Send + 'static,
    ) {
        if let Some(arrival) = &self.arrival {
            let error = Error::busy(&arrival.job.to_string());
            return then(self, Err(error));
        }
        if self.control.active().is_none() {
            let message = "there is no head yet to compare with: label samples, then train";
            return then(self, Err(Error::new(Code::NotEnoughData, message)));
        }
        let now_ms = self.clock.wall_ms();
        let (text, version) = (manifest.to_json(), i64::try_from(manifest.version).unwrap_or(i64::MAX));
        let origin = graft_wire::messages::to_json(&source);
        self.store_then(
            move |store| {
                let known = store.backbones(1000)?.into_iter().find(|row| row.manifest == text);
                if let Some(row) = known {
                    return Ok(Err(row));
                }
                let digest = &manifest.files.onnx.digest;
                let id = store.transaction(|tx| tx.add_backbone(version, digest, &text, &origin, now_ms))?;
                store.backbone(id).map(Ok)
            },
            move |daemon, added| match added {
                Ok(Ok(row)) => {
                    then(daemon, Ok(()));
                    daemon.arrive(&row);
                }
                Ok(Err(row)) => {
                    let judged = judged_already(&row);
                    then(daemon, Err(judged));
                }
                Err(error) => then(daemon, Err(super::samples::store_error(&error))),
            },
        );
    }

    /// Begins, or begins again, with a backbone that the store knows as pending.
    pub(super) fn arrive(&mut self, row: &BackboneRow) {
        let read = BackboneManifest::from_json(row.manifest.as_bytes()).ok();
        let source = serde_json::from_str::<Source>(&row.origin).ok();
        let (Some(manifest), Some(source)) = (read, source) else {
            tracing::error!(backbone = row.id, "what is known of a backbone cannot be read: it is given up");
            return self.judged(row.id, Stage::Refused, "it cannot be read".into());
        };
        let cancel = Cancel::default();
        let (job, own) = (source.job, source.own);
        if !self.jobs.runs(&job.to_string()) {
            self.job_begins(job, if own { "offload" } else { "backbone" }, "fetch", "restart");
        }
        self.arrival = Some(Arrival { job, row: row.id, own, cancel: cancel.clone() });
        let way = Way {
            job,
            row: row.id,
            manifest,
            source,
            settings: self.settings.clone(),
            key: Arc::clone(&self.provenance.key),
            preprocess: self.provenance.preprocess.clone(),
            store: self.store.asker(),
            inbox: self.inbox.clone(),
            cancel,
        };
        if let Err(error) = std::thread::Builder::new().name("arrival".into()).spawn(move || way.run()) {
            self.arrival_stops(row.id, Stop::Broke(Error::internal(format!("no thread: {error}"))));
        }
    }

    fn arrival_stops(&mut self, row: i64, stop: Stop) {
        let Some(arrival) = self.arrival.take_if(|arrival| arrival.row == row) else { return };
        let (job, own) = (arrival.job, arrival.own);
        let error = match stop {
            Stop::Refused(refusal) => {
                self.judged(row, Stage::Refused, refusal.message.clone());
                let error = error_of(&refusal);
                self.event(EventType::BackboneRejected, |e| {
                    e.with("job", job.to_string()).because(error.clone())
                });
                error
            }
            Stop::Unreachable(why) => {
                self.forget_backbone(row);
                if own {
                    // The host has it still and will say so again.
                    tracing::warn!(job, why, "the result could not be fetched");
                    return self.result_not_taken();
                }
                Error::new(Code::OffloadUnreachable, why)
            }
            Stop::Broke(error) => {
                self.forget_backbone(row);
                error
            }
        };
        if own {
            self.result_taken();
        }
        self.job_fails(job, error);
        self.arrival_over();
    }

    /// The files are here, whole.
    fn fetched(&mut self, row: i64) {
        if self.arrival.as_ref().is_some_and(|arrival| arrival.row == row && arrival.own) {
            self.result_taken();
        }
    }

    /// It was admitted and has embedded every sample: the round may judge it.
    fn arrived(&mut self, row: i64, ready: Box<Ready>) {
        let Some(job) = self.arrival.as_ref().filter(|a| a.row == row).map(|a| a.job) else { return };
        if self.incoming.is_some() {
            let error = Error::new(Code::Busy, "the pair before is coming back; send the backbone again");
            return self.arrival_stops(row, Stop::Broke(error));
        }
        let baseline = self.usual.baseline(self.settings.offload.max_frame_ms);
        // The fastest run: the others tell of what else ran on the board.
        let took = ready.admission.inspection.ms_per_frame.min;
        if let Some(most) = baseline.frame_ms.filter(|most| took > *most) {
            let message = format!("a frame takes {took:.0} ms with it, {most:.0} ms are allowed");
            return self.arrival_stops(row, Stop::Refused(Refusal::new("too_slow", message)));
        }
        // The start that it is promoted in counts.
        let trial = OnProbation { starts: 1, unknown: baseline.unknown, frame_ms: baseline.frame_ms };
        let change = PairChange::Judged {
            trial,
            configured: ready.configured,
            before: Arc::clone(&self.provenance.embeddings),
        };
        let Ready { provenance, eye, taught, .. } = *ready;
        let (origin, taught) = (Origin::Round(job), Arc::new(taught));
        self.incoming = Some(Incoming { origin, provenance, eye, change, taught });
        self.control(Event::Trial(job));
    }

    /// The round that judges it has come so far. True when that was dealt with here.
    pub(super) fn trial_step(&mut self, job: JobId, step: &JobStep) -> bool {
        let Some(arrival) = self.arrival.as_ref().filter(|arrival| arrival.job == job) else { return false };
        let (row, asked) = (arrival.row, arrival.cancel.0.load(Ordering::Relaxed));
        match step {
            JobStep::Started => return false,
            // Held back, not unwanted: its turn comes again.
            JobStep::Failed(RoundFailure::Canceled) if !asked => {
                self.control(Event::Trial(job));
                return true;
            }
            // On disk; the rest follows once it is in use.
            JobStep::Promoted(..) => {
                self.arrival = None;
                return false;
            }
            JobStep::Rejected(_, reason) => {
                let error = Error::new(Code::Regression, reason.clone());
                self.event(EventType::BackboneRejected, |e| e.with("job", job.to_string()).because(error));
            }
            JobStep::Failed(RoundFailure::NotEnough(what)) => self.judged(row, Stage::Refused, what.clone()),
            JobStep::Failed(_) => self.forget_backbone(row),
        }
        self.incoming = None;
        self.arrival = None;
        self.arrival_over();
        false
    }

    /// Cancels what is on its way; whether there was something.
    pub(super) fn cancel_arrival(&mut self, job: JobId) -> bool {
        let Some(arrival) = self.arrival.as_ref().filter(|arrival| arrival.job == job) else { return false };
        arrival.cancel.now();
        // A trial that waits or runs is ended by the state machine.
        if self.incoming_of(Origin::Round(job)).is_some() {
            self.control(Event::Cancel(0, Some(job)));
        }
        true
    }

    fn judged(&mut self, row: i64, stage: Stage, reason: String) {
        let now_ms = self.clock.wall_ms();
        self.store_or_warn("a backbone's end", move |store| {
            store.transaction(|tx| tx.set_stage(row, stage, &reason, now_ms))
        });
    }

    fn forget_backbone(&mut self, row: i64) {
        self.store_or_warn("a backbone's end", move |store| store.transaction(|tx| tx.drop_backbone(row)));
    }
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

/// Names the versions that follow one another: those of one key and one line.
pub fn floor_key(manifest: &BackboneManifest) -> String {
    format!("{}/{}", manifest.key_id, manifest.line)
}
