//! `cmd/head`: which head is active.

use schemars::JsonSchema;
use serde::Serialize;

use super::Actions;
use crate::digest;
use crate::error::Error;
use crate::fields::{Fields, required};

/// What to do about heads.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "HeadCommand")]
pub enum Head {
    /// Publish the active head again.
    Publish,
    /// Make a stored head active under a new version, whatever the gate says.
    Apply {
        /// The stored version.
        #[schemars(range(min = 1))]
        version: u64,
        /// Its digest, to be sure which one is meant.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
        digest: Option<String>,
    },
    /// Go back to an earlier head, under a new version with `restored_from`.
    Rollback {
        /// The version to go back to; absent: the one before the active one.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
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

impl Head {
    pub(super) const ACTIONS: Actions =
        &[("publish", &[]), ("apply", &["version", "digest"]), ("rollback", &["to"]), ("pin", &["on"])];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        Ok(match action {
            "apply" => {
                let version = required("version", fields.whole("version", 1..=i64::MAX)?)?.unsigned_abs();
                let digest = fields.text("digest", 80)?;
                if digest.as_deref().is_some_and(|d| !digest::is_digest(d)) {
                    let message = "digest has to be sha256: and 64 lower-case hex digits";
                    return Err(Error::bad_request("/digest", message));
                }
                Self::Apply { version, digest }
            }
            "rollback" => Self::Rollback { to: fields.whole("to", 1..=i64::MAX)?.map(i64::unsigned_abs) },
            "pin" => Self::Pin { on: fields.flag("on")?.unwrap_or_else(yes) },
            _ => Self::Publish,
        })
    }
}
