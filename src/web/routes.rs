//! The routes, and the checks of a request before the daemon gets it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Extension, Path, State};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Router, http::header};
use bytes::Bytes;
use graft_wire::{Code, Error};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;

use super::limits::Limits;
use super::{Answer, Backend, Request, View, imports, preview, uploads, views, watching};

/// The interface for tools, written from [`super::table::ROUTES`] and the types of commands.
const OPENAPI: &str = include_str!("../../docs/reference/openapi.json");

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

/// Endpoints for monitoring: health, readiness, metrics.
pub(super) fn figures(api: Api) -> Router {
    watched().with_state(api)
}

fn watched() -> Router<Api> {
    Router::new()
        .route("/healthz", get(async || Answer::json(&json!({"status": "ok"}))))
        .route("/readyz", get(async |State(api): State<Api>| api.view(View::Ready).await))
        .route("/metrics", get(async |State(api): State<Api>| api.view(View::Metrics).await))
}

/// Every path below the root, with what answers it. [`super::table`] describes them.
fn routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    let view = |view: View| {
        get(move |State(api): State<Api>| {
            let view = view.clone();
            async move { api.view(view).await }
        })
    };
    vec![
        ("cmd/{op}", post(command)),
        ("status", view(View::Status)),
        ("dataset", view(View::Dataset)),
        ("dataset/statistics", view(View::Statistics)),
        ("samples", get(views::samples)),
        ("samples/{id}/image", get(views::sample_image)),
        ("samples/{id}/near", get(views::near)),
        ("bursts", get(views::bursts)),
        ("held_out", view(View::HeldOut)),
        ("ring", view(View::Ring)),
        ("ring/{frame}/image", get(views::ring_image)),
        ("predict", post(uploads::predict)),
        ("import", post(imports::import)),
        ("export", get(imports::export)),
        ("doctor", view(View::Doctor)),
        ("heads", view(View::Heads)),
        ("heads/{version}", get(views::head)),
        ("heads/{version}/file", get(views::head_file)),
        ("backbones", view(View::Backbones)),
        ("offload", view(View::Offload)),
        ("config", view(View::Config)),
        ("jobs", view(View::Jobs)),
        ("jobs/{id}", get(views::job)),
        ("frame", view(View::Frame)),
        ("view", view(View::Region)),
        ("watch", get(watch_lines)),
        ("events", get(watching::events)),
        ("stream", get(preview::stream)),
        ("openapi.json", get(async || Answer::bytes("application/json", OPENAPI.as_bytes()))),
    ]
}

/// Everything below `root`, `/v1` on the socket and `/api/v1` on TCP, under one router, which does not know its listener.
pub(super) fn router(api: Api, root: &'static str) -> Router {
    let routes = routes();
    let names = routes.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ");
    let mut router = watched();
    for (path, handler) in routes {
        router = router.route(&format!("{root}/{path}"), handler);
    }
    router
        .fallback(async move |uri: Uri| {
            refuse(
                Code::NotFound,
                format!("there is nothing at {}; below {root} there are: {names}", uri.path()),
            )
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let message =
                format!("{method} is not possible at {}: commands are POST, views are GET", uri.path());
            refuse(Code::Unsupported, message).with_status(405)
        })
        .with_state(api)
}

async fn command(
    State(api): State<Api>,
    Path(op): Path<String>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Answer {
    if op.is_empty() || op.len() > 32 || !op.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
        return refuse(Code::NotFound, "a command is named by lower-case letters");
    }
    let body = match read(body, api.limits.bytes, api.limits.body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let by = match peer {
        Some(Extension(Peer::User(user))) => Some(user),
        _ => None,
    };
    let (reply, answer) = oneshot::channel();
    api.ask(Request::Command { op, body, by, reply }, answer).await
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

async fn watch_lines(State(api): State<Api>) -> Response {
    let permit = match api.watcher() {
        Ok(permit) => permit,
        Err(answer) => return answer.into_response(),
    };
    let body = watching::lines(api.backend.watch.subscribe(), permit, api.stopping);
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response()
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

#[cfg(test)]
mod tests {
    use super::super::table::ROUTES;
    use super::*;

    #[test]
    fn the_table_has_every_path_and_no_other() {
        let served: Vec<&str> = routes().iter().map(|(path, _)| *path).collect();
        let described: Vec<&str> =
            ROUTES.iter().filter(|route| !route.page).map(|route| route.path).collect();
        let lacking = |these: &[&'static str], those: &[&str]| {
            these.iter().filter(|path| !those.contains(path)).copied().collect::<Vec<_>>()
        };
        assert_eq!((lacking(&served, &described), lacking(&described, &served)), (vec![], vec![]));
    }
}
