//! Heads on their way: stored (with file, manifest and signature in one transaction), installed,
//! published; restored from an earlier version.

use super::inference::{ActiveHead, Order};
use super::pair::PairChange;
use super::provenance::Provenance;
use super::{Daemon, Input, trial};
use graft_control::{Answer, Event, JobId, Origin, Token, Verdict, Version};
use graft_learn::Head;
use graft_store::{HeadRow, HeldOut, NewHead, Store, StoreError, Tx};
use graft_wire::messages::{EventType, HeadState, Interval};
use graft_wire::{Code, Error, HeadFile, HeadMeta, Manifest, command, digest, head_file::Dtype, timestamp};
use serde_json::{Map, Value};
use std::sync::Arc;

/// A head that is to be stored.
pub struct Draft {
    head: Head,
    classes: Vec<String>,
    method: String,
    metrics: Map<String, Value>,
    snapshot: String,
    /// Version and digest of the head that is active now.
    parent: Option<(Version, String)>,
    restored_from: Option<Version>,
    held_out: Vec<HeldOut>,
    promote: bool,
    gate: String,
    /// The backbone that changes with it.
    pair: Option<PairChange>,
}

impl Draft {
    /// An earlier head again.
    pub fn restored(file: HeadFile, held_out: Vec<HeldOut>, from: Version, pair: Option<PairChange>) -> Self {
        Self {
            head: file.head,
            classes: file.meta.classes,
            method: file.meta.method,
            metrics: file.meta.metrics,
            snapshot: file.meta.snapshot,
            parent: None,
            restored_from: Some(from),
            held_out,
            promote: true,
            gate: format!("restored from version {from}"),
            pair,
        }
    }
}

pub fn row_version(version: Version) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// Makes file, manifest and row of a head under the next version, inside a transaction. A head that is to serve must be
/// one of the backbone that serves then.
pub fn store_draft(tx: &Tx<'_>, from: &Provenance, draft: Draft, now_ms: i64) -> Result<Version, StoreError> {
    let version = tx.next_head_version()?;
    let (parent, parent_digest) = draft.parent.unzip();
    let meta = HeadMeta {
        dtype: Dtype::F32,
        classes: draft.classes.clone(),
        backbone: from.backbone.clone(),
        tensor: from.tensor.clone(),
        preprocess: from.preprocess.clone(),
        snapshot: draft.snapshot.clone(),
        method: draft.method.clone(),
        metrics: draft.metrics.clone(),
        parent: parent_digest,
        restored_from: draft.restored_from,
        device: from.device.clone(),
        version: version.unsigned_abs(),
        created: timestamp::rfc3339(now_ms),
    };
    let invalid = |e: &dyn std::fmt::Display| StoreError::Invalid(format!("the head cannot be written: {e}"));
    let file = HeadFile { head: draft.head, meta }.encode().map_err(|e| invalid(&e))?;
    let manifest = Manifest::signed(&file, None, &from.key).map_err(|e| invalid(&e))?;
    let head = NewHead {
        version,
        file,
        manifest: manifest.to_json(),
        method: draft.method,
        metrics: Value::Object(draft.metrics).to_string(),
        gate: draft.gate,
        parent: parent.map(row_version),
        restored_from: draft.restored_from.map(row_version),
        backbone: from.backbone.digest.clone(),
        classes: draft.classes,
        snapshot: draft.snapshot,
        held_out: draft.held_out,
    };
    if let Some(pair) = &draft.pair {
        pair.carry_out(tx, from.row, draft.promote, &head.gate, now_ms)?;
    }
    if draft.promote {
        if tx.pairs()?.active.backbone != from.row {
            return Err(StoreError::Conflict("another backbone became active meanwhile".into()));
        }
        tx.promote(&head, now_ms)?;
        trial::promoted(tx, version, head.restored_from.is_none())?;
    } else {
        tx.put_head(&head, now_ms)?;
    }
    Ok(version.unsigned_abs())
}

/// A stored head with its file.
pub fn read(store: &mut Store, version: Version) -> Result<(HeadRow, Vec<u8>), StoreError> {
    Ok((store.head(row_version(version))?, store.head_file(row_version(version))?))
}

