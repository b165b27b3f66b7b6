//! A round's steps in the daemon: snapshot → trainer thread → gate.

use super::draft::Draft;
use super::findings;
use super::tasks::{RoundData, SnapshotOrder, Task};
use super::trainer::{Assignment, Finished, RoundOrder};
use crate::daemon::cancel::Cancel;
use crate::daemon::context::{By, Context};
use crate::daemon::effects::Effects;
use crate::daemon::event::{JobChange, Note};
use crate::daemon::frames::ActiveHead;
use crate::daemon::kept::{Fact, Findings};
use crate::daemon::provenance::Provenance;
use crate::daemon::store_thread::StoreTask;
use graft_control::{Event, JobId, Origin, RoundFailure, Verdict, missing};
use graft_learn::{Choice, Estimate, LearnError, Options, Report};
use graft_wire::messages::EventType;
use graft_wire::{Code, Error};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The round that runs or has just ended, if there was one.
#[derive(Debug, Default)]
pub struct Rounds {
    training: Option<Training>,
}

#[derive(Debug)]
struct Training {
    job: JobId,
    cancel: Cancel,
    /// The backbone whose embeddings it sees.
    provenance: Arc<Provenance>,
    /// What the head file says of the samples.
    snapshot: String,
    /// Their revision.
    rev: i64,
    /// What came of it, until it is stored.
    finished: Option<Box<Finished>>,
    /// And what it found beside its head.
    findings: Findings,
}

/// A candidate that is to be stored: where from, on which backbone, the head, and what is worth keeping beside it.
type Candidate = (Origin, Arc<Provenance>, Draft, Option<Findings>);

impl Rounds {
    /// Has the samples read for a round.
    pub fn start(
        &mut self,
        cx: &Context,
        job: JobId,
        choice: Choice,
        by: By,
        active: Option<&ActiveHead>,
        fx: &mut Effects,
    ) {
        // A backbone that came from elsewhere is judged under the job that brought it.
        let incoming = cx.incoming.as_ref().filter(|incoming| incoming.origin == Origin::Round(job));
        let taught = incoming.map(|incoming| Arc::clone(&incoming.taught)).unwrap_or_default();
        let provenance = Arc::clone(incoming.map_or(&cx.backbone, |incoming| &incoming.provenance));
        if incoming.is_none() {
            fx.tell(Note::Job(job, JobChange::Begins { op: "train", step: "snapshot", by }));
        }
        let order = SnapshotOrder {
            job,
            choice,
            embeddings: Arc::clone(&provenance.embeddings),
            present: Arc::clone(&cx.backbone.embeddings),
            active: active.cloned(),
            taught,
        };
        self.training = Some(Training {
            job,
            cancel: Cancel::default(),
            provenance,
            snapshot: String::new(),
            rev: 0,
            finished: None,
            findings: Findings::default(),
        });
        fx.store(StoreTask::Adapt(Task::Snapshot(Box::new(order))));
    }

    /// Hands the samples of a round to the trainer's thread.
    pub fn train(&mut self, cx: &Context, job: JobId, choice: Choice, data: RoundData, fx: &mut Effects) {
        let Some(training) = self.training.as_mut().filter(|t| t.job == job) else { return };
        let RoundData { labelled, opponent } = data;
        training.snapshot = labelled.digest;
        training.rev = labelled.rev;
        let assignment = Assignment {
            snapshot: labelled.snapshot,
            ids: labelled.ids,
            classes: labelled.classes,
            class_ids: labelled.class_ids,
            opponent,
            options: Options { choice, ..cx.settings.learn.options() },
            threads: cx.settings.learn.threads,
        };
        fx.train(RoundOrder { job, assignment, cancel: training.cancel.clone() });
    }

    /// Ends a round early; without a job any that runs.
    pub fn cancel(&self, job: Option<JobId>) {
        if let Some(training) = self.training.as_ref().filter(|t| job.is_none_or(|job| job == t.job)) {
            training.cancel.now();
        }
    }

    /// The trainer is done; gives what the state machine is told.
    pub fn ended(
        &mut self,
        cx: &Context,
        job: JobId,
        result: Result<Finished, Option<LearnError>>,
        fx: &mut Effects,
    ) -> Event {
        let failed = |failure| Event::RoundFailed(job, failure);
        match result {
            Ok(finished) => self.finished(cx, job, finished, fx),
            Err(Some(LearnError::Cancelled)) => failed(RoundFailure::Canceled),
            Err(Some(error @ LearnError::NotEnough { .. })) => {
                failed(RoundFailure::NotEnough(error.to_string()))
            }
            Err(Some(error)) => failed(RoundFailure::Failed(error.to_string())),
            Err(None) => {
                failed(RoundFailure::Failed("the round hit a fault in the program; see the log".into()))
            }
        }
    }

