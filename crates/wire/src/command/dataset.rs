//! `cmd/dataset`: the stored samples as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{As, Count, Text, Whole};
use crate::class_name::ClassName;

/// What to do about the data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "DatasetCommand", tag = "action")]
pub enum Dataset {
    /// Write all samples as an ImageFolder with `labels.txt` and `samples.jsonl`. A job.
    Export {
        /// A folder on the device; absent: a new one. Over MQTT a name below `exports` of the state folder.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Text<4096>>")]
        path: Option<String>,
    },
    /// Read an export, or a plain ImageFolder (one folder a class). A job.
    Import {
        /// A folder on the device. Over MQTT a name below `imports` of the state folder.
        #[serde(with = "As::<Text<4096>>")]
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
        /// Maximum rows, 1 to 1000.
        #[serde(default = "limit", with = "As::<Whole<u32, 1, 1000>>")]
        limit: u32,
        /// Rows to skip.
        #[serde(default, with = "As::<Count<u64>>")]
        offset: u64,
    },
    /// List the samples whose labels are probably wrong, found by the latest round, the worst first.
    Suspects {
        /// Maximum rows, 1 to 200.
        #[serde(default = "suspects", with = "As::<Whole<u32, 1, 200>>")]
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
