//! `cmd/head`: which head is active.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{As, Digest, Number};

/// What to do about heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "HeadCommand", tag = "action")]
pub enum Head {
    /// Publish the active head again.
    Publish,
    /// Make a stored head active under a new version, whatever the gate says.
    Apply {
        /// The stored version.
        #[serde(with = "As::<Number<u64>>")]
        version: u64,
        /// Its digest, to be sure which one is meant.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Digest>")]
        digest: Option<String>,
    },
    /// Go back to an earlier head, under a new version with `restored_from`.
    Rollback {
        /// The version to go back to; absent: the one before the active one.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Number<u64>>")]
        to: Option<u64>,
    },
    /// Keep the active head: rounds go on, but no candidate replaces it.
    Pin {
        /// `false` lets go of it.
        #[serde(default = "yes")]
        on: bool,
    },
}

/// Default of `on`.
fn yes() -> bool {
    true
}
