//! `cmd/mode`: what the device is wanted to do. The wish survives restarts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// The wanted mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
#[schemars(rename = "ModeCommand", tag = "action")]
pub enum Mode {
    /// Predict, and learn: new samples lead to new rounds. Also said `start` and `ON`.
    Adapt,
    /// Predict with the active head; labels are stored but start no rounds. Also said `stop` and `OFF`.
    Infer,
    /// Predict, and hold adaptation for now: no round starts, a running one is cancelled.
    Pause,
}

impl Mode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The action that is meant by `start` and `stop`, as people and switches say it.
    pub(super) fn action(word: &str) -> &str {
        match word {
            "start" => "adapt",
            "stop" => "infer",
            other => other,
        }
    }

    /// The same for a bare word: `ON` and `OFF`, as the switch of a home automation says it.
    pub(super) fn bare(word: &str) -> &str {
        match word {
            "ON" => "adapt",
            "OFF" => "infer",
            other => other,
        }
    }
}
