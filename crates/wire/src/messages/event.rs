//! `event`: things that happened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Schema1;
use crate::error::Error;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Shape of this message.
    #[serde(default)]
    pub schema: Schema1,
    /// When, by the clock of the device.
    #[schemars(extend("format" = "date-time"))]
    pub ts: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// What went wrong, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The facts: versions, classes, counts, figures.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// A capture ended; `data` has class, burst, frames kept and near-copies skipped, the seconds that they stand for, and
    /// `waiting_for` as the state has it.
    Captured,
    /// A frame or sample got, changed or lost its class.
    Labelled,
    /// A round ended with a candidate; `data` has its figures and its `advice`.
    Trained,
    /// A head became active.
    HeadApplied,
    /// A candidate did not pass the gate; `error` says why.
    HeadRejected,
    /// An earlier head became active again.
    RolledBack,
    /// A backbone became active.
    BackboneApplied,
    /// A backbone was refused; `error` says why.
    BackboneRejected,
    /// The camera went away.
    CameraLost,
    /// The camera is back.
    CameraBack,
    /// The scene is another one now, or the same again; `data` is `drift` of the state.
    Drift,
    /// The board slows itself down.
    Throttled,
    /// A retained command was ignored.
    RetainedCommand,
    /// Something else went wrong.
    Error,
}

impl Event {
    /// An event without facts.
    pub fn new(ts: String, kind: EventType) -> Self {
        Self { schema: Schema1, ts, kind, error: None, data: Map::new() }
    }

    /// Adds one fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// Adds what went wrong.
    #[must_use]
    pub fn because(mut self, error: Error) -> Self {
        self.error = Some(error);
        self
    }
}
