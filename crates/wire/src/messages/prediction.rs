//! `prediction`: what one frame looks like to the head.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Schema1;

/// What one frame looks like to the head. At most two a second, not kept by the broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictionMessage {
    /// Shape of this message.
    #[serde(default)]
    pub schema: Schema1,
    /// When the frame was taken.
    #[schemars(extend("format" = "date-time"))]
    pub ts: String,
    /// The frame, as the `label` command names it.
    pub frame: u64,
    /// The class; `null` for a frame like no class; absent before there is a head. `why` tells which.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub label: Option<Option<String>>,
    /// Why there is no class: `no_head`: nothing was taught yet. `unknown`: the frame is like no class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<NoLabel>,
    /// Calibrated probability of the most likely class, 0 to 1, also when `label` is `null`; absent before there is a head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub score: Option<f32>,
    /// The most likely classes, best first.
    #[serde(default)]
    pub top: Vec<TopClass>,
    /// How unlike all classes the frame is; over 1 the label is `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<f32>,
    /// Version of the head; 0 before there is one.
    pub head: u64,
    /// Milliseconds from frame to prediction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infer_ms: Option<f64>,
    /// Milliseconds from the frame's arrival to this message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<f64>,
    /// The picture had not changed: this is what a frame up to two seconds older gave. Left out when false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
    /// The file the frame was read from, where the camera is a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl PredictionMessage {
    /// The class, if the head names one.
    pub fn class(&self) -> Option<&str> {
        self.label.as_ref()?.as_deref()
    }
}

/// Why a prediction has no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoLabel {
    /// No head was trained yet.
    NoHead,
    /// The frame is like no class.
    Unknown,
}

/// A field that is there is `Some`, also where it is `null`.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// One of the most likely classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopClass {
    /// The class.
    pub class: String,
    /// Its calibrated probability, 0 to 1.
    #[schemars(range(min = 0, max = 1))]
    pub score: f32,
}
