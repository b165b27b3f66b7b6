//! `cmd/dataset`: the stored samples as a whole.

use schemars::JsonSchema;
use serde::Serialize;

use super::Actions;
use crate::class_name::ClassName;
use crate::error::Error;
use crate::fields::{Fields, required};

/// What to do about the data set.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "DatasetCommand")]
pub enum Dataset {
    /// Write all samples as an ImageFolder with `labels.txt` and `samples.jsonl`. A job.
    Export {
        /// A folder on the device; absent: a new one. Over MQTT a name below `exports` of the state folder.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 4096))]
        path: Option<String>,
    },
    /// Read an export, or a plain ImageFolder (one folder a class). A job.
    Import {
        /// A folder on the device. Over MQTT a name below `imports` of the state folder.
        #[schemars(length(min = 1, max = 4096))]
        path: String,
    },
    /// Delete all samples; the classes stay. Can be undone.
    Clear,
    /// Add an empty class.
    AddClass {
        /// Its name.
        class: ClassName,
    },
    /// Rename a class; its samples stay.
    RenameClass {
        /// Its name now.
        class: ClassName,
        /// Its new name, which no other class has.
        to: ClassName,
    },
    /// Remove a class with its samples.
    RemoveClass {
        /// Its name.
        class: ClassName,
        /// Only tell how many samples would go. Send `false` to do it.
        #[serde(default = "yes")]
        dry_run: bool,
    },
    /// Close the open burst, so that what comes next counts as another.
    Seal,
    /// List samples, newest first.
    List {
        /// Only of this class.
        #[serde(skip_serializing_if = "Option::is_none")]
        class: Option<ClassName>,
        /// At most so many, 1 to 1000.
        #[serde(default = "limit")]
        #[schemars(range(min = 1, max = 1000))]
        limit: u32,
        /// Skip so many.
        #[serde(default)]
        offset: u64,
    },
    /// List the samples whose labels are probably wrong, found by the latest round, the worst first.
    Suspects {
        /// At most so many, 1 to 200.
        #[serde(default = "suspects")]
        #[schemars(range(min = 1, max = 200))]
        limit: u32,
    },
}

/// Default of `dry_run`.
fn yes() -> bool {
    true
}

/// Default of `limit`.
fn limit() -> u32 {
    100
}

/// Default of `limit` of suspects.
fn suspects() -> u32 {
    40
}

impl Dataset {
    pub(super) const ACTIONS: Actions = &[
        ("export", &["path"]),
        ("import", &["path"]),
        ("clear", &[]),
        ("add_class", &["class"]),
        ("rename_class", &["class", "to"]),
        ("remove_class", &["class", "dry_run"]),
        ("seal", &[]),
        ("list", &["class", "limit", "offset"]),
        ("suspects", &["limit"]),
    ];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        Ok(match action {
            "export" => Self::Export { path: fields.text("path", 4096)? },
            "import" => Self::Import { path: required("path", fields.text("path", 4096)?)? },
            "clear" => Self::Clear,
            "add_class" => Self::AddClass { class: required("class", fields.class("class")?)? },
            "rename_class" => Self::RenameClass {
                class: required("class", fields.class("class")?)?,
                to: required("to", fields.class("to")?)?,
            },
            "remove_class" => Self::RemoveClass {
                class: required("class", fields.class("class")?)?,
                dry_run: fields.flag("dry_run")?.unwrap_or_else(yes),
            },
            "list" => Self::List {
                class: fields.class("class")?,
                // The range fits u32.
                limit: fields.whole("limit", 1..=1000)?.map_or_else(limit, |n| n as u32),
                offset: fields.whole("offset", 0..=i64::MAX)?.map_or(0, i64::unsigned_abs),
            },
            "suspects" => {
                Self::Suspects { limit: fields.whole("limit", 1..=200)?.map_or_else(suspects, |n| n as u32) }
            }
            _ => Self::Seal,
        })
    }
}
