//! What happens, as it happens: `watch` gives lines, `events` what browsers call server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, watch};
use tokio::time::interval;

use super::View;
use super::api::Api;

/// A comment is sent this often, so that both sides notice a connection that is no more.
const ALIVE: Duration = Duration::from_secs(15);

/// A body whose pieces come while it is read.
pub(super) struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Pieces {
    /// It ends when nobody holds the other end. `permit` is held for as long as it is read.
    pub fn body(pieces: mpsc::Receiver<Bytes>, permit: Option<OwnedSemaphorePermit>) -> Body {
        Body::new(Self { pieces, _permit: permit })
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// The form of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Newline-delimited JSON. A reader that is too slow gets `{"skipped":n}` in place of the n lines it missed.
    Lines,
    /// `text/event-stream`; in place of what was missed comes the event `skipped`.
    Events,
}

/// The parts of a line of the daemon, `{"type":"label","data":"ok"}`.
fn told(line: &str) -> Option<(&str, &str)> {
    let (kind, data) = line.strip_prefix("{\"type\":\"")?.split_once("\",\"data\":")?;
    let word = kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    Some((kind, data.strip_suffix('}')?)).filter(|_| word)
}

/// One event for a browser. JSON has no line ends outside of its texts, and none within.
fn event(kind: &str, data: &str) -> String {
    format!("event: {kind}\ndata: {}\n\n", data.replace(['\n', '\r'], " "))
}

impl Form {
    fn of(self, line: &str) -> String {
        match self {
            // One item is one line, whatever is in it.
            Self::Lines => line.replace('\n', " ") + "\n",
            Self::Events => {
                let (kind, data) = told(line).unwrap_or(("message", line));
                event(kind, data)
            }
        }
    }

    fn skipped(self, lines: u64) -> String {
        match self {
            Self::Lines => format!("{{\"skipped\":{lines}}}\n"),
            Self::Events => event("skipped", &lines.to_string()),
        }
    }
}

/// A body of lines that ends when the daemon does.
pub(super) fn lines(
    source: broadcast::Receiver<String>,
    permit: OwnedSemaphorePermit,
    stopping: watch::Receiver<()>,
) -> Body {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(forward(Form::Lines, String::new(), source, sender, stopping));
    Pieces::body(lines, Some(permit))
}

/// `GET events`: first the state and the label as they are, then all that happens.
pub(super) async fn events(State(api): State<Api>) -> Response {
    let permit = match api.watcher() {
        Ok(permit) => permit,
        Err(answer) => return answer.into_response(),
    };
    // Before the question, so that nothing falls between.
    let source = api.backend.watch.subscribe();
    let beginning = api.view(View::Beginning).await;
    if beginning.status != 200 {
        return beginning.into_response();
    }
    let first = String::from_utf8_lossy(&beginning.body).lines().map(|line| Form::Events.of(line)).collect();
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(forward(Form::Events, first, source, sender, api.stopping));
    let body = Pieces::body(pieces, Some(permit));
    ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")], body).into_response()
}

async fn forward(
    form: Form,
    first: String,
    mut source: broadcast::Receiver<String>,
    sender: mpsc::Sender<Bytes>,
    mut stopping: watch::Receiver<()>,
) {
    let mut alive = interval(ALIVE);
    alive.reset();
    let mut next = (!first.is_empty()).then_some(first);
    loop {
        let piece = match next.take() {
            Some(piece) => piece,
            None => tokio::select! {
                line = source.recv() => match line {
                    Ok(line) => form.of(&line),
                    Err(RecvError::Lagged(skipped)) => form.skipped(skipped),
                    Err(RecvError::Closed) => return,
                },
                _ = alive.tick(), if form == Form::Events => ": alive\n\n".to_owned(),
                () = sender.closed() => return,
                _ = stopping.changed() => return,
            },
        };
        tokio::select! {
            sent = sender.send(piece.into()) => if sent.is_err() { return },
            _ = stopping.changed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_events_and_no_text_makes_a_second_one() {
        let line = "{\"type\":\"label\",\"data\":\"a\\nevent: state\"}";
        assert_eq!(Form::Events.of(line), "event: label\ndata: \"a\\nevent: state\"\n\n");
        let line = "{\"type\":\"state\",\"data\":{\"a\":\n1}}";
        assert_eq!(Form::Events.of(line), "event: state\ndata: {\"a\": 1}\n\n");
        assert_eq!(Form::Events.of("odd\r\n\r\ndata: 1"), "event: message\ndata: odd    data: 1\n\n");
        assert_eq!(Form::Events.skipped(3), "event: skipped\ndata: 3\n\n");
        assert_eq!(
            (Form::Lines.of("a\nb"), Form::Lines.skipped(3)),
            ("a b\n".into(), "{\"skipped\":3}\n".into())
        );
    }
}
