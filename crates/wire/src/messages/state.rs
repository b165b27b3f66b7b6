//! `state`: what the device is doing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdviceState, BackboneRef, DriftState, Interval, Schema1};

/// What the device is doing. Published on change, at most once a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// Shape of this message.
    #[serde(default)]
    pub schema: Schema1,
    /// When, by the clock of the device.
    #[schemars(extend("format" = "date-time"))]
    pub ts: String,
    /// Whether that clock can be trusted.
    pub clock: Clock,
    /// Time since the program started, in milliseconds.
    pub uptime_ms: u64,
    /// Another text after each start; with `seq` it puts messages in order.
    pub boot_id: String,
    /// Counts the states of one `boot_id`.
    pub seq: u64,
    /// What it does.
    pub mode: RunMode,
    /// What it was asked to do; survives restarts.
    pub wanted: WantedMode,
    /// Why `mode` is not `wanted`, or is limited.
    pub reasons: Vec<Reason>,
    /// How far adaptation is.
    pub adaptation: Adaptation,
    /// The active head; `null`: no head yet.
    pub head: Option<HeadState>,
    /// The backbone; `null` while none could be loaded.
    pub backbone: Option<BackboneRef>,
    /// The stored samples.
    pub dataset: DatasetState,
    /// What would help most; absent before the first round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<AdviceState>,
    /// Whether the scene is still the one that was taught; absent until enough of it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftState>,
    /// The running job, or `null`.
    pub job: Option<String>,
}

/// Whether the clock can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Set from the network or a clock chip.
    Synced,
    /// Never set since power came: `ts` may be far off, and `expires` is not judged.
    Unsynced,
}

/// What the device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunMode {
    /// Not yet ready.
    Starting,
    /// Predicts.
    Infer,
    /// Predicts and learns.
    Adapt,
    /// Predicts; adaptation is held on request.
    Pause,
    /// Cannot do what is wanted; see `reasons`.
    Degraded,
}

/// What the device was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WantedMode {
    /// Predict.
    Infer,
    /// Predict and learn.
    Adapt,
    /// Predict, and hold adaptation for now.
    Pause,
}

/// Why the device is not as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No picture; it keeps trying.
    CameraLost,
    /// Too hot to train.
    Thermal,
    /// Training would slow predictions down too much.
    CpuBudget,
    /// Too little memory to train.
    Memory,
    /// The flash has taken its share of writes for today: no round starts by itself.
    WriteBudget,
    /// Quota or disk nearly full: nothing is captured.
    DiskLow,
    /// Somebody asked for it.
    User,
    /// A training host is at work.
    Offload,
    /// The configuration does not allow it; see the log.
    Config,
}

/// How far adaptation is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Adaptation {
    /// What it does.
    pub phase: Phase,
    /// Samples since the last round.
    pub new_samples: u64,
    /// Samples that start the next round. Before the first head any do.
    pub needed: u64,
    /// What keeps a round from starting by itself, and what to do about it: one sentence for people. Absent while one
    /// starts. Replies to `label` and `capture` and the event `captured` have it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// What adaptation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Switched off.
    Idle,
    /// Waits for enough new samples.
    Collecting,
    /// A round runs.
    Training,
    /// Held up; see `reasons`.
    Suspended,
}

/// The active head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeadState {
    /// Its version, counted up on this device and never used twice.
    pub version: u64,
    /// `sha256:<hex>` of its file.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// How it was computed.
    pub method: String,
    /// Its classes, in the order of its outputs.
    pub classes: Vec<String>,
    /// Accuracy on bursts it never saw; absent where none could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Interval>,
    /// Mean of the recalls of the classes, measured alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balanced_accuracy: Option<Interval>,
    /// What is missing for figures that say anything, with the remedy; absent where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Samples it was trained on.
    pub samples: u64,
    /// Bursts they came from.
    pub bursts: u64,
    /// Whether it is kept whatever rounds bring.
    pub pinned: bool,
}

/// The stored samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatasetState {
    /// Raised by every change; what `if_rev` is compared with.
    pub rev: i64,
    /// The classes in their order.
    pub classes: Vec<String>,
    /// Samples by class.
    pub counts: BTreeMap<String, u64>,
    /// Bursts by class.
    #[serde(default)]
    pub bursts: BTreeMap<String, u64>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Samples that rounds leave out, because their pictures show another part of the frame than is looked at now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub set_aside: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
