//! What handlers have in common: how they ask the daemon, read a body, and refuse.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use graft_wire::{Code, Error};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;

use super::limits::Limits;
use super::{Answer, Backend, Request, View};

/// Who is on the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// A user of this machine, by number.
    User(u32),
    /// Somebody at this address.
    Address(std::net::IpAddr),
}

/// What the handlers have in common.
#[derive(Clone)]
pub(super) struct Api {
    pub backend: Backend,
    watchers: Arc<Semaphore>,
    /// Pictures to predict at a time: each takes memory for all its pixels.
    pub pictures: Arc<Semaphore>,
    /// Uploads and downloads of data sets at a time.
    pub transfers: Arc<Semaphore>,
    pub limits: Limits,
    pub stopping: watch::Receiver<()>,
}

impl Api {
    pub fn new(backend: Backend, limits: Limits, stopping: watch::Receiver<()>) -> Self {
        let watchers = Arc::new(Semaphore::new(limits.watchers));
        let [pictures, transfers] = [Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1))];
        Self { backend, watchers, pictures, transfers, limits, stopping }
    }

    pub async fn view(&self, view: View) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::View { view, reply }, answer).await
    }

    /// Sends a command of somebody whom the listener does not know by name.
    pub async fn command(&self, command: &graft_wire::Command) -> Answer {
        let (op, body) = (command.op().as_str().to_owned(), command.to_value().to_string().into());
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Command { op, body, by: None, reply }, answer).await
    }

    pub async fn ask(&self, request: Request, answer: oneshot::Receiver<Answer>) -> Answer {
        let asked = timeout(self.limits.answer, async {
            self.backend.requests.send(request).await.ok()?;
            answer.await.ok()
        });
        match asked.await {
            Ok(Some(answer)) => answer,
            Ok(None) => again(Code::Internal, "the daemon is stopping").with_status(503),
            Err(_) => refuse(Code::Timeout, too_slow("the daemon did not answer", self.limits.answer)),
        }
    }

    /// A place among those who watch.
    pub fn watcher(&self) -> Result<OwnedSemaphorePermit, Answer> {
        Arc::clone(&self.watchers).try_acquire_owned().map_err(|_| {
            let message = format!("{} clients are watching already", self.limits.watchers);
            refuse(Code::Busy, message).with_status(503)
        })
    }
}

/// The body of a request, of so many bytes at most.
pub(super) async fn read(body: Body, most: usize, wait: Duration) -> Result<Bytes, Answer> {
    let too_large = || refuse(Code::TooLarge, format!("the body has at most {most} bytes here"));
    // A length that is announced need not be waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match timeout(wait, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(again(Code::BadRequest, format!("the body cannot be read: {error}"))),
        Err(_) => {
            let message = too_slow("the body did not arrive", wait);
            Err(refuse(Code::Timeout, message).with_status(408))
        }
    }
}

pub(super) fn refuse(code: Code, message: impl Into<String>) -> Answer {
    Answer::error(&Error::new(code, message))
}

/// Refuses what may go well when it is sent again as it is, which the code alone does not say.
pub(super) fn again(code: Code, message: impl Into<String>) -> Answer {
    Answer::error(&Error { retryable: true, ..Error::new(code, message) })
}

fn too_slow(what: &str, limit: Duration) -> String {
    format!("{what} within {} s", limit.as_secs_f32())
}
