//! What hosts say: claims, progress, results, and that they give a job back.

use super::offered::Offered;
use super::{Offload, not_yours};
use crate::daemon::context::Context;
use crate::daemon::effects::Effects;
use crate::daemon::event::{JobChange, Note};
use crate::daemon::kept::ClaimRecord;
use crate::daemon::pair::check;
use graft_control::Token;
use graft_control::offload::Event;
use graft_wire::command::{Outcome, Progress};
use graft_wire::offload::Claim;
use graft_wire::{BackboneManifest, Code, Error, Reply};

impl Offload {
    fn offer_of(&mut self, job: &str) -> Result<&mut Offered, Error> {
        let offered = self.offered.as_mut().filter(|offered| offered.offer.job == job);
        offered.ok_or_else(|| Error::not_found(format_args!("an offer of job {job}")))
    }

    pub(super) fn claim(&mut self, cx: &Context, claim: Claim, fx: &mut Effects) -> Result<(), Error> {
        let offered = self.offer_of(&claim.job)?;
        let pinned = cx.settings.offload.keys().map_err(Error::internal)?;
        claim.verify(fx.topics().device(), &pinned, cx.now.synced.then_some(cx.now.wall_ms))?;
        let host = claim.host.clone();
        if offered.machine.host().is_none_or(|holder| holder == host) {
            let (url, token) = (claim.url, claim.token);
            offered.claim = Some(ClaimRecord { host: host.clone(), url, token });
        }
        self.event(cx, Event::Claim(host), fx)
    }

    pub(super) fn progress(
        &mut self,
        cx: &Context,
        progress: Progress,
        fx: &mut Effects,
    ) -> Result<(), Error> {
        let job = self.offer_of(&progress.job)?.job;
        self.event(cx, Event::Progress(progress.host.clone()), fx)?;
        fx.tell(Note::Job(job, JobChange::Host(Box::new(progress))));
        Ok(())
    }

    pub(super) fn result(
        &mut self,
        cx: &Context,
        token: Token,
        job: &str,
        host: String,
        manifest: BackboneManifest,
        fx: &mut Effects,
    ) {
        let told = self.offer_of(job).and_then(|offered| {
            if offered.machine.host() != Some(host.as_str()) {
                return Err(not_yours());
            }
            check::manifest(cx, &manifest, Some(job), Some(&offered.offer.backbone.digest), fx)?;
            // Said again: it is being fetched already.
            if offered.is_taking() {
                return Ok(false);
            }
            if let Some(job) = cx.arrival {
                return Err(Error::busy(&job.to_string()));
            }
            offered.result = Some((token, manifest));
            Ok(true)
        });
        // Whoever takes the result on tells what came of it.
        match told.and_then(|new| self.event(cx, Event::Result(host), fx).map(|()| new)) {
            Ok(true) => {}
            Ok(false) => fx.finish(token, Ok(Reply::accepted(None, job))),
            Err(error) => fx.finish(token, Err(error)),
        }
    }

    pub(super) fn release(
        &mut self,
        cx: &Context,
        job: &str,
        host: String,
        outcome: Outcome,
        reason: Option<String>,
        fx: &mut Effects,
    ) -> Result<(), Error> {
        let id = self.offer_of(job)?.job;
        let why = reason.unwrap_or_else(|| format!("host {host} gave it up"));
        let error = match outcome {
            Outcome::Retry => return self.event(cx, Event::Release(host), fx),
            Outcome::NoImprovement => Error::new(Code::Regression, why),
            Outcome::Failed => Error::new(Code::Internal, why).with("host", host.as_str()),
        };
        self.event(cx, Event::Fail(host), fx)?;
        fx.tell(Note::Job(id, JobChange::Fails(error)));
        fx.tell(Note::Tidy);
        Ok(())
    }
}
