//! The routes, and the checks of a request before the daemon gets it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http::header};
use bytes::Bytes;
use graft_wire::{Code, Error};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::limits::Limits;
use super::{Answer, Request, View, watching};

const MAX_ROWS: usize = 1000;
const FORMATS: [&str; 3] = ["safetensors", "onnx", "merged-onnx"];

/// Who is on the other end of the connection; absent on listeners that cannot tell.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub u32);

/// What the handlers have in common.
#[derive(Clone)]
pub(super) struct Api {
    requests: mpsc::Sender<Request>,
    watch: broadcast::Sender<String>,
    watchers: Arc<Semaphore>,
    limits: Limits,
    stopping: watch::Receiver<()>,
}

impl Api {
    pub fn new(
        requests: mpsc::Sender<Request>,
        watch: broadcast::Sender<String>,
        limits: Limits,
        stopping: watch::Receiver<()>,
    ) -> Self {
        let watchers = Arc::new(Semaphore::new(limits.watchers));
        Self { requests, watch, watchers, limits, stopping }
    }

    async fn view(&self, view: View) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::View { view, reply }, answer).await
    }

    async fn ask(&self, request: Request, answer: oneshot::Receiver<Answer>) -> Answer {
        let asked = timeout(self.limits.answer, async {
            self.requests.send(request).await.ok()?;
            answer.await.ok()
        });
        match asked.await {
            Ok(Some(answer)) => answer,
            Ok(None) => again(Code::Internal, "the daemon is stopping").with_status(503),
            Err(_) => refuse(Code::Timeout, too_slow("the daemon did not answer", self.limits.answer)),
        }
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

/// Everything under one router, which does not know its listener.
pub(super) fn router(api: Api) -> Router {
    watched()
        .route("/v1/cmd/{op}", post(command))
        .route("/v1/status", get(async |State(api): State<Api>| api.view(View::Status).await))
        .route("/v1/dataset", get(async |State(api): State<Api>| api.view(View::Dataset).await))
        .route("/v1/dataset/statistics", get(async |State(api): State<Api>| api.view(View::Statistics).await))
        .route("/v1/samples", get(samples))
        .route("/v1/samples/{id}/image", get(sample_image))
        .route("/v1/heads", get(async |State(api): State<Api>| api.view(View::Heads).await))
        .route("/v1/heads/{version}", get(head))
        .route("/v1/heads/{version}/file", get(head_file))
        .route("/v1/backbones", get(async |State(api): State<Api>| api.view(View::Backbones).await))
        .route("/v1/offload", get(async |State(api): State<Api>| api.view(View::Offload).await))
        .route("/v1/config", get(async |State(api): State<Api>| api.view(View::Config).await))
        .route("/v1/jobs", get(async |State(api): State<Api>| api.view(View::Jobs).await))
        .route("/v1/jobs/{id}", get(job))
        .route("/v1/frame", get(async |State(api): State<Api>| api.view(View::Frame).await))
        .route("/v1/watch", get(watch_lines))
        .fallback(async |uri: Uri| {
            let message = format!(
                "there is nothing at {}; below /v1 there are cmd/<op>, status, dataset, samples, heads, \
                 backbones, offload, config, jobs, frame and watch",
                uri.path()
            );
            refuse(Code::NotFound, message)
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
    let body = match read(body, &api.limits).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let by = peer.map(|Extension(Peer(user))| user);
    let (reply, answer) = oneshot::channel();
    api.ask(Request::Command { op, body, by, reply }, answer).await
}

async fn read(body: Body, limits: &Limits) -> Result<Bytes, Answer> {
    let too_large = || {
        let message = format!("a command has at most {} bytes", limits.bytes);
        refuse(Code::TooLarge, message)
    };
    // A length that is announced need not be waited for.
    if body.size_hint().lower() > limits.bytes as u64 {
        return Err(too_large());
    }
    match timeout(limits.body, Limited::new(body, limits.bytes).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(again(Code::BadRequest, format!("the body cannot be read: {error}"))),
        Err(_) => {
            let message = too_slow("the body did not arrive", limits.body);
            Err(refuse(Code::Timeout, message).with_status(408))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SamplesQuery {
    class: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

async fn samples(State(api): State<Api>, query: Result<Query<SamplesQuery>, QueryRejection>) -> Answer {
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return bad_query(&error),
    };
    let limit = query.limit.unwrap_or(50);
    if !(1..=MAX_ROWS).contains(&limit) {
        return refuse(Code::BadRequest, format!("limit is {limit}, must be 1 to {MAX_ROWS}"));
    }
    let class = query.class.filter(|class| !class.is_empty());
    api.view(View::Samples { class, limit, offset: query.offset.unwrap_or(0) }).await
}

async fn sample_image(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    match id.parse() {
        Ok(id) => api.view(View::SampleImage(id)).await,
        Err(_) => refuse(Code::NotFound, format!("{id:?} is not the id of a sample")),
    }
}

async fn head(State(api): State<Api>, Path(version): Path<String>) -> Answer {
    match version.parse() {
        Ok(version) => api.view(View::Head(version)).await,
        Err(_) => refuse(Code::NotFound, format!("{version:?} is not a head version (a number)")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileQuery {
    format: Option<String>,
}

async fn head_file(
    State(api): State<Api>,
    Path(version): Path<String>,
    query: Result<Query<FileQuery>, QueryRejection>,
) -> Answer {
    let format = match query {
        Ok(Query(query)) => query.format.unwrap_or_else(|| FORMATS[0].into()),
        Err(error) => return bad_query(&error),
    };
    if !FORMATS.contains(&format.as_str()) {
        let message = format!("format is {format:?}, must be one of {}", FORMATS.join(", "));
        return refuse(Code::BadRequest, message);
    }
    let version = match version.as_str() {
        "active" => None,
        text => match text.parse() {
            Ok(version) => Some(version),
            Err(_) => {
                let message = format!("{text:?} is not a head version (a number, or active)");
                return refuse(Code::NotFound, message);
            }
        },
    };
    api.view(View::HeadFile { version, format }).await
}

async fn job(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    api.view(View::Job(id)).await
}

async fn watch_lines(State(api): State<Api>) -> Response {
    let Ok(permit) = Arc::clone(&api.watchers).try_acquire_owned() else {
        let message = format!("{} clients are watching already", api.limits.watchers);
        return refuse(Code::Busy, message).with_status(503).into_response();
    };
    let body = watching::body(api.watch.subscribe(), permit, api.stopping);
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response()
}

fn refuse(code: Code, message: impl Into<String>) -> Answer {
    Answer::error(&Error::new(code, message))
}

/// Refuses what may go well when it is sent again as it is, which the code alone does not say.
fn again(code: Code, message: impl Into<String>) -> Answer {
    Answer::error(&Error { retryable: true, ..Error::new(code, message) })
}

fn bad_query(error: &QueryRejection) -> Answer {
    refuse(Code::BadRequest, error.body_text())
}

fn too_slow(what: &str, limit: Duration) -> String {
    format!("{what} within {} s", limit.as_secs_f32())
}
