//! `/v1/watch`: lines as they happen.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, watch};

/// Newline-delimited JSON. A reader that is too slow gets `{"skipped":n}` in place of the n lines it missed.
struct Lines {
    lines: mpsc::Receiver<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// A body that ends when the daemon does. `permit` is held for as long as it is read.
pub(super) fn body(
    source: broadcast::Receiver<String>,
    permit: OwnedSemaphorePermit,
    stopping: watch::Receiver<()>,
) -> Body {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(forward(source, sender, stopping));
    Body::new(Lines { lines, _permit: permit })
}

async fn forward(
    mut source: broadcast::Receiver<String>,
    sender: mpsc::Sender<Bytes>,
    mut stopping: watch::Receiver<()>,
) {
    loop {
        let line = tokio::select! {
            line = source.recv() => match line {
                // One item is one line, whatever is in it.
                Ok(line) => line.replace('\n', " ") + "\n",
                Err(RecvError::Lagged(skipped)) => format!("{{\"skipped\":{skipped}}}\n"),
                Err(RecvError::Closed) => return,
            },
            () = sender.closed() => return,
            _ = stopping.changed() => return,
        };
        tokio::select! {
            sent = sender.send(line.into()) => if sent.is_err() { return },
            _ = stopping.changed() => return,
        }
    }
}
