//! `cmd/config`: settings that may change while the device runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rules::Settings;

/// What to do about settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "ConfigCommand", tag = "action")]
pub enum Config {
    /// Change settings, all or none of them. Kept over restarts.
    Set {
        /// Settings by dotted key, like `{"predict.max_hz": 2}`; the device says which may change while it runs.
        #[serde(with = "Settings")]
        values: BTreeMap<String, Value>,
    },
    /// Tell the effective settings, secrets left out.
    Get,
}
