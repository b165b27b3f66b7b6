//! The metadata strings of a head file.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Dtype, HeadFileError};
use crate::fields;
use crate::messages::BackboneRef;
use crate::topic::is_device_id;

/// Says that a safetensors file is a head file, and of which version.
const FORMAT: &str = "graft-head/1";

/// What a head belongs to and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadMeta {
    /// How weight and bias are stored.
    pub dtype: Dtype,
    /// Class names in the order of the head's outputs.
    pub classes: Vec<String>,
    /// The backbone whose embeddings it takes.
    pub backbone: BackboneRef,
    /// The tensor at which the backbone is cut.
    pub tensor: String,
    /// Digest of the preprocessing recipe.
    pub preprocess: String,
    /// The recipe itself: what was done to a frame before the backbone; absent in files of earlier versions.
    pub pictures: Option<PictureRecipe>,
    /// Digest of the samples it was trained on.
    pub snapshot: String,
    /// `imprint`, `ridge` or `softmax`; `random` for a head that was never trained.
    pub method: String,
    /// Figures of its evaluation, a JSON object.
    pub metrics: Map<String, Value>,
    /// Digest of the head that was active before it.
    pub parent: Option<String>,
    /// The version it was restored from, if this is a roll back.
    pub restored_from: Option<u64>,
    /// The device that made it.
    pub device: String,
    /// Counted up on that device, never used twice; from 1.
    pub version: u64,
    /// When it was made, RFC 3339 by the clock of the device.
    pub created: String,
}

/// From a frame to the pixels that a backbone is given: cut, resized to a square with a triangle filter that widens when it
/// shrinks, divided by 255, normalised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureRecipe {
    /// Side of the square, in pixels.
    pub size: u32,
    /// Short side of the frame before a centre crop, in pixels.
    pub resize: u32,
    /// `stretch`: the whole frame. `roi`: the region. `center`: the centred square of side short side · size / resize.
    pub crop: String,
    /// Left, top, width, height of the region as fractions of the frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<[f64; 4]>,
    /// Subtracted from red, green, blue.
    pub mean: [f32; 3],
    /// Divides what is left.
    pub std: [f32; 3],
}

impl HeadMeta {
    /// Checks every entry, and that there are as many class names as `classes`.
    pub fn check(&self, classes: usize) -> Result<(), HeadFileError> {
        if self.classes.len() != classes {
            let why = format!("has {} names, weight has {classes} rows", self.classes.len());
            return Err(HeadFileError::Meta("classes", why));
        }
        fields::class_names(&self.classes)?;
        fields::digest("backbone_digest", &self.backbone.digest)?;
        fields::digest("preprocess", &self.preprocess)?;
        if let Some(parent) = &self.parent {
            fields::digest("parent", parent)?;
        }
        fields::line("backbone", &self.backbone.name)?;
        fields::line("tensor", &self.tensor)?;
        fields::line("snapshot", &self.snapshot)?;
        fields::line("method", &self.method)?;
        fields::rule(is_device_id(&self.device), "device", "is no device id (1 to 64 of a-z, 0-9 and '-')")?;
        let counted = self.version > 0 && self.restored_from != Some(0);
        fields::rule(counted, "version", "is 0; versions count from 1")?;
        Ok(fields::time("created", &self.created)?)
    }

    /// The entries in the order of their names.
    fn entries(&self) -> BTreeMap<&'static str, String> {
        let mut entries = BTreeMap::from([
            ("format", FORMAT.to_owned()),
            ("classes", Value::from(self.classes.clone()).to_string()),
            ("backbone", self.backbone.name.clone()),
            ("backbone_digest", self.backbone.digest.clone()),
            ("tensor", self.tensor.clone()),
            ("preprocess", self.preprocess.clone()),
            ("snapshot", self.snapshot.clone()),
            ("method", self.method.clone()),
            ("metrics", Value::from(self.metrics.clone()).to_string()),
            ("device", self.device.clone()),
            ("version", self.version.to_string()),
            ("created", self.created.clone()),
        ]);
        if let Some(pictures) = &self.pictures {
            entries.insert("pictures", serde_json::json!(pictures).to_string());
        }
        if let Some(parent) = &self.parent {
            entries.insert("parent", parent.clone());
        }
        if let Some(version) = self.restored_from {
            entries.insert("restored_from", version.to_string());
        }
        entries
    }

    /// Reads the entries; `dtype` comes from the tensors. Entries that nobody knows are passed over.
    pub(super) fn read(
        entries: Option<&HashMap<String, String>>,
        dtype: Dtype,
    ) -> Result<Self, HeadFileError> {
        let none = HashMap::new();
        let entries = entries.unwrap_or(&none);
        match entries.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                let other: String = other.chars().take(64).collect();
                return Err(HeadFileError::Format(format!("its format is {other:?}, not {FORMAT:?}")));
            }
            None => return Err(HeadFileError::Format("it has no metadata entry \"format\"".into())),
        }
        let text = |entry: &'static str| {
            entries.get(entry).cloned().ok_or_else(|| HeadFileError::Meta(entry, "is missing".into()))
        };
        let number = |entry: &'static str, text: &str| {
            text.parse::<u64>().map_err(|_| HeadFileError::Meta(entry, "is no whole number".into()))
        };
        let json = |entry: &'static str, e: serde_json::Error| {
            HeadFileError::Meta(entry, format!("is not read: {e}"))
        };
        Ok(Self {
            dtype,
            classes: serde_json::from_str(&text("classes")?).map_err(|e| json("classes", e))?,
            backbone: BackboneRef { name: text("backbone")?, digest: text("backbone_digest")? },
            tensor: text("tensor")?,
            preprocess: text("preprocess")?,
            pictures: match entries.get("pictures") {
                Some(pictures) => Some(serde_json::from_str(pictures).map_err(|e| json("pictures", e))?),
                None => None,
            },
            snapshot: text("snapshot")?,
            method: text("method")?,
            metrics: serde_json::from_str(&text("metrics")?).map_err(|e| json("metrics", e))?,
            parent: entries.get("parent").cloned(),
            restored_from: match entries.get("restored_from") {
                Some(version) => Some(number("restored_from", version)?),
                None => None,
            },
            device: text("device")?,
            version: number("version", &text("version")?)?,
            created: text("created")?,
        })
    }
}

/// Puts the entries into the header of a safetensors file that has none. The safetensors writer would
/// write them in the order of a hash map, so that the same head would be another file each time.
pub(super) fn insert(plain: &[u8], meta: &HeadMeta) -> Result<Vec<u8>, HeadFileError> {
    let broken = || HeadFileError::Broken("the safetensors writer gave no header".into());
    let (length, rest) = plain.split_first_chunk::<8>().ok_or_else(broken)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| broken())?;
    let (header, tensors) = rest.split_at_checked(length).ok_or_else(broken)?;
    let header = std::str::from_utf8(header).map_err(|_| broken())?.trim_end();
    let tensors_in_header = header.strip_prefix('{').ok_or_else(broken)?;
    let entries = serde_json::to_string(&meta.entries()).map_err(|_| broken())?;
    let mut header = format!("{{\"__metadata__\":{entries},{tensors_in_header}");
    // Tensors start at a multiple of 8.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut file = Vec::with_capacity(8 + header.len() + tensors.len());
    file.extend_from_slice(&(header.len() as u64).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(tensors);
    Ok(file)
}
