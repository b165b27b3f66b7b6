//! HTTP/1.1 with JSON on a Unix socket: the same commands as on MQTT, and views of the daemon's state.
//!
//! This module has paths, limits and the form of answers; the daemon receives [`Request`]s, decides what a command or
//! a view means, and answers each exactly once. The router does not know its listener: the page on TCP ([`page`]) has the
//! same below `/api`, behind its guard. See `docs/design/decisions/0007-command-socket.md`.

use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};

mod answer;
mod api;
pub mod client;
mod guard;
mod imports;
mod limits;
mod listen;
mod page;
mod preview;
mod routes;
mod serve;
mod table;
mod tls;
mod uploads;
mod views;
mod watching;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use client::{Client, ClientError};
pub use guard::{Role, forget_tokens, make_token};
pub use imports::{UPLOADED, tidy};
pub use listen::listen;
pub use page::{Page, PageError, PageSettings};
pub use preview::Preview;
pub use serve::{serve, serve_figures};
pub use table::{ROUTES, Route};
pub use tls::{Certificate, TlsError, certificate_of};

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
    /// Its nearest samples, of its own class and of the class that the head says.
    Near(i64),
    /// Bursts with their samples, newest first.
    Bursts {
        class: Option<String>,
        /// At most this many, 1 to 100.
        limit: usize,
        /// Left out from the start.
        offset: usize,
    },
    /// What was said of each sample by a head that had not seen its burst.
    HeldOut,
    /// The frames that can still be labelled.
    Ring,
    /// The crop of one of them, JPEG.
    RingImage(u64),
    /// What the head says of this picture file.
    Predict(Bytes),
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
    /// The part of the frame that is looked at.
    Region,
    /// The state and the label, as whoever begins to watch is told first.
    Beginning,
    Metrics,
    /// Whether frames are predicted: status 200 or 503.
    Ready,
    /// What `graft doctor` finds.
    Doctor,
}

/// What stands behind the listeners.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Where requests go.
    pub requests: mpsc::Sender<Request>,
    /// Where lines of `watch` come from, one JSON text per item.
    pub watch: broadcast::Sender<String>,
    /// The camera's whole picture.
    pub preview: Arc<Preview>,
    /// The state folder: uploads go below `imports` there.
    pub state: std::path::PathBuf,
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
