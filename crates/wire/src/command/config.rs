//! `cmd/config`: settings that may change while the device runs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Actions;
use crate::error::Error;
use crate::fields::{Fields, pointer, required};

/// Most settings in one command.
const MAX_KEYS: usize = 64;

/// What to do about settings.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "ConfigCommand")]
pub enum Config {
    /// Change settings, all or none of them. Kept over restarts.
    Set {
        /// Settings by dotted key, like `{"predict.max_hz": 2}`; the device says which may change while it runs.
        values: BTreeMap<String, Value>,
    },
    /// Tell the effective settings, secrets left out.
    Get,
}

impl Config {
    pub(super) const ACTIONS: Actions = &[("set", &["values"]), ("get", &[])];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        if action != "set" {
            return Ok(Self::Get);
        }
        let values = required("values", fields.object("values")?)?;
        if values.is_empty() || values.len() > MAX_KEYS {
            return Err(Error::bad_request("/values", format!("values takes 1 to {MAX_KEYS} settings")));
        }
        if let Some(bad) = values.keys().find(|key| !is_key(key)) {
            let message = "a setting is named by its dotted key, like camera.fps: a-z, 0-9, '_' and dots";
            return Err(Error::bad_request(&format!("/values{}", pointer(bad)), message));
        }
        Ok(Self::Set { values: values.into_iter().collect() })
    }
}

/// Words of `a-z`, `0-9` and `_`, joined by dots.
fn is_key(text: &str) -> bool {
    text.len() <= 128
        && text.split('.').all(|word| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
}
