//! What a round found beside its head, and whether the scene is still the one it was taught.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Interval;

/// What would help most, found by the latest round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdviceState {
    /// What to do.
    pub next: NextStep,
    /// The classes that need more labels, the neediest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The accuracy that is wanted.
    #[schemars(range(min = 0, max = 1))]
    pub target: f64,
    /// The accuracy of the round's head on bursts it never saw; absent where there is not enough evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Interval>,
    /// What that would be with twice the bursts; absent where no learning curve could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubled: Option<Interval>,
    /// How much of what the head tells apart the class means alone tell apart: near 1 for things like those that the
    /// backbone was trained on.
    #[schemars(range(min = 0, max = 1))]
    pub similarity: f64,
    /// Accuracy against the number of bursts, rising.
    #[serde(default)]
    pub curve: Vec<CurveState>,
    /// Labels that are probably wrong; `dataset` `suspects` lists them.
    pub suspects: u64,
    /// When the round ended.
    #[schemars(extend("format" = "date-time"))]
    pub ts: String,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Nothing: the accuracy that is wanted is reached.
    HeadIsEnough,
    /// Label more bursts, of `classes` first.
    MoreLabels,
    /// Train earlier layers too, on a host: more labels would not do.
    FineTune,
}

/// One point of the learning curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurveState {
    /// Samples trained on.
    pub samples: u64,
    /// Bursts they come from.
    pub bursts: u64,
    /// Accuracy on bursts that were held out.
    pub accuracy: Interval,
}

/// Whether the camera still shows what the head was taught. A verdict over many bursts, never over single frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriftState {
    /// The verdict.
    pub verdict: DriftVerdict,
    /// What is wrong with the camera, if that is the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<CameraFault>,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// Version of the head that saw it.
    pub head: u64,
    /// Bursts behind the verdict.
    pub bursts: u64,
    /// How many of them were unknown.
    pub unknown: u64,
    /// The chance of such bursts, had nothing changed.
    #[schemars(range(min = 0, max = 1))]
    pub p: f64,
    /// The part of the bursts that looks as ever.
    #[schemars(range(min = 0, max = 1))]
    pub as_ever: f64,
    /// The class that is told less surely than ever, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// What has become of the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriftVerdict {
    /// It is as it was taught.
    Same,
    /// Something else comes along with what was taught.
    NewClass,
    /// What was taught looks different now, or is gone.
    NewPlace,
    /// The camera shows nothing that could be judged.
    CameraFault,
}

/// What is wrong with the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CameraFault {
    /// Nothing but black.
    Black,
    /// Nothing but white.
    Saturated,
    /// The same picture again and again.
    Frozen,
}