impl Daemon {
    /// Stores the candidate of a round, promoted or rejected.
    pub(super) fn store_candidate(&mut self, job: JobId, verdict: Verdict) {
        let origin = Origin::Round(job);
        let finished = self.training.as_mut().filter(|t| t.job == job).and_then(|t| t.finished.take());
        let (Some(finished), Some(training)) = (finished, &self.training) else {
            return self.control(Event::StoreFailed(origin, "the round's head is gone".into()));
        };
        let draft = Draft {
            metrics: finished.metrics(),
            head: finished.round.head,
            classes: finished.classes,
            method: finished.round.method.as_str().to_owned(),
            snapshot: training.snapshot.clone(),
            parent: None,
            restored_from: None,
            held_out: finished.held_out,
            promote: verdict.promotes(),
            gate: verdict.reason().to_owned(),
            pair: self.incoming_of(origin).map(|incoming| incoming.change.clone()),
        };
        // What was found on a backbone that is not taken says nothing about the one that stays.
        let findings = (draft.pair.is_none() || draft.promote).then(|| training.findings.clone());
        // A round's head belongs to the backbone whose embeddings it saw.
        let from = training.provenance.clone();
        self.store_head(origin, from, draft);
        if let Some(findings) = findings {
            self.keep_findings(findings);
        }
        if let Verdict::Reject(reason) = verdict {
            let error = Error::new(Code::Regression, reason);
            self.event(EventType::HeadRejected, |e| e.with("job", job.to_string()).because(error));
        }
    }

    fn store_head(&mut self, origin: Origin, from: Provenance, draft: Draft) {
        let parent = self.head_state.as_ref().map(|h| (h.version, h.digest.clone()));
        let draft = Draft { parent, ..draft };
        let now_ms = self.clock.wall_ms();
        self.store_then(
            move |store| store.transaction(|tx| store_draft(tx, &from, draft, now_ms)),
            move |daemon, result| match result {
                Ok(version) => daemon.control(Event::Stored(origin, version)),
                Err(error) => daemon.control(Event::StoreFailed(origin, error.to_string())),
            },
        );
    }

    /// Stores a new version that is an earlier one again.
    pub(super) fn restore_head(&mut self, token: Token, version: Version) {
        let origin = Origin::Restore(token, version);
        self.store_then(
            move |store| Ok((store.head_file(row_version(version))?, store.held_out(row_version(version))?)),
            move |daemon, result| {
                let incoming = daemon.incoming_of(origin);
                let pair = incoming.map(|incoming| incoming.change.clone());
                let from = incoming.map_or(&daemon.provenance, |incoming| &incoming.provenance).clone();
                let read = result.map_err(|e| e.to_string()).and_then(|(file, held_out)| {
                    load(&file, &from)?;
                    Ok((HeadFile::decode(&file).map_err(|e| e.to_string())?, held_out))
                });
                match read {
                    Ok((file, held_out)) => {
                        daemon.store_head(origin, from, Draft::restored(file, held_out, version, pair));
                    }
                    Err(error) => daemon.control(Event::StoreFailed(origin, error)),
                }
            },
        );
    }

    /// Hands a stored head to the inference thread, with the backbone that changes with it.
    pub(super) fn install_head(&mut self, origin: Origin, version: Version) {
        self.store_then(
            move |store| store.head_file(row_version(version)),
            move |daemon, file| {
                let incoming = daemon.incoming.take_if(|incoming| incoming.origin == origin);
                let from = incoming.as_ref().map_or(&daemon.provenance, |incoming| &incoming.provenance);
                match file.map_err(|e| e.to_string()).and_then(|file| load(&file, from)) {
                    Ok((active, state)) => {
                        daemon.head_state = Some(state);
                        let then = move |daemon: &mut Daemon| {
                            daemon.announce_head(origin, version);
                            daemon.control(Event::Installed(origin, version));
                        };
                        match incoming {
                            Some(incoming) => daemon.install_pair(incoming, active, then),
                            None => daemon.install(active, then),
                        }
                    }
                    // The old one keeps serving; a command that waits is told.
                    Err(error) => {
                        tracing::error!(version, error, "a stored head cannot be installed");
                        daemon.control(Event::InstallFailed(origin, error));
                    }
                }
            },
        );
    }

    fn announce_head(&mut self, origin: Origin, version: Version) {
        self.trial_of(origin);
        let kind = match origin {
            Origin::Round(_) => EventType::HeadApplied,
            Origin::Restore(..) => EventType::RolledBack,
        };
        let accuracy = self.head_state.as_ref().and_then(|h| h.accuracy).map(|a| a.value);
        self.event(kind, |mut e| {
            if let Origin::Restore(_, from) = origin {
                e = e.with("restored_from", from);
            }
            e.with("version", version).with("accuracy", accuracy)
        });
    }

    /// Uses a head from the next frame on, then calls back.
    pub(super) fn install(&mut self, active: ActiveHead, then: impl FnOnce(&mut Daemon) + Send + 'static) {
        self.active = Some(active.clone());
        self.state_changed = true;
        let inbox = self.inbox.clone();
        let done = Box::new(move || {
            let _ = inbox.send(Input::Continue(Box::new(then)));
        });
        let _ = self.orders.send(Order::Install(Some(active), done));
    }

    /// Until there is a trained head, an untrained one of the present classes stands in, so that people
    /// see what chance looks like. It is never published.
    pub(super) fn stand_in(&mut self) {
        if self.control.active().is_some() {
            return;
        }
        let classes: Vec<String> = self.dataset.classes.iter().map(|c| c.name.clone()).collect();
        if classes.len() < 2 || self.active.as_ref().is_some_and(|a| *a.classes == *classes) {
            return;
        }
        let head = Head::random(classes.len(), self.provenance.width, self.settings.learn.seed);
        self.install(ActiveHead { version: 0, head: Arc::new(head), classes: classes.into() }, |_| {});
    }

