//! Answers, and the one shape of errors.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use graft_wire::{Error, error};
use serde::Serialize;
use serde_json::json;

/// What goes back to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// MIME type.
    pub content_type: &'static str,
    pub body: Bytes,
}

impl Answer {
    /// 200 with JSON.
    pub fn json(value: &impl Serialize) -> Self {
        Self::json_with(200, value)
    }

    /// JSON under any status.
    pub fn json_with(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status, content_type: "application/json", body: body.into() },
            Err(error) => {
                Self::error(&Error::internal(format!("the answer cannot be written as JSON: {error}")))
            }
        }
    }

    /// 200 with bytes of some kind.
    pub fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type, body: body.into() }
    }

    /// An error as on MQTT: `{"status": "error", "error": {"code", "message", …}}`. The HTTP status is that of its code.
    pub fn error(error: &Error) -> Self {
        let body = json!({ "status": "error", "error": error }).to_string().into();
        Self { status: error::http_status(error.code), content_type: "application/json", body }
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
