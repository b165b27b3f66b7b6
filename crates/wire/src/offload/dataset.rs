//! `dataset.json`: the list of files that a board sends to a host, each by its digest.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Blob;
use crate::class_name::are_class_names;
use crate::fields::is_line;
use crate::head_file::MAX_CLASSES;
use crate::messages::Schema1;
use crate::strict_json;
use crate::topic::is_device_id;

/// Largest `dataset.json` in bytes: some two hundred thousand samples.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Everything a host needs to train: the samples, and the pair they are to improve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Shape of this file.
    pub schema: Schema1,
    /// The device it is from.
    pub device: String,
    /// Revision of its data set.
    pub rev: i64,
    /// The class names in the order of the head's outputs.
    pub classes: Vec<String>,
    /// The ONNX file.
    pub backbone: Blob,
    /// Its card, as TOML.
    pub card: Blob,
    /// The active head (docs/reference/head-format.md), where there is one: training starts from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Blob>,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// One labelled crop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// `sha256:<hex>` of the JPEG.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its class, one of `classes`.
    pub class: String,
    /// Its burst: never split between training and validation.
    pub burst: String,
    /// What it is for.
    pub split: Split,
}

/// What a sample is for.
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To train on.
    Train,
    /// To judge by.
    Val,
}

impl Split {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Why a `dataset.json` was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// Over [`MAX_BYTES`].
    #[error("a dataset.json of {0} bytes is over the limit of {MAX_BYTES}")]
    TooLarge(usize),
    /// No JSON, an unknown field, a field twice, missing, or of a wrong type.
    #[error("dataset.json cannot be read: {0}")]
    Json(String),
    /// A field that is not well-formed.
    #[error("dataset.json: {0}")]
    Field(String),
}

impl Dataset {
    /// As JSON; the same list is the same bytes, and so has the same digest.
    pub fn to_json(&self) -> String {
        crate::messages::to_json(self)
    }

    /// Reads and checks a `dataset.json`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_json(bytes: &[u8]) -> Result<Self, DatasetError> {
        if bytes.len() > MAX_BYTES {
            return Err(DatasetError::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| DatasetError::Json(e.to_string()))?;
        let value = strict_json::read(text).map_err(|e| DatasetError::Json(e.to_string()))?;
        let dataset: Self = strict_json::typed(value).map_err(|e| DatasetError::Json(e.to_string()))?;
        dataset.check().map_err(DatasetError::Field)?;
        Ok(dataset)
    }

    /// Every file once, in a fixed order: backbone, card, head, samples. Nothing in it is listed with two
    /// sizes, which [`Dataset::from_json`] has made sure of.
    pub fn blobs(&self) -> Vec<Blob> {
        let mut seen = HashSet::new();
        let pair = [&self.backbone, &self.card].into_iter().chain(&self.head).cloned();
        let samples = self.samples.iter().map(|s| Blob { digest: s.digest.clone(), size: s.size });
        pair.chain(samples).filter(|blob| seen.insert(blob.digest.clone())).collect()
    }

    fn check(&self) -> Result<(), String> {
        if !is_device_id(&self.device) {
            return Err("device is no device id".into());
        }
        if !(2..=MAX_CLASSES).contains(&self.classes.len()) {
            return Err(format!("classes takes 2 to {MAX_CLASSES} names"));
        }
        if !are_class_names(&self.classes) {
            return Err("classes holds a name twice, or one that is no class name".into());
        }
        let names: HashSet<&String> = self.classes.iter().collect();
        let mut sizes = std::collections::HashMap::new();
        let pair = [&self.backbone, &self.card].into_iter().chain(&self.head);
        let samples = self.samples.iter().map(|s| (&s.digest, s.size));
        for (digest, size) in pair.map(|b| (&b.digest, b.size)).chain(samples) {
            if !(Blob { digest: digest.clone(), size }).is_well_formed() {
                return Err(format!("{digest:.80} with {size} bytes is no digest and size of a file"));
            }
            if *sizes.entry(digest).or_insert(size) != size {
                return Err(format!("{digest} is listed with two sizes"));
            }
        }
        for sample in &self.samples {
            if !names.contains(&sample.class) || !is_line(&sample.burst) {
                return Err(format!("the sample {} has an unknown class, or no burst", sample.digest));
            }
        }
        Ok(())
    }
}
