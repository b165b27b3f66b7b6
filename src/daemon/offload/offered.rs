//! The job that is offered, and how it is kept and shown.

use crate::daemon::cancel::Cancel;
use crate::daemon::context::Context;
use crate::daemon::effects::Effects;
use crate::daemon::kept::{ClaimRecord, OfferRecord};
use graft_control::offload::{Action, Offload as Machine, Stage};
use graft_control::{JobId, Token};
use graft_wire::offload::{Offer, OfferState};
use graft_wire::{BackboneManifest, Code, Error};
use serde_json::{Value, json};
use std::time::Duration;

/// The job that is offered.
#[derive(Debug)]
pub struct Offered {
    /// Its number.
    pub job: JobId,
    /// Decides what is done.
    pub machine: Machine,
    /// The offer as it was made; host and state are the machine's.
    pub offer: Offer,
    /// When it is given up, in milliseconds since 1970.
    pub expires_ms: i64,
    /// Where the host of the claim is.
    pub claim: Option<ClaimRecord>,
    /// The result that the host told of last.
    pub result: Option<(Token, BackboneManifest)>,
    /// The transfer that runs, by its number.
    pub feed: Option<(u64, Cancel)>,
}

impl Offered {
    /// A job as the store remembers it, and what is to be done first.
    pub fn begin(record: OfferRecord, uptime: Duration) -> (Self, Vec<Action>) {
        let OfferRecord { job, offer, expires_ms, claim, fed, taking } = record;
        let stage = match &claim {
            Some(claim) if taking => Stage::Taking { host: claim.host.clone() },
            Some(claim) => Stage::Claimed { host: claim.host.clone(), fed },
            None => Stage::Offered,
        };
        let (machine, actions) = Machine::new(stage, uptime);
        (Self { job, machine, offer, expires_ms, claim, result: None, feed: None }, actions)
    }

    /// As the store keeps it and the broker shows it.
    pub fn record(&self) -> OfferRecord {
        let (fed, taking) = match self.machine.stage() {
            Stage::Offered => (false, false),
            Stage::Claimed { fed, .. } => (*fed, false),
            Stage::Taking { .. } => (true, true),
        };
        let host = self.machine.host().map(str::to_owned);
        let state = if host.is_some() { OfferState::Claimed } else { OfferState::Offered };
        let offer = Offer { state, host, ..self.offer.clone() };
        let (job, expires_ms, claim) = (self.job, self.expires_ms, self.claim.clone());
        OfferRecord { job, offer, expires_ms, claim, fed, taking }
    }

    /// For `graft offload status`.
    pub fn json(&self) -> Value {
        let record = self.record();
        json!({"offer": record.offer, "fed": record.fed})
    }

    /// Whether its result is being fetched.
    pub fn is_taking(&self) -> bool {
        matches!(self.machine.stage(), Stage::Taking { .. })
    }

    /// Ends the transfer that runs.
    pub fn stop_feed(&mut self) {
        if let Some((_, cancel)) = self.feed.take() {
            cancel.now();
        }
    }
}

/// Whether a job may be offered now; `running` is the one that is offered.
///
/// # Errors
/// Why not.
pub fn may_offer(cx: &Context, running: Option<JobId>, fx: &Effects) -> Result<(), Error> {
    let unsupported = |message: &str| Err(Error::new(Code::Unsupported, message));
    if cx.settings.offload.host_keys.is_empty() {
        return unsupported(
            "no training host is trusted: put its public key into offload.host_keys and restart",
        );
    }
    if !fx.has_broker() {
        return unsupported("a job is offered over MQTT, and mqtt.enabled is off");
    }
    if let Some(job) = running.or(cx.arrival) {
        return Err(Error::busy(&job.to_string()));
    }
    if cx.active.is_none() {
        let message = "there is no head yet that a host could improve on: label samples, then train";
        return Err(Error::new(Code::NotEnoughData, message));
    }
    Ok(())
}
