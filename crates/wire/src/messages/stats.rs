//! `stats`: figures for graphs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Schema1;

/// Figures for graphs, every 30 seconds. What a board cannot measure is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Shape of this message.
    #[serde(default)]
    pub schema: Schema1,
    /// When, by the clock of the device.
    #[schemars(extend("format" = "date-time"))]
    pub ts: String,
    /// Frames a second that the camera gave.
    pub camera_fps: f64,
    /// Frames a second that were predicted.
    pub fps: f64,
    /// Milliseconds from frame to prediction.
    pub infer_ms: Percentiles,
    /// Processor use of the program since the last message, 100 being one core; absent in the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// Hottest sensor, in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
    /// Whether the board slows itself down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<bool>,
    /// Memory of the program in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    /// Free space where the samples are, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Bytes written since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// Frames that were never looked at since the start, because a newer one was there or they came too soon.
    pub frames_dropped: u64,
    /// Messages given up since the start, because the broker was away too long.
    pub messages_dropped: u64,
    /// Connections to the broker since the start.
    pub connects: u64,
}

/// Two percentiles of a time, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// Half are faster.
    pub p50: f64,
    /// 95 of 100 are faster.
    pub p95: f64,
}
