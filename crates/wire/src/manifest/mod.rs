//! The signed manifest of a head: everything a receiver needs to fetch, check and trust it.

mod check;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use check::is_url;
pub use check::{Expected, ManifestError};
pub(super) use statement::classes_digest;

use super::digest::sha256;
use super::fields::{self, MAX_METRICS, is_metric, rounded};
use super::head_file::{Dtype, HeadFile};
use super::keys::Key;
use super::messages::{BackboneRef, Schema1};
use super::parts::{self, Part};

/// Largest manifest in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The container a head comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The head file of docs/reference/head-format.md.
    #[default]
    Safetensors,
}

/// The signed manifest of a head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Shape of this message.
    pub schema: Schema1,
    /// The device that made the head.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
    pub device: String,
    /// Counted up on that device and never used twice. A roll back is a new version, too.
    #[schemars(range(min = 1))]
    pub version: u64,
    /// The version whose weights these are, if this is a roll back.
    #[serde(default)]
    pub restored_from: Option<u64>,
    /// Digest of the head that was active before.
    #[serde(default)]
    pub parent: Option<String>,
    /// `sha256:<hex>` of the whole head file.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Size of the head file in bytes.
    #[schemars(range(min = 1, max = 33554432))]
    pub size: u64,
    /// Container of the head file.
    pub format: Format,
    /// How its weights are stored.
    pub dtype: Dtype,
    /// The backbone whose embeddings it takes.
    pub backbone: BackboneRef,
    /// The tensor at which the backbone is cut.
    pub tensor: String,
    /// Digest of the preprocessing recipe.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub preprocess: String,
    /// Class names in the order of the outputs.
    pub classes: Vec<String>,
    /// Digest of the samples it was trained on.
    pub snapshot: String,
    /// How it was computed.
    pub method: String,
    /// When it was made, by the clock of the device.
    #[schemars(extend("format" = "date-time"))]
    pub created: String,
    /// When it is no longer to be taken on, if ever.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
    /// Figures of its evaluation, at most six decimals each.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Its parts, on `head/<version>/<n>`.
    pub parts: Vec<Part>,
    /// Another place to fetch the whole file from.
    #[serde(default)]
    pub url: Option<String>,
    /// Short name of the key that signed this.
    pub key_id: String,
    /// Base64 Ed25519 signature over the statement, see docs/reference/head-format.md.
    pub sig: String,
}

impl Manifest {
    /// The manifest of an encoded head file, signed. The file is read back, so that nothing is ever
    /// published that a receiver would refuse.
    pub fn signed(file: &[u8], url: Option<String>, key: &Key) -> Result<Self, ManifestError> {
        let HeadFile { meta, .. } = HeadFile::decode(file).map_err(ManifestError::File)?;
        let (parts, _) = parts::split(file)?;
        let mut manifest = Self {
            schema: Schema1,
            device: meta.device,
            version: meta.version,
            restored_from: meta.restored_from,
            parent: meta.parent,
            digest: sha256(file),
            size: file.len() as u64,
            format: Format::Safetensors,
            dtype: meta.dtype,
            backbone: meta.backbone,
            tensor: meta.tensor,
            preprocess: meta.preprocess,
            classes: meta.classes,
            snapshot: meta.snapshot,
            method: meta.method,
            created: meta.created,
            expires: None,
            metrics: figures(&meta.metrics),
            parts,
            url,
            key_id: String::new(),
            sig: String::new(),
        };
        manifest.sign(key)?;
        Ok(manifest)
    }

    /// Signs it (again), after a field was changed.
    pub fn sign(&mut self, key: &Key) -> Result<(), ManifestError> {
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
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = fields::read(bytes, MAX_BYTES)?;
        manifest.check()?;
        Ok(manifest)
    }
}

/// The figures of an evaluation as a manifest has them: numbers by name, intervals as `name`, `name_low`
/// and `name_high`; everything else is left to the head file.
fn figures(metrics: &Map<String, Value>) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let mut add = |name: String, value: &Value| {
        if let Some(number) = value.as_f64().map(rounded)
            && is_metric(&name, number)
            && figures.len() < MAX_METRICS
        {
            figures.insert(name, number);
        }
    };
    for (name, value) in metrics {
        match value {
            Value::Object(interval) => {
                for (end, suffix) in [("value", ""), ("low", "_low"), ("high", "_high")] {
                    if let Some(value) = interval.get(end) {
                        add(format!("{name}{suffix}"), value);
                    }
                }
            }
            value => add(name.clone(), value),
        }
    }
    figures
}
