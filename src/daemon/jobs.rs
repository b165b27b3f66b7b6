//! The jobs of this start: rounds, exports, imports. Each is told on `job/<id>` until it is cleared.

use super::Daemon;
use graft_control::{Event, JobId, JobStep, RoundFailure, Token};
use graft_wire::messages::{JobMessage, JobStatus, JobStep as Progress};
use graft_wire::{Code, Error, Reply, command, timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many ended jobs are remembered.
const REMEMBERED: usize = 32;

/// Jobs by id, oldest first.
#[derive(Default)]
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

    /// The running job that is no round.
    fn transfer(&self) -> Option<JobId> {
        self.0.iter().find(|(_, job)| job.op == "dataset" && !job.status.is_final()).map(|(id, _)| *id)
    }
}

impl Daemon {
    /// Takes on a job and tells of it.
    pub(super) fn job_begins(&mut self, job: JobId, op: &str, step: &str, by: &str) {
        let mut message = JobMessage::new(job.to_string(), op);
        message.status = JobStatus::Executing;
        message.step = Some(step.to_owned());
        message.by = Some(by.to_owned());
        self.jobs.0.insert(job, message);
        while self.jobs.0.len() > REMEMBERED {
            if let Some((old, _)) = self.jobs.0.pop_first() {
                let topic = self.topics.job(&old.to_string());
                if let Some(mqtt) = &self.mqtt {
                    mqtt.clear(topic);
                }
            }
        }
        self.job_changed(job, |_| {});
        // The id is not used again after a restart.
        self.store_then(
            move |store| store.put_state("job", &job.to_string()),
            |_, stored| {
                if let Err(error) = stored {
                    tracing::warn!(%error, "the job counter could not be stored");
                }
            },
        );
    }

    /// Changes a job's message and publishes it.
    pub(super) fn job_changed(&mut self, job: JobId, change: impl FnOnce(&mut JobMessage)) {
        let ts = timestamp::rfc3339(self.clock.wall_ms());
        let Some(message) = self.jobs.0.get_mut(&job) else { return };
        change(message);
        message.ts = Some(ts);
        if message.status.is_final() {
            message.progress = None;
        }
        let payload = graft_wire::messages::to_json(message);
        self.say(self.topics.job(&job.to_string()), payload.clone());
        self.watch("job", &payload);
        self.state_changed = true;
        if ended {
            self.persist_quietly(KEY, self.jobs.to_json());
        }
    }

    /// How far a job is.
    pub(super) fn job_progress(&mut self, job: JobId, step: &str, done: usize, total: usize) {
        self.job_changed(job, |message| {
            message.step = Some(step.to_owned());
            message.progress = Some(Progress { done: done as f64, total: total as f64, eta_s: None });
        });
    }

    /// Ends a job well.
    pub(super) fn job_succeeds(&mut self, job: JobId, result: Map<String, Value>) {
        self.job_changed(job, |message| {
            message.status = JobStatus::Successful;
            message.result = result;
        });
    }

    /// Ends a job badly.
    pub(super) fn job_fails(&mut self, job: JobId, error: Error) {
        self.job_changed(job, |message| {
            message.status =
                if error.code == Code::Canceled { JobStatus::Canceled } else { JobStatus::Failed };
            message.error = Some(error);
        });
    }

    /// A round's job, as the state machine sees it.
    pub(super) fn round_job(&mut self, job: JobId, step: JobStep) {
        match step {
            JobStep::Started => {}
            JobStep::Promoted(version, reason) => {
                let result = json!({"version": version, "promoted": true, "reason": reason});
                self.round_ends(job, result);
            }
            JobStep::Rejected(version, reason) => {
                let result = json!({"version": version, "promoted": false, "reason": reason});
                self.round_ends(job, result);
            }
            JobStep::Failed(failure) => {
                let error = match failure {
                    RoundFailure::Canceled => {
                        Error::new(Code::Canceled, "the round was cancelled; the active head stays")
                    }
                    RoundFailure::NotEnough(what) => Error::new(Code::NotEnoughData, what),
                    RoundFailure::Failed(why) => Error::internal(why),
                };
                tracing::info!(
                    job,
                    code = error.code.as_str(),
                    "round ended without a head: {}",
                    error.message
                );
                self.job_fails(job, error);
            }
        }
    }

    fn round_ends(&mut self, job: JobId, result: Value) {
        if let Value::Object(result) = result {
            self.job_succeeds(job, result);
        }
    }

    pub(super) fn job_command(&mut self, token: Token, job: &command::Job) {
        let (command::Job::Clear { job: id } | command::Job::Cancel { job: id }) = job;
        let Some(number) = id.parse::<JobId>().ok().filter(|n| self.jobs.0.contains_key(n)) else {
            return self.finish(token, Err(Error::not_found(format_args!("job {id}"))));
        };
        let ended = self.jobs.0.get(&number).is_none_or(|m| m.status.is_final());
        match job {
            command::Job::Clear { .. } if ended => {
                self.jobs.0.remove(&number);
                if let Some(mqtt) = &self.mqtt {
                    mqtt.clear(self.topics.job(id));
                }
                self.finish(token, Ok(Reply::ok(None)));
            }
            command::Job::Clear { .. } => self.finish(token, Err(Error::busy(id))),
            command::Job::Cancel { .. } if ended => {
                self.finish(token, Err(Error::not_found(format_args!("a running job {id}"))));
            }
            command::Job::Cancel { .. } if self.is_offload_job(number) => {
                self.offload_command(token, command::Offload::Cancel { job: Some(id.clone()) });
            }
            command::Job::Cancel { .. } if self.control.job() == Some(number) => {
                self.control(Event::Cancel(token, Some(number)));
            }
            command::Job::Cancel { .. } => {
                self.transfer_cancel.now();
                self.finish(token, Ok(Reply::accepted(None, id.clone())));
            }
        }
    }

    /// Refuses a second export or import while one runs.
    pub(super) fn transfer_free(&self) -> Result<(), Error> {
        self.jobs.transfer().map_or(Ok(()), |job| Err(Error::busy(&job.to_string())))
    }
}
