//! Answers, and the one shape of errors.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

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
                Self::error("internal", &format!("the answer cannot be written as JSON: {error}"), false)
            }
        }
    }

    /// 200 with bytes of some kind.
    pub fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type, body: body.into() }
    }

    /// An error as on MQTT: `{"error": {"code", "message", "retryable"}}`. The status follows from the code.
    pub fn error(code: &str, message: &str, retryable: bool) -> Self {
        let body: Value = json!({"error": {"code": code, "message": message, "retryable": retryable}});
        let (status, body) = (Self::status_of(code), body.to_string().into());
        Self { status, content_type: "application/json", body }
    }

    /// The HTTP status that goes with an error code of the MQTT API.
    pub fn status_of(code: &str) -> u16 {
        match code {
            "bad_request" | "unknown_field" | "retained_command" => 400,
            "denied" => 403,
            "not_found" => 404,
            "busy" | "conflict" | "canceled" => 409,
            "expired" => 410,
            "too_large" => 413,
            "bad_signature" | "digest_mismatch" | "incompatible" | "not_enough_data" | "diverged"
            | "regression" => 422,
            "unsupported" => 501,
            "offload_unreachable" => 502,
            "thermal" | "camera" => 503,
            "timeout" => 504,
            "disk_full" => 507,
            _ => 500,
        }
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
