//! `cmd/backbone`: which backbone is active.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{As, Token, Url};
use crate::backbone_manifest::BackboneManifest;

/// What to do about backbones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "BackboneCommand", tag = "action")]
pub enum Backbone {
    /// Fetch a backbone of the device's group and put it to the gate. A job.
    Apply {
        /// The host that has its files (`/v1/blobs/<hex>`).
        #[serde(with = "As::<Url>")]
        url: String,
        /// Bearer token to fetch them with.
        #[serde(with = "As::<Token>")]
        token: String,
        /// What it is, signed by a pinned key.
        manifest: Box<BackboneManifest>,
    },
    /// Go back to the backbone and the head that were active before.
    Rollback,
}
