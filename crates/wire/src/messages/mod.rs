//! What a device publishes: one type a topic.

mod device;
mod event;
mod findings;
mod job;
mod prediction;
mod schema;
mod state;
mod stats;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use device::{API, CameraFacts, Info, Limits};
pub use event::{Event, EventType};
pub use findings::{AdviceState, CameraFault, CurveState, DriftState, DriftVerdict, NextStep};
pub use job::{JobMessage, JobStatus, JobStep};
pub use prediction::{NoLabel, PredictionMessage, TopClass};
pub use schema::Schema1;
pub use state::{Adaptation, Clock, DatasetState, HeadState, Phase, Reason, RunMode, State, WantedMode};
pub use stats::{Percentiles, Stats};

/// The payload of `availability` while the device is there.
pub const ONLINE: &str = "online";
/// The payload of `availability` after a goodbye, and as the last will.
pub const OFFLINE: &str = "offline";
/// The payload of `label` while there is no agreed class.
pub const NO_LABEL: &str = "none";

/// The backbone something belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackboneRef {
    /// Its name on its card.
    pub name: String,
    /// `sha256:<hex>` of its file.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
}

/// A figure with its 95 % interval, as fractions of 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The figure.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A message as JSON text. Figures that are not finite become `null`, as JSON has no word for them.
pub fn to_json<T: Serialize>(message: &T) -> String {
    // All message types can be written as JSON; readers would refuse an empty object.
    serde_json::to_string(message).unwrap_or_else(|_| "{}".to_owned())
}
