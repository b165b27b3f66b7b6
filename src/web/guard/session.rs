//! Logging in and out, and who one is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use graft_wire::Code;
use serde::Deserialize;
use serde_json::json;

use super::{Guard, Passed, address, not_let_in};
use crate::web::Answer;
use crate::web::api::{Peer, read, refuse};

/// Bytes of a login.
const MAX_LOGIN: usize = 1024;

/// `login`, `logout` and `session` below this root.
pub fn router(guard: Arc<Guard>, root: &str) -> Router {
    Router::new()
        .route(&format!("{root}/login"), post(login))
        .route(&format!("{root}/logout"), post(logout))
        .route(&format!("{root}/session"), get(session))
        .with_state(guard)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

impl Guard {
    /// The head that gives the browser its session, or takes it: no script sees it, no other page sends it.
    fn cookie(&self, secret: &str, seconds: u64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = &self.cookie;
        let text = format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(text).ok()
    }
}

fn with_cookie(answer: Answer, cookie: Option<HeaderValue>) -> Response {
    let mut response = answer.into_response();
    match cookie {
        Some(cookie) => drop(response.headers_mut().insert(header::SET_COOKIE, cookie)),
        None => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

async fn login(State(guard): State<Arc<Guard>>, peer: Option<Extension<Peer>>, body: Body) -> Response {
    let body = match read(body, MAX_LOGIN, Duration::from_secs(10)).await {
        Ok(body) => body,
        Err(answer) => return answer.into_response(),
    };
    let Ok(Login { token }) = serde_json::from_slice(&body) else {
        return refuse(Code::BadRequest, "send {\"token\": \"…\"}").into_response();
    };
    let from = address(peer.map(|Extension(peer)| peer));
    match guard.logins.begin(token.trim(), from, Instant::now()) {
        Ok((role, secret, seconds)) => {
            with_cookie(Answer::json(&json!({"role": role})), guard.cookie(&secret, seconds))
        }
        Err(why) => not_let_in(why).into_response(),
    }
}

async fn logout(State(guard): State<Arc<Guard>>, headers: HeaderMap) -> Response {
    if let Some(secret) = guard.session(&headers) {
        guard.logins.end(secret);
    }
    with_cookie(Answer::json(&json!({"role": "none"})), guard.cookie("", 0))
}

async fn session(State(guard): State<Arc<Guard>>, Extension(Passed(role)): Extension<Passed>) -> Answer {
    let role = role.map_or(json!("none"), |role| json!(role));
    let version = env!("CARGO_PKG_VERSION");
    Answer::json(
        &json!({"role": role, "login": guard.logins.are_needed(), "device": guard.device, "version": version}),
    )
}
