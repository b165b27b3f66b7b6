//! The MQTT 5 session: one connection to one broker, kept up for ever.
//!
//! Topics are strings here and payloads bytes. The session owns what the broker cannot be trusted with: the
//! retained topics (published again at every connect), the outbox, and the order of a head's publication. See `docs/design/decisions/0006-mqtt-client-and-session.md`.
//!
//! ```text
//! Handle ──▶ Outbox (behind a mutex: queues, window, retained topics) ──▶ session task ──▶ driver task (rumqttc)
//!    Report ◀── forwarding task ◀──────────── reports ◀──────────────────────┘
//! ```
#![forbid(unsafe_code)]

use bytes::Bytes;

mod connection;
mod handle;
mod outbox;
mod probe;
mod publication;
mod reason;
mod reconnect;
mod sequence;
mod session;
mod settings;
mod tls;
mod traffic;

#[cfg(test)]
mod tests;

pub use handle::{Handle, start};
pub use probe::{Probe, probe};
pub use publication::Publication;
pub use settings::{Settings, Tls};

pub use tls::use_ring;

/// What the session tells the daemon, in order.
#[derive(Debug)]
pub enum Report {
    /// The broker accepted us and our subscriptions are in place; retained topics are being published.
    Connected {
        /// Largest packet in bytes that may be sent: the smaller of our setting and the broker's limit.
        max_packet_out: usize,
        /// The broker still had our session, so commands sent while we were away may follow.
        session_present: bool,
    },
    /// The connection ended, or an attempt failed for a reason that was not reported before.
    Disconnected {
        /// What is wrong and what to do, for people.
        reason: String,
    },
    /// A message on one of the subscriptions.
    Command(Incoming),
    /// Everything published under this token is at the broker.
    Acked(u64),
    /// What was published under this token will not be sent (again).
    Refused {
        /// The token given with the publication or sequence.
        token: u64,
        /// `word: explanation`; words: `too_large`, `queue_full`, `bad_topic`, `denied`, `expired`,
        /// `closed`.
        reason: String,
    },
}

/// A message that came in.
#[derive(Debug)]
pub struct Incoming {
    /// Topic it was published on.
    pub topic: String,
    pub payload: Bytes,
    /// Published with the retain flag (also when it was delivered live), or kept by the broker from before.
    pub retain: bool,
    /// Where the sender wants the answer.
    pub response_topic: Option<String>,
    /// What the sender wants echoed with the answer.
    pub correlation: Option<Bytes>,
    /// What is left of the message's life, seconds, as the broker counted it.
    pub expiry_s: Option<u32>,
    /// To be given to [`Handle::ack`] once the command is decided and on disk.
    pub ack: Ack,
}

/// The right to acknowledge one message. Worthless once its connection is gone: the broker then sends the
/// message again.
#[derive(Debug)]
pub struct Ack {
    connection: u64,
    /// 0 for QoS 0, which has no acknowledgement.
    pkid: u16,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connected and subscribed now.
    pub connected: bool,
    /// QoS 0 publications that were overwritten in the queue or outlived their expiry, and incoming QoS 0
    /// messages that nobody took in time.
    pub dropped: u64,
    /// Publications that were refused, with or without a token.
    pub refused: u64,
    /// Connections after the first.
    pub reconnects: u64,
}
