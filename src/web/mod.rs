//! HTTP/1.1 with JSON on a Unix socket: the same commands as on MQTT, and views of the daemon's state.
//!
//! This module has paths, limits and the form of answers; the daemon receives [`Request`]s, decides what a command or
//! a view means, and answers each exactly once. The router does not know its listener, so a page on TCP
//! can be put on it later. See `docs/design/decisions/0007-command-socket.md`.

use bytes::Bytes;
use tokio::sync::oneshot;

mod answer;
pub mod client;
mod limits;
mod listen;
mod routes;
mod serve;
mod watching;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use client::{Client, ClientError};
pub use listen::listen;
pub use serve::{serve, serve_figures};

/// What can be looked at. None of these changes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// Mode, head, backbone, counts, connection: one JSON object.
    Status,
    /// Classes with their samples and bursts.
    Dataset,
    /// Rows of samples, newest first.
    Samples {
        class: Option<String>,
        /// At most this many, 1 to 1000.
        limit: usize,
        /// Left out from the start.
        offset: usize,
    },
    /// The stored crop of one sample, JPEG.
    SampleImage(i64),
    /// The sums over all samples, safetensors: what `graft host merge` adds up.
    Statistics,
    Heads,
    /// One head version with its manifest and metrics.
    Head(u64),
    /// A head as a file.
    HeadFile {
        /// `None`: the active one.
        version: Option<u64>,
        /// `safetensors`, `onnx` or `merged-onnx`.
        format: String,
    },
    /// Backbones that came from elsewhere, and which of them serves.
    Backbones,
    /// The job that is offered to a host, or came from one.
    Offload,
    /// The effective configuration without secrets.
    Config,
    Jobs,
    Job(String),
    /// The newest crop, JPEG.
    Frame,
    Metrics,
    /// Whether frames are predicted: status 200 or 503.
    Ready,
}

/// What the daemon is asked. An answer that is dropped instead of sent becomes `503` to the client.
#[derive(Debug)]
pub enum Request {
    /// The same as an MQTT message on `cmd/{op}`.
    Command {
        /// Last part of the topic.
        op: String,
        body: Bytes,
        /// The user who asks, by number, where the listener can tell.
        by: Option<u32>,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// A look at something.
    View {
        view: View,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
}
