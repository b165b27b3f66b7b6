//! `cmd/label`: give, change and take back the class of frames and samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{As, Count, Number, Text};
use crate::class_name::ClassName;

/// What to do about labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "LabelCommand", tag = "action")]
pub enum Label {
    /// Store a frame as a sample of `class`. The bare word `ok` means this, with class `ok`.
    Set {
        /// The class; created if new.
        class: ClassName,
        /// The frame, by its number in `prediction`; absent: the newest. Frames are kept for 30 seconds.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Count<u64>>")]
        frame: Option<u64>,
        /// The burst it belongs to; absent: one of its own, or that of labels just before it.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Text<128>>")]
        burst: Option<String>,
    },
    /// Give a stored sample another class.
    Relabel {
        /// The sample.
        #[serde(with = "As::<Number<i64>>")]
        sample: i64,
        /// Its new class; created if new.
        class: ClassName,
    },
    /// Delete a stored sample.
    Delete {
        /// The sample.
        #[serde(with = "As::<Number<i64>>")]
        sample: i64,
    },
    /// Take back the last change of the data set; again and again for the ones before.
    Undo,
}
