//! A round's way through the daemon: snapshot → trainer thread → gate.

use super::findings::Findings;
use super::provenance::Provenance;
use super::trainer::{self, Assignment, Cancel, Finished, Opponent};
use super::{Daemon, Input};
use graft_control::{Event, JobId, Origin, RoundFailure};
use graft_learn::{Choice, Estimate, LearnError, Report};
use graft_wire::messages::EventType;
use serde_json::{Map, Value, json};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The round that runs or has just ended.
pub struct Training {
    /// Its job.
    pub job: JobId,
    /// Ends it early.
    pub cancel: Cancel,
    /// The backbone whose embeddings it sees.
    pub provenance: Provenance,
    /// What the head file says of the samples.
    pub snapshot: String,
    /// Their revision.
    pub rev: i64,
    /// What came of it, until it is stored.
    pub finished: Option<Box<Finished>>,
    /// And what it found beside its head.
    pub findings: Findings,
}

/// Progress is told at most this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

impl Daemon {
    pub(super) fn start_round(&mut self, job: JobId, choice: Choice) {
        // A backbone that came from elsewhere is judged under the job that brought it.
        let incoming = self.incoming_of(Origin::Round(job));
        let taught = incoming.map(|incoming| Arc::clone(&incoming.taught)).unwrap_or_default();
        let provenance = incoming.map_or(&self.provenance, |incoming| &incoming.provenance).clone();
        if incoming.is_none() {
            let by = self.pending.last_by().unwrap_or("adaptation");
            self.job_begins(job, "train", "snapshot", by);
        }
        let cancel = Cancel::default();
        let (new, old) = (Arc::clone(&provenance.embeddings), Arc::clone(&self.provenance.embeddings));
        self.training = Some(Training {
            job,
            cancel: cancel.clone(),
            provenance,
            snapshot: String::new(),
            rev: 0,
            finished: None,
            findings: Findings::default(),
        });
        let active = self.active.clone().filter(|a| a.version > 0);
        self.store_then(
            move |store| {
                let labelled = store.snapshot(&new)?;
                let opponent = match active {
                    Some(head) => {
                        let held_out = store.held_out(i64::try_from(head.version).unwrap_or(i64::MAX))?;
                        let held_out = held_out.into_iter().map(|h| (h.sample, h.class)).collect();
                        let sees = if new == old { None } else { Some(store.snapshot(&old)?) };
                        Some(Opponent { head, held_out, sees, taught })
                    }
                    None => None,
                };
                Ok((labelled, opponent))
            },
            move |daemon, result| match result {
                Ok((labelled, opponent)) => {
                    if let Some(training) = &mut daemon.training {
                        training.snapshot = labelled.digest.clone();
                        training.rev = labelled.rev;
                    }
                    daemon.train(job, cancel, choice, labelled, opponent);
                }
                Err(error) => {
                    daemon.control(Event::RoundFailed(job, RoundFailure::Failed(error.to_string())))
                }
            },
        );
    }

    fn train(
        &mut self,
        job: JobId,
        cancel: Cancel,
        choice: Choice,
        labelled: graft_store::Labelled,
        opponent: Option<Opponent>,
    ) {
        let assignment = Assignment {
            snapshot: labelled.snapshot,
            ids: labelled.ids,
            classes: labelled.classes,
            opponent,
            options: graft_learn::Options { choice, ..self.settings.learn.options() },
            threads: self.settings.learn.threads,
        };
        let inbox = self.inbox.clone();
        let mut pace = self.budget.pace(self.trainer.turns());
        self.trainer.tell(move |()| {
            let mut told: Option<Instant> = None;
            let mut report = |progress: graft_learn::Progress| {
                pace.step();
                if told.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
                    told = Some(Instant::now());
                    let _ = inbox.send(Input::Continue(Box::new(move |daemon| {
                        daemon.job_progress(job, progress.phase, progress.done, progress.total);
                    })));
                }
            };
            // A fault in a round must not end the thread, and with it every later round.
            let run = AssertUnwindSafe(|| trainer::run(&assignment, &cancel.0, &mut report));
            let result = std::panic::catch_unwind(run);
            let _ = inbox.send(Input::Continue(Box::new(move |daemon| match result {
                Ok(result) => daemon.round_done(job, result),
                Err(_) => {
                    let failure =
                        RoundFailure::Failed("the round hit a fault in the program; see the log".into());
                    daemon.control(Event::RoundFailed(job, failure));
                }
            })));
        });
    }

    fn round_done(&mut self, job: JobId, result: Result<Finished, LearnError>) {
        match result {
            Ok(finished) => {
                let findings = Findings::of(&finished, self.clock.wall_ms());
                let mut metrics = metrics(&finished);
                metrics.insert("advice".into(), json!(findings.advice));
                self.tally.train.observe(finished.millis as f64 / 1e3);
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
                self.event(EventType::Trained, |mut event| {
                    event.data = metrics.clone();
                    event.with("job", job.to_string())
                });
                self.job_changed(job, |message| {
                    message.step = Some("gate".into());
                    message.metrics = metrics;
                });
                let outcome = Box::new(finished.outcome.clone());
                if let Some(training) = self.training.as_mut().filter(|t| t.job == job) {
                    training.finished = Some(Box::new(finished));
                    training.findings = findings;
                    let rev = training.rev.to_string();
                    // So that a restart knows that these samples have had their round.
                    self.store_then(
                        move |store| store.put_state("trained_rev", &rev),
                        |_, stored| {
                            if let Err(error) = stored {
                                tracing::warn!(%error, "the trained revision could not be stored");
                            }
                        },
                    );
                }
                self.control(Event::RoundFinished(job, outcome));
            }
            Err(LearnError::Cancelled) => {
                self.control(Event::RoundFailed(job, RoundFailure::Canceled));
            }
            Err(error @ LearnError::NotEnough { .. }) => {
                self.control(Event::RoundFailed(job, RoundFailure::NotEnough(error.to_string())));
            }
            Err(error) => self.control(Event::RoundFailed(job, RoundFailure::Failed(error.to_string()))),
        }
    }
}

fn interval(estimate: &Estimate) -> Value {
    json!({"value": estimate.value, "low": estimate.low, "high": estimate.high})
}

fn figures(report: &Report, classes: &[String]) -> Map<String, Value> {
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
    map.insert("accuracy".into(), interval(&report.accuracy));
    map.insert("balanced_accuracy".into(), interval(&report.balanced_accuracy));
    map.insert("ece".into(), report.ece.into());
    map.insert("majority".into(), report.majority.into());
    map.insert("samples".into(), report.samples.into());
    map.insert("bursts".into(), report.bursts.into());
    map.insert("classes".into(), Value::Object(per_class));
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

impl Finished {
    /// The figures of this round.
    pub fn metrics(&self) -> Map<String, Value> {
        metrics(self)
    }
}
