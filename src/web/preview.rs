//! The camera's whole picture for those who look: made by the inference thread, and only while somebody does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use graft_wire::Code;
use tokio::sync::{mpsc, watch};

use super::api::{Api, refuse};
use super::watching::Pieces;

/// Pictures a second, at most.
const HZ: f64 = 10.0;
/// Longest side of a picture, in pixels.
const SIDE: u32 = 640;
/// Whoever reads slower than this is given the newest picture when he is ready, and none in between.
const AHEAD: usize = 1;

/// Newest wins, between one who makes pictures and those who look at them.
#[derive(Debug)]
pub struct Preview {
    viewers: AtomicUsize,
    newest: watch::Sender<Bytes>,
}

impl Default for Preview {
    fn default() -> Self {
        Self { viewers: AtomicUsize::new(0), newest: watch::Sender::new(Bytes::new()) }
    }
}

impl Preview {
    /// Pictures a second, at most.
    pub const HZ: f64 = HZ;
    /// Longest side of a picture, in pixels.
    pub const SIDE: u32 = SIDE;

    /// Whether anybody looks: otherwise no picture is to be made.
    pub fn is_wanted(&self) -> bool {
        self.viewers.load(Ordering::Relaxed) > 0
    }

    /// Shows a JPEG. Never waits.
    pub fn show(&self, jpeg: impl Into<Bytes>) {
        self.newest.send_replace(jpeg.into());
    }

    /// One more who looks, of so many at most.
    pub(crate) fn join(self: &Arc<Self>, most: usize) -> Option<Viewer> {
        let more = |now: usize| (now < most).then_some(now + 1);
        self.viewers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let mut pictures = self.newest.subscribe();
        // What was shown last may be old: nobody looked.
        pictures.mark_unchanged();
        Some(Viewer { preview: Arc::clone(self), pictures })
    }
}

/// Looks until it is dropped.
pub(crate) struct Viewer {
    preview: Arc<Preview>,
    /// The newest picture.
    pub(crate) pictures: watch::Receiver<Bytes>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.preview.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `GET stream`: one JPEG after the other, as `<img>` shows them.
pub(super) async fn stream(State(api): State<Api>) -> Response {
    let Some(viewer) = api.backend.preview.join(api.limits.viewers) else {
        let message = format!("{} are looking at the camera's picture already", api.limits.viewers);
        return refuse(Code::Busy, message).with_status(503).into_response();
    };
    let (sender, pieces) = mpsc::channel(AHEAD);
    tokio::spawn(forward(viewer, sender, api.stopping));
    let kind = "multipart/x-mixed-replace; boundary=frame";
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], Pieces::body(pieces, None)).into_response()
}

async fn forward(mut viewer: Viewer, sender: mpsc::Sender<Bytes>, mut stopping: watch::Receiver<()>) {
    let mut first = true;
    loop {
        let changed = tokio::select! {
            changed = viewer.pictures.changed() => changed.is_ok(),
            () = sender.closed() => false,
            _ = stopping.changed() => false,
        };
        if !changed {
            return;
        }
        let jpeg = viewer.pictures.borrow_and_update().clone();
        let piece = part(&jpeg, std::mem::take(&mut first));
        tokio::select! {
            sent = sender.send(piece) => if sent.is_err() { return },
            _ = stopping.changed() => return,
        }
    }
}

/// One picture with the boundary after it: browsers show a picture when they have seen its end.
fn part(jpeg: &[u8], first: bool) -> Bytes {
    let mut piece = BytesMut::with_capacity(jpeg.len() + 128);
    if first {
        piece.extend_from_slice(b"--frame\r\n");
    }
    let head = format!("Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    piece.extend_from_slice(head.as_bytes());
    piece.extend_from_slice(jpeg);
    piece.extend_from_slice(b"\r\n--frame\r\n");
    piece.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_looks_nothing_is_made_and_no_old_picture_is_shown() {
        let preview = Arc::new(Preview::default());
        assert!(!preview.is_wanted());
        let first = preview.join(2).unwrap();
        assert!(preview.is_wanted());
        preview.show(vec![1]);
        assert!(first.pictures.has_changed().unwrap());
        let second = preview.join(2).unwrap();
        assert!(!second.pictures.has_changed().unwrap());
        assert!(preview.join(2).is_none());
        drop(first);
        assert!(preview.is_wanted() && preview.join(2).is_some());
        drop(second);
        assert!(!preview.is_wanted());
    }

    #[test]
    fn each_picture_is_a_part_that_ends_with_the_boundary() {
        let text = |first| String::from_utf8(part(b"ab", first).to_vec()).unwrap();
        let body = "Content-Type: image/jpeg\r\nContent-Length: 2\r\n\r\nab\r\n--frame\r\n";
        assert_eq!((text(false), text(true)), (body.to_owned(), format!("--frame\r\n{body}")));
    }
}
