//! `offload/<job>`: a fine-tuning job that waits for a host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Recipe;
use crate::messages::Schema1;

/// A job that waits for a host, or that a host has claimed. Retained while the job lives; cleared with an
/// empty message when it ended, was cancelled, or its result is on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// Shape of this message.
    #[serde(default)]
    pub schema: Schema1,
    /// The job, as on `job/<id>`.
    pub job: String,
    /// What is to be trained.
    pub recipe: Recipe,
    /// The backbone to start from.
    pub backbone: OfferedBackbone,
    /// The samples to train on.
    pub dataset: OfferedDataset,
    /// Whether it may be claimed.
    pub state: OfferState,
    /// The host that has it, while it is claimed. To that host this is the yes to its claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When the board gives it up.
    #[schemars(extend("format" = "date-time"))]
    pub expires: String,
}

/// The backbone of an offer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedBackbone {
    /// Its name on its card.
    pub name: String,
    /// `sha256:<hex>` of its file.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Size of its file in bytes.
    pub size: u64,
    /// The tensor at which it is cut.
    pub tensor: String,
}

/// The samples of an offer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedDataset {
    /// Revision of the data set that was offered.
    pub rev: i64,
    /// `sha256:<hex>` of the list of files (`dataset.json`) that the board will send.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// How many samples.
    pub samples: u64,
    /// How many classes.
    pub classes: u64,
    /// Bytes of every file together, the backbone's among them.
    pub bytes: u64,
}

/// Whether an offer may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OfferState {
    /// Any host may claim it.
    Offered,
    /// `host` has it, until its lease ends.
    Claimed,
}
