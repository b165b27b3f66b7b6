//! The routes, and the checks of a request before the daemon gets it.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Router, http::header};
use graft_wire::Code;
use serde_json::json;
use tokio::sync::oneshot;

use super::api::{Api, Peer, read, refuse};
use super::{Answer, Request, View, imports, preview, uploads, views, watching};

/// The interface for tools, written from [`super::table::ROUTES`] and the types of commands.
const OPENAPI: &str = include_str!("../../docs/reference/openapi.json");

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

async fn watch_lines(State(api): State<Api>) -> Response {
    let permit = match api.watcher() {
        Ok(permit) => permit,
        Err(answer) => return answer.into_response(),
    };
    let body = watching::lines(api.backend.watch.subscribe(), permit, api.stopping);
    ([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], body)
        .into_response()
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
