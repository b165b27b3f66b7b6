//! `cmd/train`: one round, now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

/// How a head is computed.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    EnumString,
    IntoStaticStr,
    VariantNames,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Method {
    /// Ridge, softmax and their blend, and imprint for tiny classes: the best one on bursts that were held out.
    Auto,
    /// Normalised class means.
    Imprint,
    /// Ridge regression, closed form.
    Ridge,
    /// Multinomial logistic regression.
    Softmax,
}

impl Method {
    /// The words for them all.
    pub const WORDS: &[&str] = Self::VARIANTS;

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What to do about training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "TrainCommand", tag = "action")]
pub enum Train {
    /// Start a round on the samples there are. A job; its candidate still has to pass the gate.
    Start {
        /// The method; absent: as configured.
        #[serde(skip_serializing_if = "Option::is_none")]
        method: Option<Method>,
    },
    /// Cancel the running round; the active head stays.
    Cancel,
}
