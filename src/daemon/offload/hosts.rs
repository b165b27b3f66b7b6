//! What hosts say: claims, results, and that they give a job back. What each is worth is checked here, before the
//! state machine is told.

use super::offered::Offered;
use crate::daemon::context::Context;
use crate::daemon::effects::Effects;
use crate::daemon::kept::ClaimRecord;
use crate::daemon::pair::check;
use graft_control::Token;
use graft_control::offload::Event;
use graft_wire::command::Outcome;
use graft_wire::offload::Claim;
use graft_wire::{BackboneManifest, Code, Error};

/// A claim of the job.
///
/// # Errors
/// It is not signed by a pinned key for this board and time.
pub fn claim(offered: &mut Offered, cx: &Context, claim: Claim, fx: &Effects) -> Result<Event, Error> {
    let pinned = cx.settings.offload.keys().map_err(Error::internal)?;
    claim.verify(fx.topics().device(), &pinned, cx.now.synced.then_some(cx.now.wall_ms))?;
    let host = claim.host.clone();
    if offered.machine.host().is_none_or(|holder| holder == host) {
        let (url, token) = (claim.url, claim.token);
        offered.claim = Some(ClaimRecord { host: host.clone(), url, token });
    }
    Ok(Event::Claim(host))
}

/// The result of the job. False: it was told before and is being fetched.
///
/// # Errors
/// The host does not have the job, or its manifest is not one that this board may take on.
pub fn result(
    offered: &mut Offered,
    cx: &Context,
    token: Token,
    host: &str,
    manifest: BackboneManifest,
    fx: &Effects,
) -> Result<bool, Error> {
    if offered.machine.host() != Some(host) {
        return Err(not_yours());
    }
    let (job, base) = (&offered.offer.job, &offered.offer.backbone.digest);
    check::manifest(cx, &manifest, Some(job), Some(base), fx)?;
    if offered.is_taking() {
        return Ok(false);
    }
    if let Some(job) = cx.arrival {
        return Err(Error::busy(&job.to_string()));
    }
    offered.result = Some((token, manifest));
    Ok(true)
}

/// The host gives the job back; with an error it has ended.
pub fn release(host: String, outcome: Outcome, reason: Option<String>) -> (Event, Option<Error>) {
    let why = reason.unwrap_or_else(|| format!("host {host} gave it up"));
    let error = match outcome {
        Outcome::Retry => return (Event::Release(host), None),
        Outcome::NoImprovement => Error::new(Code::Regression, why),
        Outcome::Failed => Error::new(Code::Internal, why).with("host", host.as_str()),
    };
    (Event::Fail(host), Some(error))
}

/// The answer to a host that does not have the job.
pub fn not_yours() -> Error {
    Error::new(Code::Conflict, "this host does not have the job: claim it first")
}
