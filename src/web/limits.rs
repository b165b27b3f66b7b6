//! How much one client may ask for, and how slowly.

use std::time::Duration;

/// Limits of clients and connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// Of these, streams of `/v1/watch`; more are refused.
    pub watchers: usize,
    /// For the request line and headers, and for idle connections.
    pub header: Duration,
    /// For the whole body.
    pub body: Duration,
    /// For the daemon's answer.
    pub answer: Duration,
    /// Bytes of a command.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            watchers: 16,
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            bytes: 64 << 10,
        }
    }
}
