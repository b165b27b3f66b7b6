//! Rounds, exports, imports and what hosts do. Each is told on `job/<id>` until it is cleared; the store keeps them, so
//! that a restart ends what it cut off and clears what is old.

use super::Daemon;
use graft_control::{Event, JobId, JobStep, RoundFailure, Token};
use graft_wire::messages::{JobMessage, JobStatus, JobStep as Progress};
use graft_wire::{Code, Error, Reply, command, timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How many jobs are remembered.
const REMEMBERED: usize = 32;
/// The message of an ended job is cleared after so many milliseconds.
const KEPT_MS: i64 = 86_400_000;
/// State key of the store: every job.
pub const KEY: &str = "jobs";

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

    /// Whether this job is not ended.
    pub fn runs(&self, id: &str) -> bool {
        self.get(id).is_some_and(|job| !job.status.is_final())
    }

    /// The jobs that the last start has left, as the store has them: those that it cut off end now.
    pub fn after(kept: Option<&str>, now_ms: i64) -> Self {
        let kept: Vec<JobMessage> = kept.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
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

    /// As the store keeps them.
    fn to_json(&self) -> String {
        graft_wire::messages::to_json(&self.0.values().collect::<Vec<_>>())
    }

    /// The jobs that ended a day ago.
    fn old(&self, now_ms: i64) -> Vec<JobId> {
        let is_old = |job: &&JobMessage| {
            let ended = job.ts.as_deref().and_then(timestamp::parse_rfc3339);
            job.status.is_final() && ended.is_none_or(|ended| ended + KEPT_MS < now_ms)
        };
        self.0.values().filter(is_old).filter_map(|job| job.id.parse().ok()).collect()
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
        while self.jobs.0.len() > REMEMBERED
            && let Some(oldest) = self.jobs.0.keys().next().copied()
        {
            self.forget_job(oldest);
        }
        self.job_changed(job, |_| {});
        // The id is not used again after a restart.
        self.persist_quietly("job", job.to_string());
        self.persist_quietly(KEY, self.jobs.to_json());
    }

    /// Tells the broker of the jobs that the last start has left.
    pub(super) fn tell_jobs(&self) {
        for job in self.jobs.0.values() {
            self.say(self.topics.job(&job.id), graft_wire::messages::to_json(job));
        }
    }

    /// Takes the messages of jobs that ended a day ago from the broker.
    pub(super) fn clear_old_jobs(&mut self) {
        let old = self.jobs.old(self.clock.wall_ms());
        for job in &old {
            self.forget_job(*job);
        }
        if !old.is_empty() {
            self.persist_quietly(KEY, self.jobs.to_json());
        }
    }

    fn forget_job(&mut self, job: JobId) {
        self.jobs.0.remove(&job);
        if let Some(mqtt) = &self.mqtt {
            mqtt.clear(self.topics.job(&job.to_string()));
        }
    }

    /// Changes a job's message and publishes it.
    pub(super) fn job_changed(&mut self, job: JobId, change: impl FnOnce(&mut JobMessage)) {
        let ts = timestamp::rfc3339(self.clock.wall_ms());
        let Some(message) = self.jobs.0.get_mut(&job) else { return };
        change(message);
        message.ts = Some(ts);
        let ended = message.status.is_final();
        if ended {
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
                self.forget_job(number);
                self.persist_quietly(KEY, self.jobs.to_json());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_ends_what_it_cut_off_and_a_day_ends_the_rest() {
        let (began, now) = (1_772_366_400_000, 1_772_366_460_000);
        let job = |id: &str, status| JobMessage {
            status,
            ts: Some(timestamp::rfc3339(began)),
            ..JobMessage::new(id, "train")
        };
        let kept = vec![job("3", JobStatus::Executing), job("4", JobStatus::Successful)];
        let jobs = Jobs::after(Some(&serde_json::to_string(&kept).unwrap()), now);
        let cut = jobs.get("3").unwrap();
        assert_eq!((cut.status, cut.ts.as_deref()), (JobStatus::Canceled, Some("2026-03-01T12:01:00.000Z")));
        assert!(cut.error.as_ref().unwrap().message.contains("restarted") && !jobs.runs("3"));
        assert_eq!(jobs.get("4"), Some(&kept[1]));
        // The one that was cut off ended a minute later.
        assert_eq!(jobs.old(began + KEPT_MS + 1), [4]);
        assert_eq!(jobs.old(now + KEPT_MS + 1), [3, 4]);
        assert_eq!(Jobs::after(Some(&jobs.to_json()), now + 5).to_json(), jobs.to_json());
        assert!(Jobs::after(None, now).0.is_empty() && Jobs::after(Some("nonsense"), now).0.is_empty());
    }
}
