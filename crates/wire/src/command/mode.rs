//! `cmd/mode`: what the device is wanted to do. The wish survives restarts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Actions;

/// The wanted mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "ModeCommand")]
pub enum Mode {
    /// Predict, and learn: new samples lead to new rounds. Also said `start` and `ON`.
    Adapt,
    /// Predict with the active head; labels are stored but start no rounds. Also said `stop` and `OFF`.
    Infer,
    /// Predict, and hold adaptation for now: no round starts, a running one is cancelled.
    Pause,
}

impl Mode {
    pub(super) const ACTIONS: Actions =
        &[("adapt", &[]), ("infer", &[]), ("pause", &[]), ("start", &[]), ("stop", &[])];

    pub(super) fn read(action: &str) -> Self {
        match action {
            "adapt" | "start" => Self::Adapt,
            "pause" => Self::Pause,
            _ => Self::Infer,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adapt => "adapt",
            Self::Infer => "infer",
            Self::Pause => "pause",
        }
    }
}
