//! Reads what boards publish: offers, what they are, how their jobs end, what they answer.

use crate::decide::{ApplyReply, HostEvent};
use graft_wire::command::is_job_id;
use graft_wire::digest::is_digest;
use graft_wire::messages::{Info, JobMessage, JobStatus, ONLINE};
use graft_wire::offload::Offer;
use graft_wire::topic::is_device_id;
use graft_wire::{Reply, Status};

/// What is subscribed to, below the topic base.
pub(crate) const SUBSCRIPTIONS: [&str; 6] =
    ["+/offload/+", "+/info", "+/availability", "+/job/+", "+/reply/offload", "+/reply/backbone"];

/// The event that a message is; `None` for what is of no interest to this host, or cannot be read, which is logged.
pub(crate) fn read(base: &str, host: &str, topic: &str, payload: &[u8]) -> Option<HostEvent> {
    let rest = topic.strip_prefix(base)?.strip_prefix('/')?;
    let words: Vec<&str> = rest.split('/').collect();
    let device = words.first().filter(|device| is_device_id(device)).map(|device| (*device).to_owned())?;
    match words[1..] {
        ["offload", job] if is_job_id(job) => offer(device, job, payload),
        ["info"] => {
            let info = serde_json::from_slice::<Info>(payload).ok();
            let (group, backbone) = info.map_or((None, None), |info| (info.group, info.backbone));
            Some(HostEvent::BoardInfo { device, group, backbone: backbone.map(|backbone| backbone.digest) })
        }
        ["availability"] => {
            Some(HostEvent::BoardAvailability { device, online: payload == ONLINE.as_bytes() })
        }
        ["job", job] => not_promoted(device, job, payload),
        ["reply", "backbone"] => apply_reply(host, device, payload),
        ["reply", "offload"] => {
            log_refusal(host, &device, payload);
            None
        }
        _ => None,
    }
}

fn offer(device: String, job: &str, payload: &[u8]) -> Option<HostEvent> {
    if payload.is_empty() {
        return Some(HostEvent::OfferCleared { device, job: job.to_owned() });
    }
    let read = serde_json::from_slice::<Offer>(payload).map_err(|error| error.to_string());
    let read = read.and_then(|offer| {
        let fits = offer.job == job && is_digest(&offer.dataset.digest) && is_digest(&offer.backbone.digest);
        if fits { Ok(offer) } else { Err("its job or a digest is not well-formed".into()) }
    });
    match read {
        Ok(offer) => Some(HostEvent::OfferSeen { device, offer: Box::new(offer) }),
        Err(why) => {
            tracing::warn!(device, job, why, "an offer cannot be read and is left alone");
            None
        }
    }
}

/// The parts of a command's id behind this host's own.
fn parts<'a>(id: Option<&'a str>, host: &str) -> Option<std::str::Split<'a, char>> {
    Some(id?.strip_prefix(host)?.strip_prefix(':')?.split(':'))
}

/// The answer to `apply`, whose id is `<host>:<group>:<version>:<sent>`.
fn apply_reply(host: &str, device: String, payload: &[u8]) -> Option<HostEvent> {
    let reply = Reply::from_json(payload).ok()?;
    let mut parts = parts(reply.id.as_deref(), host)?;
    let (group, version) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
    let reply = match (reply.status, reply.error) {
        (Status::Error, Some(error)) if error.retryable => ApplyReply::Later { reason: error.message },
        (Status::Error, error) => ApplyReply::Refused { reason: error.map(|error| error.message) },
        (Status::Ok | Status::Accepted, _) => ApplyReply::Accepted { job: reply.job },
    };
    Some(HostEvent::ApplyReplied { device, group, version, reply })
}

/// A job on a board that ended without a promotion.
fn not_promoted(device: String, job: &str, payload: &[u8]) -> Option<HostEvent> {
    let message = serde_json::from_slice::<JobMessage>(payload).ok()?;
    let reason = match message.status {
        JobStatus::Failed | JobStatus::Canceled => {
            message.error.map_or_else(|| "cancelled on the board".to_owned(), |error| error.message)
        }
        JobStatus::Successful if message.result.get("promoted") == Some(&false.into()) => {
            message.result.get("reason").and_then(|r| r.as_str()).unwrap_or("its gate said no").to_owned()
        }
        _ => return None,
    };
    Some(HostEvent::NotPromoted { device, job: job.to_owned(), reason })
}

/// A board refuses a claim, result or release, whose id is `<host>:<device>.<job>:<random>`. What follows from it, the
/// board's offer tells.
fn log_refusal(host: &str, device: &str, payload: &[u8]) {
    let Ok(Reply { id, status: Status::Error, error: Some(error), .. }) = Reply::from_json(payload) else {
        return;
    };
    if let Some(job) = parts(id.as_deref(), host).and_then(|mut parts| parts.next()) {
        tracing::warn!(device, job, code = error.code.as_str(), "the board refuses: {}", error.message);
    }
}
