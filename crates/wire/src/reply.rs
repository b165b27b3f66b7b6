//! The answer to a command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Error;

/// How a command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Done, and what it changed is on disk.
    Ok,
    /// Taken on as the job that `job` names; its end is told on `job/<id>`.
    Accepted,
    /// Not done, and nothing changed; `error` says why.
    Error,
}

/// The one answer that each command gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    /// The `id` of the command, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How it went.
    pub status: Status,
    /// The job, where it became one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// What there is to tell, by command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl Reply {
    /// Done, with nothing to tell.
    pub fn ok(id: Option<String>) -> Self {
        Self { id, status: Status::Ok, job: None, data: None, error: None }
    }

    /// Done, with something to tell.
    pub fn with(id: Option<String>, data: Value) -> Self {
        Self { data: Some(data), ..Self::ok(id) }
    }

    /// Taken on as a job.
    pub fn accepted(id: Option<String>, job: impl Into<String>) -> Self {
        Self { status: Status::Accepted, job: Some(job.into()), ..Self::ok(id) }
    }

    /// Refused or failed.
    pub fn error(id: Option<String>, error: Error) -> Self {
        Self { status: Status::Error, error: Some(error), ..Self::ok(id) }
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| r#"{"status":"error"}"#.to_owned())
    }

    /// Reads a reply, as a client does.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn replies_carry_only_what_they_have() {
        assert_eq!(Reply::ok(None).to_json(), r#"{"status":"ok"}"#);
        assert_eq!(
            Reply::accepted(Some("a".into()), "r-1").to_json(),
            r#"{"id":"a","status":"accepted","job":"r-1"}"#
        );
        let full = Reply::error(Some("b".into()), Error::busy("r-1"));
        assert_eq!(Reply::from_json(full.to_json().as_bytes()).unwrap(), full);
        assert_eq!(Reply::with(None, json!({"n": 1})).data, Some(json!({"n": 1})));
    }
}
