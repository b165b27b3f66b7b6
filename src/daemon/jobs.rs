//! The jobs of this start: rounds, exports, imports, offloads. Each is told on `job/<id>` until it is cleared.

use super::context::{Asked, Context};
use super::effects::Effects;
use super::event::{JobChange, Note};
use super::kept::Fact;
use graft_control::{JobId, JobStep, RoundFailure};
use graft_wire::command;
use graft_wire::messages::{JobMessage, JobStatus, JobStep as Progress, to_json};
use graft_wire::{Code, Error, Reply, timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many ended jobs are remembered.
const REMEMBERED: usize = 32;

/// What jobs are told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A job came, changed or ended.
    Change(JobId, JobChange),
    /// The job of a round, as the state machine sees it.
    Round(JobId, JobStep),
    /// `cmd/job`.
    Command(Asked, command::Job),
}

/// Jobs by id, oldest first.
#[derive(Debug, Default)]
pub struct Jobs(BTreeMap<JobId, JobMessage>);

impl Jobs {
    /// Every job, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &JobMessage> {
        self.0.values().rev()
    }

    /// One job.
    pub fn get(&self, id: &str) -> Option<&JobMessage> {
        self.0.get(&id.parse().ok()?)
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Change(job, change) => self.change(cx, job, change, fx),
            Input::Round(job, step) => {
                if let Some(change) = round_change(job, step) {
                    self.change(cx, job, change, fx);
                }
            }
            Input::Command(asked, command) => self.command(cx, asked, command, fx),
        }
    }

    fn change(&mut self, cx: &Context, job: JobId, change: JobChange, fx: &mut Effects) {
        match change {
            JobChange::Begins { op, step, by } => self.begins(cx, job, op, step, by, fx),
            JobChange::Resumes { .. } if self.0.contains_key(&job) => {}
            JobChange::Resumes { op, step } => self.begins(cx, job, op, step, "restart", fx),
            change => self.update(cx, job, |message| apply(message, change), fx),
        }
    }

    /// Takes on a job and tells of it.
    fn begins(&mut self, cx: &Context, job: JobId, op: &str, step: &str, by: &str, fx: &mut Effects) {
        let mut message = JobMessage::new(job.to_string(), op);
        message.status = JobStatus::Executing;
        message.step = Some(step.to_owned());
        message.by = Some(by.to_owned());
        self.0.insert(job, message);
        while self.0.len() > REMEMBERED {
            if let Some((old, _)) = self.0.pop_first() {
                fx.clear(fx.topics().job(&old.to_string()));
            }
        }
        self.update(cx, job, |_| {}, fx);
        // The id is not used again after a restart.
        fx.keep(Fact::Job(job));
    }

    /// Changes a job's message and publishes it.
    fn update(&mut self, cx: &Context, job: JobId, change: impl FnOnce(&mut JobMessage), fx: &mut Effects) {
        let Some(message) = self.0.get_mut(&job) else { return };
        change(message);
        message.ts = Some(timestamp::rfc3339(cx.now.wall_ms));
        if message.status.is_final() {
            message.progress = None;
        }
        let payload = to_json(message);
        fx.retain(fx.topics().job(&job.to_string()), payload.clone());
        fx.watch("job", &payload);
        fx.changed();
    }

    fn command(&mut self, cx: &Context, asked: Asked, command: command::Job, fx: &mut Effects) {
        let (command::Job::Clear { job: id } | command::Job::Cancel { job: id }) = &command;
        let token = asked.token;
        let Some(number) = id.parse::<JobId>().ok().filter(|n| self.0.contains_key(n)) else {
            return fx.finish(token, Err(Error::not_found(format_args!("job {id}"))));
        };
        let ended = self.0.get(&number).is_none_or(|m| m.status.is_final());
        match command {
            command::Job::Clear { .. } if ended => {
                self.0.remove(&number);
                fx.clear(fx.topics().job(id));
                fx.finish(token, Ok(Reply::ok(None)));
            }
            command::Job::Clear { .. } => fx.finish(token, Err(Error::busy(id))),
            command::Job::Cancel { .. } if ended => {
                fx.finish(token, Err(Error::not_found(format_args!("a running job {id}"))));
            }
            command::Job::Cancel { job } if [cx.arrival, cx.offered].contains(&Some(number)) => {
                let cancel = command::Offload::Cancel { job: Some(job) };
                fx.tell(Note::Command(asked, Box::new(command::Command::Offload(cancel))));
            }
            command::Job::Cancel { .. } if cx.round == Some(number) => {
                let cancel = command::Command::Train(command::Train::Cancel);
                fx.tell(Note::Command(asked, Box::new(cancel)));
            }
            command::Job::Cancel { .. } => fx.tell(Note::CancelTransfer(token, number)),
        }
    }
}

fn apply(message: &mut JobMessage, change: JobChange) {
    match change {
        JobChange::Begins { .. } | JobChange::Resumes { .. } => {}
        JobChange::Step(step) => message.step = Some(step.to_owned()),
        JobChange::Metrics(step, metrics) => {
            message.step = Some(step.to_owned());
            message.metrics = metrics;
        }
        JobChange::Progress { step, done, total } => {
            message.step = Some(step.to_owned());
            message.progress = Some(Progress { done: done as f64, total: total as f64, eta_s: None });
        }
        JobChange::Host(progress) => {
            message.step = Some(progress.stage);
            let (done, total) = (progress.step as f64, progress.steps as f64);
            message.progress = Some(Progress { done, total, eta_s: progress.eta_s });
            for (name, value) in [("loss", progress.loss), ("val_accuracy", progress.val_accuracy)] {
                if let Some(value) = value {
                    message.metrics.insert(name.into(), value.into());
                }
            }
            message.metrics.insert("host".into(), progress.host.into());
        }
        JobChange::Succeeds(result) => {
            message.status = JobStatus::Successful;
            message.result = result;
        }
        JobChange::Fails(error) => {
            let canceled = error.code == Code::Canceled;
            message.status = if canceled { JobStatus::Canceled } else { JobStatus::Failed };
            message.error = Some(error);
        }
    }
}

/// How a round ends its job.
fn round_change(job: JobId, step: JobStep) -> Option<JobChange> {
    let ends = |version: u64, promoted: bool, reason: String| {
        let facts = json!({"version": version, "promoted": promoted, "reason": reason});
        JobChange::Succeeds(if let Value::Object(facts) = facts { facts } else { Map::new() })
    };
    match step {
        JobStep::Started => None,
        JobStep::Promoted(version, reason) => Some(ends(version, true, reason)),
        JobStep::Rejected(version, reason) => Some(ends(version, false, reason)),
        JobStep::Failed(failure) => {
            let error = match failure {
                RoundFailure::Canceled => {
                    Error::new(Code::Canceled, "the round was cancelled; the active head stays")
                }
                RoundFailure::NotEnough(what) => Error::new(Code::NotEnoughData, what),
                RoundFailure::Failed(why) => Error::internal(why),
            };
            let code = error.code.as_str();
            tracing::info!(job, code, "round ended without a head: {}", error.message);
            Some(JobChange::Fails(error))
        }
    }
}
