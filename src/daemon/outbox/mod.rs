//! Events on their way to the broker, and what the broker says of them.

pub mod tasks;

use self::tasks::{Done, Task};
use super::clock::Now;
use super::effects::Effects;
use super::store_thread::StoreTask;
use bytes::Bytes;
use graft_control::Version;
use graft_mqtt::Publication;
use graft_wire::messages::EventType;
use graft_wire::{Code, Error};

/// Tokens of heads are told from those of the outbox by this bit.
const HEAD_TOKEN: u64 = 1 << 62;

/// The token of a head's publication.
pub fn head_token(version: Version) -> u64 {
    HEAD_TOKEN | version
}

/// Sends what an earlier start could not deliver.
pub fn resume(fx: &mut Effects) {
    fx.store(StoreTask::Outbox(Task::Pending));
}

/// A message is on disk, or was from before: it is sent.
pub fn handle(done: Done, fx: &mut Effects) {
    match done {
        Done::Kept { topic, payload, seq } => send(topic, payload.into(), seq, fx),
        Done::Pending(pending) => {
            for outgoing in pending {
                let token = u64::try_from(outgoing.seq).ok();
                send(outgoing.topic, outgoing.payload.into(), token, fx);
            }
        }
    }
}

fn send(topic: String, payload: Bytes, token: Option<u64>, fx: &mut Effects) {
    fx.publish(Publication { topic, payload, qos1: true, token, ..Publication::default() });
}

/// The broker has it, or never will.
pub fn delivered(now: &Now, token: u64, refused: Option<String>, fx: &mut Effects) {
    if let Some(reason) = &refused {
        tracing::warn!(token, reason, "a publication was refused");
    }
    if token & HEAD_TOKEN != 0 {
        let version = token & !HEAD_TOKEN;
        if let Some(reason) = refused {
            let message = format!("head {version} was not published: {reason}");
            let error = Error::new(Code::TooLarge, message);
            return fx.event(now, EventType::Error, |e| e.because(error));
        }
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        fx.store(StoreTask::Outbox(Task::HeadPublished { version, now_ms: now.wall_ms }));
    } else if let Ok(seq) = i64::try_from(token) {
        fx.store(StoreTask::Outbox(Task::Delivered(seq)));
    }
}
