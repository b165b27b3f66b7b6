//! `cmd/capture`: keep frames of one class as samples.

use schemars::JsonSchema;
use serde::Serialize;

use super::Actions;
use crate::class_name::ClassName;
use crate::error::Error;
use crate::fields::{Fields, required};

/// What to do about capturing.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "CaptureCommand")]
pub enum Capture {
    /// Keep `hz` frames a second as samples of `class`, one burst, until `stop`, `seconds` or `max`.
    Start {
        /// The class of the samples; made if it is new.
        class: ClassName,
        /// Frames kept a second, 0.1 to 30; absent: as configured (`capture.hz`, 4).
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 0.1, max = 30.0))]
        hz: Option<f64>,
        /// Seconds after which it ends by itself, 0.1 to 600, however many samples it kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 0.1, max = 600.0))]
        seconds: Option<f64>,
        /// Samples after which it ends by itself, 1 to 1000; absent: as configured (`capture.max`, 40), or
        /// without this limit where `seconds` is given.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1, max = 1000))]
        max: Option<u32>,
        /// The burst the samples belong to; a new one if absent. Give the same name to captures that show
        /// the same thing at the same place, so that they are never split between training and testing.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = 128))]
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
    pub(super) const ACTIONS: Actions =
        &[("start", &["class", "hz", "seconds", "max", "burst"]), ("stop", &[]), ("snap", &["class"])];

    /// A capture of `class` with the defaults.
    pub fn start(class: ClassName) -> Self {
        Self::Start { class, hz: None, seconds: None, max: None, burst: None }
    }

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        Ok(match action {
            "start" => Self::Start {
                class: required("class", fields.class("class")?)?,
                hz: fields.number("hz", 0.1..=30.0)?,
                seconds: fields.number("seconds", 0.1..=600.0)?,
                // The range fits u32.
                max: fields.whole("max", 1..=1000)?.map(|n| n as u32),
                burst: fields.text("burst", 128)?,
            },
            "snap" => Self::Snap { class: fields.class("class")? },
            _ => Self::Stop,
        })
    }
}
