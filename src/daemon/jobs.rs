//! Rounds, exports, imports, offloads. Each is told on `job/<id>` until it is cleared; the store keeps them, so that a
//! restart ends what it cut off and clears what is old.

use super::context::{Asked, By, Context};
use super::effects::Effects;
use super::event::{JobChange, Note};
use super::kept::Fact;
use graft_control::{JobId, JobStep, RoundFailure};
use graft_wire::command;
use graft_wire::messages::{JobMessage, JobStatus, JobStep as Progress, to_json};
use graft_wire::{Code, Error, Reply, timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many jobs are remembered.
const REMEMBERED: usize = 32;
/// The message of an ended job is cleared after so many milliseconds.
const KEPT_MS: i64 = 86_400_000;

/// What jobs are told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A job came, changed or ended.
    Change(JobId, JobChange),
    /// The job of a round, as the state machine sees it.
    Round(JobId, JobStep),
    /// `cmd/job`.
    Command(Asked, command::Job),
    /// The daemon begins: the broker is told of what an earlier start has left.
    Begin,
    /// Time passed.
    Tick,
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

    /// The jobs that the last start has left: those that it cut off end now.
    pub fn after(kept: Vec<JobMessage>, now_ms: i64) -> Self {
        let ended = |mut job: JobMessage| {
            if !job.status.is_final() {
                let message = "the device was restarted before the job had ended; start it again";
                job.error = Some(Error::new(Code::Canceled, message));
                (job.status, job.progress) = (JobStatus::Canceled, None);
                job.ts = Some(timestamp::rfc3339(now_ms));
            }
            Some((job.id.parse().ok()?, job))
        };
        Self(kept.into_iter().filter_map(ended).collect())
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
            Input::Begin => {
                for job in self.0.values() {
                    fx.say(fx.topics().job(&job.id), to_json(job));
                }
            }
            Input::Tick => self.clear_old(cx.now.wall_ms, fx),
        }
    }

    fn change(&mut self, cx: &Context, job: JobId, change: JobChange, fx: &mut Effects) {
        match change {
            JobChange::Begins { op, step, by } => self.begins(cx, job, op, step, by, fx),
            JobChange::Resumes { .. } if self.runs(job) => {}
            JobChange::Resumes { op, step } => self.begins(cx, job, op, step, By::Restart, fx),
            change => self.update(cx, job, |message| apply(message, change), fx),
        }
    }

    /// Takes on a job and tells of it.
    fn begins(&mut self, cx: &Context, job: JobId, op: &str, step: &str, by: By, fx: &mut Effects) {
        let mut message = JobMessage::new(job.to_string(), op);
        message.status = JobStatus::Executing;
        message.step = Some(step.to_owned());
        message.by = Some(by.to_string());
        self.0.insert(job, message);
        while self.0.len() > REMEMBERED
            && let Some(oldest) = self.0.keys().next().copied()
        {
            self.forget(oldest, fx);
        }
        self.update(cx, job, |_| {}, fx);
        // The id is not used again after a restart.
        fx.keep(Fact::Job(job));
        self.keep(fx);
    }

    /// Whether this job is known and has not ended.
    fn runs(&self, job: JobId) -> bool {
        self.0.get(&job).is_some_and(|message| !message.status.is_final())
    }

    fn keep(&self, fx: &mut Effects) {
        fx.keep(Fact::Jobs(self.0.values().cloned().collect()));
    }

    fn forget(&mut self, job: JobId, fx: &mut Effects) {
        self.0.remove(&job);
        fx.clear(fx.topics().job(&job.to_string()));
    }

    /// Takes the messages of jobs that ended a day ago from the broker.
    fn clear_old(&mut self, now_ms: i64, fx: &mut Effects) {
        let is_old = |job: &JobMessage| {
            let ended = job.ts.as_deref().and_then(timestamp::parse_rfc3339);
            job.status.is_final() && ended.is_none_or(|ended| ended + KEPT_MS < now_ms)
        };
        let old: Vec<JobId> = self.0.iter().filter(|(_, job)| is_old(job)).map(|(id, _)| *id).collect();
        for job in &old {
            self.forget(*job, fx);
        }
        if !old.is_empty() {
            self.keep(fx);
        }
    }

    /// Changes a job's message and publishes it.
    fn update(&mut self, cx: &Context, job: JobId, change: impl FnOnce(&mut JobMessage), fx: &mut Effects) {
        let Some(message) = self.0.get_mut(&job) else { return };
        change(message);
        message.ts = Some(timestamp::rfc3339(cx.now.wall_ms));
        let ended = message.status.is_final();
        if ended {
            message.progress = None;
        }
        let payload = to_json(message);
        fx.say(fx.topics().job(&job.to_string()), payload.clone());
        fx.watch("job", &payload);
        fx.changed();
        if ended {
            self.keep(fx);
        }
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
                self.forget(number, fx);
                self.keep(fx);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_ends_what_it_cut_off_and_leaves_the_rest() {
        let (began, now) = (1_772_366_400_000, 1_772_366_460_000);
        let job = |id: &str, status| JobMessage {
            status,
            ts: Some(timestamp::rfc3339(began)),
            ..JobMessage::new(id, "train")
        };
        let kept = vec![job("3", JobStatus::Executing), job("4", JobStatus::Successful)];
        let jobs = Jobs::after(kept.clone(), now);
        let cut = jobs.get("3").unwrap();
        assert_eq!((cut.status, cut.ts.as_deref()), (JobStatus::Canceled, Some("2026-03-01T12:01:00.000Z")));
        assert!(cut.error.as_ref().unwrap().message.contains("restarted") && !jobs.runs(3));
        assert_eq!(jobs.get("4"), Some(&kept[1]));
    }

    #[test]
    fn the_message_of_an_ended_job_goes_after_a_day() {
        let ended = 1_772_366_400_000;
        let job = JobMessage {
            status: JobStatus::Successful,
            ts: Some(timestamp::rfc3339(ended)),
            ..JobMessage::new("4", "train")
        };
        let mut jobs = Jobs::after(vec![job], ended);
        let mut fx = crate::daemon::testing::effects();
        jobs.clear_old(ended + KEPT_MS, &mut fx);
        assert!(jobs.get("4").is_some() && crate::daemon::testing::taken(&mut fx).is_empty());
        jobs.clear_old(ended + KEPT_MS + 1, &mut fx);
        assert!(jobs.get("4").is_none());
        let effects = format!("{:?}", crate::daemon::testing::taken(&mut fx));
        assert!(effects.contains("job/4") && effects.contains("Jobs("), "{effects}");
    }
}
