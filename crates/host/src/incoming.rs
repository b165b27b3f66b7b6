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

#[cfg(test)]
mod tests {
    use super::*;
    use graft_wire::digest::sha256;
    use serde_json::{Value, json};

    fn read_json(topic: &str, payload: &Value) -> Option<HostEvent> {
        read("site/graft", "gpu-1", topic, payload.to_string().as_bytes())
    }

    fn offer() -> Value {
        let digest = sha256(b"x");
        json!({"job": "16", "recipe": "auto", "state": "offered", "expires": "2099-01-01T00:00:00Z",
            "backbone": {"name": "tiny", "digest": digest, "size": 1, "tensor": "features"},
            "dataset": {"rev": 1, "digest": digest, "samples": 1, "classes": 2, "bytes": 1}})
    }

    #[test]
    fn offers_are_seen_cleared_or_left_alone() {
        let topic = "site/graft/cam-1/offload/16";
        let seen = read_json(topic, &offer());
        assert!(matches!(seen, Some(HostEvent::OfferSeen { device, offer })
            if device == "cam-1" && offer.job == "16"));
        let (device, job) = ("cam-1".to_owned(), "16".to_owned());
        assert_eq!(read("site/graft", "gpu-1", topic, b""), Some(HostEvent::OfferCleared { device, job }));
        // Of another job, with a digest that is none, no offer at all, on other topics.
        assert_eq!(read_json("site/graft/cam-1/offload/17", &offer()), None);
        let mut odd = offer();
        odd["dataset"]["digest"] = "sha256:../..".into();
        assert_eq!(read_json(topic, &odd), None);
        assert_eq!(read_json(topic, &json!([1])), None);
        for strange in [
            "graft/cam-1/offload/16",
            "site/graftx/cam-1/offload/16",
            "site/graft/CAM.1/offload/16",
            "site/graft/cam-1/offload/1.6",
            "site/graft/cam-1/offload",
            "site/graft",
        ] {
            assert_eq!(read_json(strange, &offer()), None, "{strange}");
        }
    }

    #[test]
    fn boards_show_themselves() {
        let online = |payload: &[u8]| read("g", "gpu-1", "g/cam-1/availability", payload);
        let device = || "cam-1".to_owned();
        assert_eq!(online(b"online"), Some(HostEvent::BoardAvailability { device: device(), online: true }));
        assert_eq!(online(b""), Some(HostEvent::BoardAvailability { device: device(), online: false }));
        // A board that cannot be understood is in no group.
        assert_eq!(
            read("g", "gpu-1", "g/cam-1/info", b"{}"),
            Some(HostEvent::BoardInfo { device: device(), group: None, backbone: None })
        );
    }

    #[test]
    fn answers_count_if_they_are_to_this_host() {
        let reply = |reply: Value| {
            read("g", "gpu-1", "g/cam-1/reply/backbone", reply.to_string().as_bytes()).map(
                |event| match event {
                    HostEvent::ApplyReplied { device, group, version, reply } => {
                        assert_eq!((device.as_str(), group.as_str(), version), ("cam-1", "line-3", 2));
                        reply
                    }
                    other => panic!("{other:?}"),
                },
            )
        };
        let error = |retryable: bool| json!({"code": "busy", "message": "not now", "retryable": retryable});
        let id = "gpu-1:line-3:2:1";
        for (answer, read) in [
            (
                json!({"id": id, "status": "accepted", "job": "7"}),
                ApplyReply::Accepted { job: Some("7".into()) },
            ),
            (
                json!({"id": id, "status": "error", "error": error(true)}),
                ApplyReply::Later { reason: "not now".into() },
            ),
            (
                json!({"id": id, "status": "error", "error": error(false)}),
                ApplyReply::Refused { reason: Some("not now".into()) },
            ),
        ] {
            assert_eq!(reply(answer), Some(read));
        }
        for id in ["gpu-2:line-3:2:1", "gpu-10:line-3:2:1", "gpu-1:line-3", "gpu-1:line-3:x:1", ""] {
            assert_eq!(reply(json!({"id": id, "status": "ok"})), None, "{id}");
        }
        assert_eq!(reply(json!({"status": "ok"})), None);
        // A refused claim is for the log alone.
        let refused = json!({"id": "gpu-1:cam-1.16:00000000", "status": "error", "error": error(false)});
        assert_eq!(read("g", "gpu-1", "g/cam-1/reply/offload", refused.to_string().as_bytes()), None);
    }

    #[test]
    fn jobs_that_end_without_promotion_are_told_with_the_reason() {
        let ended = |message: Value| {
            let base = json!({"id": "7", "op": "backbone"});
            let mut whole = base.as_object().unwrap().clone();
            whole.extend(message.as_object().unwrap().clone());
            match read_json("site/graft/cam-1/job/7", &Value::Object(whole)) {
                Some(HostEvent::NotPromoted { job, reason, .. }) => {
                    assert_eq!(job, "7");
                    Some(reason)
                }
                None => None,
                other => panic!("{other:?}"),
            }
        };
        let result = |promoted: bool| json!({"promoted": promoted, "reason": "it is worse here"});
        assert_eq!(ended(json!({"status": "executing"})), None);
        assert_eq!(ended(json!({"status": "successful", "result": result(true)})), None);
        assert_eq!(
            ended(json!({"status": "successful", "result": result(false)})).as_deref(),
            Some("it is worse here")
        );
        assert_eq!(ended(json!({"status": "canceled"})).as_deref(), Some("cancelled on the board"));
        let error = json!({"code": "busy", "message": "no room"});
        assert_eq!(ended(json!({"status": "failed", "error": error})).as_deref(), Some("no room"));
    }
}
