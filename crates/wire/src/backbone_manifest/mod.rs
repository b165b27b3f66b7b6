//! The signed manifest of a fine-tuned backbone: what a host returns for a job, or gives to a group of
//! boards. docs/reference/offload.md is its description for other programs.

mod check;
mod statement;
mod tensors;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{BackboneManifestError, Wanted, is_backbone_line};
pub use tensors::{Golden, MIN_GOLDEN, TunedHead};

use super::fields;
use super::keys::Key;
use super::messages::Schema1;
use super::offload::{Blob, Recipe};

/// Largest manifest in bytes: it travels as part of one command.
pub const MAX_BYTES: usize = 48 * 1024;

/// A backbone with its first head, signed by the host that trained it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackboneManifest {
    /// Shape of this message.
    pub schema: Schema1,
    /// The line of backbones that it continues: the name of the first one, like `mobilenetv2`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub line: String,
    /// Counted up by the host for each line and never used twice.
    #[schemars(range(min = 1))]
    pub version: u64,
    /// The device it was trained for; or there is a `group`.
    #[serde(default)]
    pub device: Option<String>,
    /// The group of devices it is for; or there is a `device`.
    #[serde(default)]
    pub group: Option<String>,
    /// The job it is the result of, on that device; absent for a group.
    #[serde(default)]
    pub job: Option<String>,
    /// `sha256:<hex>` of the ONNX file that training started from.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub base: String,
    /// The files, each by its digest.
    pub files: BackboneFiles,
    /// The tensor at which the backbone is cut.
    pub tensor: String,
    /// Length of its embedding.
    #[schemars(range(min = 1, max = 65536))]
    pub width: u64,
    /// Class names in the order of its head's outputs.
    pub classes: Vec<String>,
    /// The recipe that it is from; what `auto` chose, where that was asked for.
    pub recipe: Recipe,
    /// Figures of its evaluation, at most six decimals each; `accuracy` and `baseline_accuracy` among them.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// When it was made, by the clock of the host.
    #[schemars(extend("format" = "date-time"))]
    pub created: String,
    /// When it is no longer to be taken on.
    #[schemars(extend("format" = "date-time"))]
    pub expires: String,
    /// Short name of the key that signed this.
    pub key_id: String,
    /// Base64 Ed25519 signature over the statement, see docs/reference/offload.md.
    pub sig: String,
}

/// The files of a fine-tuned backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackboneFiles {
    /// The network, ONNX, with the interface of the one it started from.
    pub onnx: Blob,
    /// Its card, TOML.
    pub card: Blob,
    /// The head it was trained with: safetensors, `weight` `[classes, width]` and `bias` `[classes]`.
    pub head: Blob,
    /// Golden vectors, safetensors: `inputs`, `embeddings` `[k, width]` and `logits` `[k, classes]`.
    pub golden: Blob,
}

impl BackboneFiles {
    /// The files with their names, in the order of the statement.
    pub fn named(&self) -> [(&'static str, &Blob); 4] {
        [("onnx", &self.onnx), ("card", &self.card), ("head", &self.head), ("golden", &self.golden)]
    }

    /// Their sizes together. The manifest must have passed [`BackboneManifest::check`], which bounds them.
    pub fn bytes(&self) -> u64 {
        self.named().iter().fold(0, |sum, (_, blob)| sum.saturating_add(blob.size))
    }
}

impl BackboneManifest {
    /// Signs it (again), after a field was set.
    ///
    /// # Errors
    /// When a field is not well-formed.
    pub fn sign(&mut self, key: &Key) -> Result<(), BackboneManifestError> {
        self.key_id = key.id();
        self.check()?;
        self.sig = key.sign(self.statement().as_bytes());
        Ok(())
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        super::messages::to_json(self)
    }

    /// Reads a manifest: bounded, no unknown field, no field twice. Its signature is not yet checked.
    ///
    /// # Errors
    /// The first thing that is wrong with its form.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BackboneManifestError> {
        let manifest: Self = fields::read(bytes, MAX_BYTES)?;
        manifest.check()?;
        Ok(manifest)
    }
}
