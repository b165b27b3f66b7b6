//! `cmd/label`: give, change and take back the class of frames and samples.

use schemars::JsonSchema;
use serde::Serialize;

use super::Actions;
use crate::class_name::ClassName;
use crate::error::Error;
use crate::fields::{Fields, required};

/// What to do about labels.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "LabelCommand")]
pub enum Label {
    /// Store a frame as a sample of `class`. The bare word `ok` means this, with class `ok`.
    Set {
        /// The class; made if it is new.
        class: ClassName,
        /// The frame, by its number in `prediction`; absent: the newest. Frames are kept for 30 seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        frame: Option<u64>,
        /// The burst it belongs to; absent: one of its own, or that of labels just before it.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 128))]
        burst: Option<String>,
    },
    /// Give a stored sample another class.
    Relabel {
        /// The sample.
        #[schemars(range(min = 1))]
        sample: i64,
        /// Its new class; made if it is new.
        class: ClassName,
    },
    /// Delete a stored sample.
    Delete {
        /// The sample.
        #[schemars(range(min = 1))]
        sample: i64,
    },
    /// Take back the last change of the data set; again and again for the ones before.
    Undo,
}

impl Label {
    pub(super) const ACTIONS: Actions = &[
        ("set", &["class", "frame", "burst"]),
        ("relabel", &["sample", "class"]),
        ("delete", &["sample"]),
        ("undo", &[]),
    ];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        Ok(match action {
            "set" => Self::Set {
                class: required("class", fields.class("class")?)?,
                frame: fields.whole("frame", 0..=i64::MAX)?.map(i64::unsigned_abs),
                burst: fields.text("burst", 128)?,
            },
            "relabel" => Self::Relabel {
                sample: required("sample", fields.whole("sample", 1..=i64::MAX)?)?,
                class: required("class", fields.class("class")?)?,
            },
            "delete" => Self::Delete { sample: required("sample", fields.whole("sample", 1..=i64::MAX)?)? },
            _ => Self::Undo,
        })
    }
}
