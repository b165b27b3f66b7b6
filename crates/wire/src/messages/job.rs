//! `job/<id>`: how far a job is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Schema1;
use crate::error::Error;

/// How far a job is. Retained until it is cleared, a day after its end at the latest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobMessage {
    /// Shape of this message.
    #[serde(default)]
    pub schema: Schema1,
    /// The job.
    pub id: String,
    /// The command that it came from.
    pub op: String,
    /// Where it stands. `successful`, `failed` and `canceled` are final.
    pub status: JobStatus,
    /// When this was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub ts: Option<String>,
    /// What it is doing, in a word or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How much of the step is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobStep>,
    /// Figures of a round.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metrics: Map<String, Value>,
    /// What came out of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub result: Map<String, Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// Who asked: `mqtt`, `http` for the page, `cli:<uid>` for a user on the device, `button`, `adaptation` for the device
    /// itself, or `restart` for a job that goes on after one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Taken on.
    Init,
    /// At work.
    Executing,
    /// Ended well.
    Successful,
    /// Ended badly.
    Failed,
    /// Ended on request.
    Canceled,
}

impl JobStatus {
    /// Whether nothing more will come.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Canceled)
    }
}

/// How much of a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobStep {
    /// So many are done.
    pub done: f64,
    /// Of so many.
    pub total: f64,
    /// Seconds to go, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<f64>,
}

impl JobMessage {
    /// A job that has just been taken on.
    pub fn new(id: impl Into<String>, op: impl Into<String>) -> Self {
        Self {
            schema: Schema1,
            id: id.into(),
            op: op.into(),
            status: JobStatus::Init,
            ts: None,
            step: None,
            progress: None,
            metrics: Map::new(),
            result: Map::new(),
            error: None,
            by: None,
        }
    }
}
