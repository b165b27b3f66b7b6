//! `cmd/train`: one round, now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Actions;
use crate::error::Error;
use crate::fields::Fields;

/// How a head is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Ridge and softmax, the better one taken.
    Auto,
    /// Normalised class means.
    Imprint,
    /// Ridge regression, closed form.
    Ridge,
    /// Multinomial logistic regression.
    Softmax,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Imprint, Self::Ridge, Self::Softmax];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Imprint => "imprint",
            Self::Ridge => "ridge",
            Self::Softmax => "softmax",
        }
    }
}

/// What to do about training.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "TrainCommand")]
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

impl Train {
    pub(super) const ACTIONS: Actions = &[("start", &["method"]), ("cancel", &[])];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        if action == "cancel" {
            return Ok(Self::Cancel);
        }
        let method = match fields.text("method", 32)? {
            None => None,
            Some(word) => Some(Method::ALL.into_iter().find(|m| m.as_str() == word).ok_or_else(|| {
                Error::bad_request(
                    "/method",
                    format!("there is no method {word:?}; it takes: auto, imprint, ridge, softmax"),
                )
            })?),
        };
        Ok(Self::Start { method })
    }
}