    fn finished(&mut self, cx: &Context, job: JobId, finished: Finished, fx: &mut Effects) -> Event {
        let found = findings::of(&finished, cx.now.wall_ms);
        let mut metrics = metrics(&finished);
        metrics.insert("advice".into(), json!(found.advice));
        fx.tell(Note::RoundTook(finished.millis as f64 / 1e3));
        tracing::info!(
            job,
            method = finished.round.method.as_str(),
            accuracy = finished.round.report.accuracy.value,
            samples = finished.round.report.samples,
            millis = finished.millis,
            "round finished"
        );
        for note in &finished.round.notes {
            tracing::warn!(job, "{note}");
        }
        fx.event(&cx.now, EventType::Trained, |mut event| {
            event.data = metrics.clone();
            event.with("job", job.to_string())
        });
        fx.tell(Note::Job(job, JobChange::Metrics("gate", metrics)));
        let outcome = Box::new(finished.outcome.clone());
        if let Some(training) = self.training.as_mut().filter(|t| t.job == job) {
            training.finished = Some(Box::new(finished));
            training.findings = found;
            // So that a restart knows that these samples have had their round.
            fx.keep(Fact::TrainedRev(training.rev));
        }
        Event::RoundFinished(job, outcome)
    }

    /// The head of a finished round, once.
    pub fn candidate(&mut self, cx: &Context, job: JobId, verdict: &Verdict) -> Option<Candidate> {
        let origin = Origin::Round(job);
        let training = self.training.as_mut().filter(|t| t.job == job)?;
        let finished = training.finished.take()?;
        let incoming = cx.incoming.as_ref().filter(|incoming| incoming.origin == origin);
        let draft = Draft {
            metrics: metrics(&finished),
            head: finished.round.head,
            classes: finished.classes,
            class_ids: finished.class_ids,
            method: finished.round.method.as_str().to_owned(),
            snapshot: training.snapshot.clone(),
            parent: None,
            restored_from: None,
            held_out: finished.held_out,
            promote: verdict.promotes(),
            gate: verdict.reason().to_owned(),
            pair: incoming.map(|incoming| incoming.change.clone()),
        };
        // What was found on a backbone that is not taken says nothing about the one that stays.
        let found = (draft.pair.is_none() || draft.promote).then(|| training.findings.clone());
        // A round's head belongs to the backbone whose embeddings it saw.
        Some((origin, Arc::clone(&training.provenance), draft, found))
    }
}

/// Tells that the gate kept a head back.
pub fn tell_verdict(cx: &Context, job: JobId, verdict: Verdict, fx: &mut Effects) {
    if let Verdict::Reject(reason) = verdict {
        let error = Error::new(Code::Regression, reason);
        fx.event(&cx.now, EventType::HeadRejected, |e| e.with("job", job.to_string()).because(error));
    }
}

fn interval(estimate: &Estimate) -> Value {
    json!({"value": estimate.value, "low": estimate.low, "high": estimate.high})
}

/// A figure without evidence is not told: `missing` says what would make it one.
fn figures(report: &Report, classes: &[String]) -> Map<String, Value> {
    let missing = missing(report, classes);
    let judged = |value: &Estimate| missing.is_none().then(|| interval(value));
    let per_class: Map<String, Value> = classes
        .iter()
        .enumerate()
        .map(|(at, class)| {
            let figures = json!({
                "recall": report.recall.get(at).copied().flatten(),
                "samples": report.class_samples.get(at),
                "bursts": report.class_bursts.get(at),
            });
            (class.clone(), figures)
        })
        .collect();
    let mut map = Map::new();
    map.insert("accuracy".into(), judged(&report.accuracy).into());
    map.insert("balanced_accuracy".into(), judged(&report.balanced_accuracy).into());
    map.insert("ece".into(), missing.is_none().then_some(report.ece).into());
    map.insert("missing".into(), missing.clone().into());
    map.insert("left_out".into(), report.left_out.into());
    map.insert("majority".into(), report.majority.into());
    map.insert("samples".into(), report.samples.into());
    map.insert("bursts".into(), report.bursts.into());
    map.insert("classes".into(), Value::Object(per_class));
    map.insert("class_names".into(), json!(classes));
    map.insert("confusion".into(), json!(report.confusion));
    map
}

/// A round's figures as they stand in job messages, events and head files. All of them are measured
/// on bursts that the head had not seen.
fn metrics(finished: &Finished) -> Map<String, Value> {
    let mut map = figures(&finished.round.report, &finished.classes);
    map.insert("method".into(), finished.round.method.as_str().into());
    map.insert("train_ms".into(), finished.millis.into());
    let candidates: Vec<Value> = finished
        .round
        .candidates
        .iter()
        .map(|c| {
            json!({"method": c.method.as_str(), "lambda": c.lambda, "accuracy": interval(&c.report.accuracy),
            "balanced_accuracy": interval(&c.report.balanced_accuracy)})
        })
        .collect();
    map.insert("candidates".into(), candidates.into());
    if !finished.round.notes.is_empty() {
        let notes: Vec<String> = finished.round.notes.iter().map(ToString::to_string).collect();
        map.insert("notes".into(), notes.into());
    }
    if let Some(comparison) = &finished.outcome.comparison {
        map.insert(
            "against_active".into(),
            json!({"difference": interval(&comparison.difference), "bursts": comparison.bursts,
                "active_accuracy": finished.round.report.accuracy.value - comparison.difference.value}),
        );
    }
    map
}
