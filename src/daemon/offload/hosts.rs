//! What hosts say: claims, progress, results, and that they give a job back.

use super::Claimed;
use crate::daemon::Daemon;
use crate::daemon::arrival::Source;
use graft_control::Token;
use graft_control::offload::Event;
use graft_wire::command::{Outcome, Progress};
use graft_wire::messages::JobStep;
use graft_wire::offload::Claim;
use graft_wire::{BackboneManifest, Code, Error, Reply};

impl Daemon {
    pub(super) fn is_offered(&self, job: &str) -> Result<(), Error> {
        match &self.offload {
            Some(offered) if offered.record.offer.job == job => Ok(()),
            _ => Err(Error::not_found(format_args!("an offer of job {job}"))),
        }
    }

    pub(super) fn claim(&mut self, claim: Claim) -> Result<(), Error> {
        self.is_offered(&claim.job)?;
        let pinned = self.settings.offload.keys().map_err(Error::internal)?;
        let now_ms = self.clock.synced().then(|| self.clock.wall_ms());
        claim.verify(self.topics.device(), &pinned, now_ms)?;
        let host = claim.host.clone();
        let holder = self.offload.as_ref().and_then(|o| o.machine.host()).is_none_or(|holder| holder == host);
        if let Some(offered) = self.offload.as_mut().filter(|_| holder) {
            offered.record.claim = Some(Claimed { host: host.clone(), url: claim.url, token: claim.token });
        }
        self.offload_event(Event::Claim(host))
    }

    pub(super) fn host_progress(&mut self, progress: &Progress) -> Result<(), Error> {
        self.is_offered(&progress.job)?;
        self.offload_event(Event::Progress(progress.host.clone()))?;
        let Some(job) = self.offload.as_ref().map(|o| o.record.job) else { return Ok(()) };
        self.job_changed(job, |message| {
            message.step = Some(progress.stage.clone());
            let (done, total) = (progress.step as f64, progress.steps as f64);
            message.progress = Some(JobStep { done, total, eta_s: progress.eta_s });
            for (name, value) in [("loss", progress.loss), ("val_accuracy", progress.val_accuracy)] {
                if let Some(value) = value {
                    message.metrics.insert(name.into(), value.into());
                }
            }
            message.metrics.insert("host".into(), progress.host.clone().into());
        });
        Ok(())
    }

    pub(super) fn host_result(&mut self, token: Token, job: &str, host: String, manifest: BackboneManifest) {
        let checked = self.is_offered(job).and_then(|()| {
            let Some(offered) = &self.offload else { return Ok(None) };
            if offered.machine.host() != Some(host.as_str()) {
                return Err(Error::new(Code::Conflict, "this host does not have the job: claim it first"));
            }
            self.check_manifest(&manifest, Some(job), Some(&offered.record.offer.backbone.digest))?;
            let Some(claim) = offered.record.claim.clone().filter(|_| !offered.record.taking) else {
                return Ok(None);
            };
            Ok(Some(Source { job: offered.record.job, url: claim.url, token: claim.token, own: true }))
        });
        match checked {
            Err(error) => self.finish(token, Err(error)),
            // Said again: it is being fetched already.
            Ok(None) => self.finish(token, Ok(Reply::accepted(None, job))),
            Ok(Some(source)) => {
                let id = source.job;
                self.receive(manifest, source, move |daemon, taken| {
                    let result = taken.and_then(|()| daemon.offload_event(Event::Result(host)));
                    daemon.finish(token, result.map(|()| Reply::accepted(None, id.to_string())));
                });
            }
        }
    }

    pub(super) fn release(
        &mut self,
        job: &str,
        host: String,
        outcome: Outcome,
        reason: Option<String>,
    ) -> Result<(), Error> {
        self.is_offered(job)?;
        let why = reason.unwrap_or_else(|| format!("host {host} gave it up"));
        let error = match outcome {
            Outcome::Retry => return self.offload_event(Event::Release(host)),
            Outcome::NoImprovement => Error::new(Code::Regression, why),
            Outcome::Failed => Error::new(Code::Internal, why).with("host", host.as_str()),
        };
        let id = self.offload.as_ref().map(|o| o.record.job);
        self.offload_event(Event::Fail(host))?;
        if let Some(id) = id {
            self.job_fails(id, error);
            self.arrival_over();
        }
        Ok(())
    }
}
