//! How much one client may ask for, and how slowly.

use std::time::Duration;

/// Limits of clients and connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// Of these, streams of `watch` and `events`; more are refused.
    pub watchers: usize,
    /// Of these, streams of the camera's picture; more are refused.
    pub viewers: usize,
    /// Requests at a time on TCP, streams left out; more wait.
    pub requests: usize,
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
            viewers: 4,
            requests: 8,
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            bytes: 64 << 10,
        }
    }
}