    pub(super) fn head_command(&mut self, token: Token, head: command::Head) {
        match head {
            command::Head::Publish => self.control(Event::Publish(token)),
            command::Head::Pin { on } => self.control(Event::Pin(token, on)),
            command::Head::Apply { version, digest } => self.restore_if(token, Some(version), digest),
            command::Head::Rollback { to } => self.restore_if(token, to, None),
        }
    }

    /// Restores a stored head if it fits this backbone and has the digest that the sender meant.
    fn restore_if(&mut self, token: Token, version: Option<Version>, wanted: Option<String>) {
        let backbone = self.provenance.backbone.digest.clone();
        self.store_then(
            move |store| match version {
                Some(version) => store.head(row_version(version)).map(Some),
                None => match store.serving()?.previous {
                    Some(version) => store.head(version).map(Some),
                    None => Ok(None),
                },
            },
            move |daemon, result| {
                let checked = match result {
                    Err(StoreError::NotFound(what)) => Err(Error::new(Code::NotFound, what)),
                    Err(error) => Err(super::samples::store_error(&error)),
                    Ok(None) => Err(Error::new(Code::NotFound, "there is no earlier head to go back to")),
                    Ok(Some(row)) if wanted.as_ref().is_some_and(|d| *d != row_digest(&row)) => {
                        Err(Error::new(
                            Code::DigestMismatch,
                            format!("version {} has another digest; see `graft head list`", row.version),
                        ))
                    }
                    Ok(Some(row)) if row.backbone != backbone => Err(Error::new(
                        Code::Incompatible,
                        format!(
                            "version {} was trained for another backbone ({})",
                            row.version, row.backbone
                        ),
                    )),
                    Ok(Some(row)) => Ok(row.version.unsigned_abs()),
                };
                match checked {
                    Ok(version) => daemon.control(Event::Restore(token, version)),
                    Err(error) => daemon.finish(token, Err(error)),
                }
            },
        );
    }

    /// Puts a small fact on disk. A failure turns the answer that follows into an error.
    pub(super) fn persist(&mut self, key: &'static str, value: String) {
        self.store_then(
            move |store| store.put_state(key, &value),
            |daemon, result| daemon.persist_error = result.err().map(|e| super::samples::store_error(&e)),
        );
    }

    /// Pins the active head, or lets go of it.
    pub(super) fn persist_pin(&mut self, on: bool) {
        let version = self.control.active().filter(|_| on).map(row_version);
        self.store_then(
            move |store| store.pin(version),
            |daemon, result| daemon.persist_error = result.err().map(|e| super::samples::store_error(&e)),
        );
    }

    /// Answers once everything that was asked of the store before is on disk: its tasks run in order.
    pub(super) fn reply_after_store(&mut self, token: Token, answer: Answer) {
        self.store_then(
            |_| Ok(()),
            move |daemon, _| match daemon.persist_error.take() {
                Some(error) => daemon.finish(token, Err(error)),
                None => daemon.control_answer(token, answer),
            },
        );
    }
}

/// `sha256:<hex>` of a stored head's file.
pub fn row_digest(row: &HeadRow) -> String {
    format!("sha256:{}", row.sha256)
}

/// A head file, decoded and checked against the backbone in use.
pub fn load(file: &[u8], here: &Provenance) -> Result<(ActiveHead, HeadState), String> {
    let HeadFile { head, meta } = HeadFile::decode(file).map_err(|e| e.to_string())?;
    if meta.backbone.digest != here.backbone.digest
        || meta.preprocess != here.preprocess
        || meta.tensor != here.tensor
    {
        return Err(format!(
            "head {} was trained on embeddings of another backbone or preprocessing ({}); label or import samples, then train",
            meta.version, meta.backbone.name
        ));
    }
    let metric = |name: &str| {
        let value = meta.metrics.get(name)?;
        let figure = |key: &str| value.get(key).and_then(Value::as_f64);
        Some(Interval { value: figure("value")?, low: figure("low")?, high: figure("high")? })
    };
    let count = |name: &str| meta.metrics.get(name).and_then(Value::as_u64).unwrap_or(0);
    let state = HeadState {
        version: meta.version,
        digest: digest::sha256(file),
        method: meta.method.clone(),
        classes: meta.classes.clone(),
        accuracy: metric("accuracy"),
        balanced_accuracy: metric("balanced_accuracy"),
        samples: count("samples"),
        bursts: count("bursts"),
        pinned: false,
    };
    Ok((ActiveHead { version: meta.version, head: Arc::new(head), classes: meta.classes.into() }, state))
}
