//! `cmd/backbone`: which backbone is active.

use schemars::JsonSchema;
use serde::Serialize;

use super::Actions;
use crate::backbone_manifest::BackboneManifest;
use crate::error::Error;
use crate::fields::{Fields, required};
use crate::manifest::is_url;

/// What to do about backbones.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
#[schemars(rename = "BackboneCommand")]
pub enum Backbone {
    /// Fetch a backbone of the device's group and put it to the gate. A job.
    Apply {
        /// The host that has its files (`/v1/blobs/<hex>`).
        #[schemars(length(min = 8, max = 2048))]
        url: String,
        /// Bearer token to fetch them with.
        #[schemars(length(min = 32, max = 128))]
        token: String,
        /// What it is, signed by a pinned key.
        manifest: Box<BackboneManifest>,
    },
    /// Go back to the backbone and the head that were active before.
    Rollback,
}

impl Backbone {
    pub(super) const ACTIONS: Actions = &[("apply", &["url", "token", "manifest"]), ("rollback", &[])];

    pub(super) fn read(action: &str, fields: &mut Fields) -> Result<Self, Error> {
        if action != "apply" {
            return Ok(Self::Rollback);
        }
        let url = required("url", fields.text("url", 2048)?)?;
        if !is_url(&url) {
            return Err(Error::bad_request("/url", "url takes an http or https address in plain characters"));
        }
        let token = required("token", fields.text("token", 128)?)?;
        if token.len() < 32 || !token.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::bad_request("/token", "token takes 32 to 128 letters and digits"));
        }
        Ok(Self::Apply { url, token, manifest: Box::new(fields.manifest("manifest")?) })
    }
}
