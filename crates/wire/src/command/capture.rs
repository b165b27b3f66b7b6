//! `cmd/capture`: keep frames of one class as samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{As, Tenths, Text, Whole};
use crate::class_name::ClassName;

/// What to do about capturing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "CaptureCommand", tag = "action")]
pub enum Capture {
    /// Keep `hz` frames a second as samples of `class`, one burst, until `stop`, `seconds` or `max`.
    Start {
        /// The class of the samples; created if new.
        class: ClassName,
        /// Frames kept a second, 0.1 to 30; absent: as configured (`capture.hz`, 4).
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Tenths<1, 300>>")]
        hz: Option<f64>,
        /// Seconds after which it ends by itself, 0.1 to 600, however many samples it kept.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Tenths<1, 6000>>")]
        seconds: Option<f64>,
        /// Samples after which it ends by itself, 1 to 1000; absent: as configured (`capture.max`, 40), or
        /// without this limit where `seconds` is given.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Whole<u32, 1, 1000>>")]
        max: Option<u32>,
        /// The burst the samples belong to; a new one if absent. Give the same name to captures that show
        /// the same thing at the same place, so that they are never split between training and testing.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Text<128>>")]
        burst: Option<String>,
    },
    /// End the running capture.
    Stop,
    /// Keep the newest frame as one sample.
    Snap {
        /// The class of the sample; absent: that of the last capture.
        #[serde(skip_serializing_if = "Option::is_none")]
        class: Option<ClassName>,
    },
}

impl Capture {
    /// A capture of `class` with the defaults.
    pub fn start(class: ClassName) -> Self {
        Self::Start { class, hz: None, seconds: None, max: None, burst: None }
    }
}
