//! `info`: what the device is and can do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BackboneRef, Schema1};
use crate::command::{MAX_BYTES, Op};
use crate::{head_file, parts};

/// Version of the interface as a whole.
pub const API: u32 = 1;

/// What the device is and can do. Published at each connect and when it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// Shape of this message.
    #[serde(default)]
    pub schema: Schema1,
    /// Version of the interface.
    pub api: u32,
    /// Version of the program.
    pub version: String,
    /// The device id.
    pub device: String,
    /// The group it belongs to, for which a host may have a backbone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The board, as it names itself.
    pub board: String,
    /// The commands it takes.
    pub ops: Vec<String>,
    /// Sizes it keeps to.
    pub limits: Limits,
    /// Its camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraFacts>,
    /// Its backbone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneRef>,
    /// Effective configuration, secrets left out.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// Short name of the key that signs its heads.
    pub key_id: String,
    /// That key: 32 bytes Ed25519, base64. Pin it at first sight; the broker cannot vouch for it.
    pub public_key: String,
}

/// The camera as it was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CameraFacts {
    /// Kind of source: `v4l2`, `directory`, …
    pub source: String,
    /// What was opened, for people.
    pub description: String,
    /// Width in pixels, once a frame was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, once a frame was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// Sizes the device keeps to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Largest command in bytes.
    pub command_bytes: u64,
    /// Largest part of a head in bytes.
    pub part_bytes: u64,
    /// Largest head file in bytes.
    pub head_bytes: u64,
    /// Most classes of a head.
    pub classes: u64,
    /// How long frames can still be labelled, in seconds.
    pub frame_seconds: u64,
    /// How many command ids are remembered.
    pub remembered_ids: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes: MAX_BYTES as u64,
            part_bytes: parts::PART_BYTES as u64,
            head_bytes: head_file::MAX_BYTES as u64,
            classes: head_file::MAX_CLASSES as u64,
            frame_seconds: 30,
            remembered_ids: 256,
        }
    }
}

impl Info {
    /// The names of every command, for `ops`.
    pub fn all_ops() -> Vec<String> {
        Op::ALL.iter().map(|op| op.as_str().to_owned()).collect()
    }
}
