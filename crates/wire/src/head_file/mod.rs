//! The head file: a safetensors file that holds one head and says what it belongs to.
//! docs/reference/head-format.md is its description for other programs.

mod metadata;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use half::f16;
use safetensors::tensor::{Dtype as TensorDtype, SafeTensors, TensorView, View};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::fields::BadField;
pub use metadata::{HeadMeta, PictureRecipe};

use graft_learn::{Head, Reject};

/// Largest head file in bytes.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Most classes of a head.
pub const MAX_CLASSES: usize = 10_000;
/// Widest embedding of a head.
pub const MAX_WIDTH: usize = 65_536;
/// Largest header of a head file: the class names are in it.
const MAX_HEADER_BYTES: u64 = 4 * 1024 * 1024;
/// Most `reject.*` tensors.
const MAX_REJECT_TENSORS: usize = 16;
const REJECT: &str = "reject.";

/// How `weight` and `bias` are stored.
#[derive(strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floats: exactly what was trained.
    #[default]
    F32,
    /// 16-bit floats: half the size, three decimal digits.
    F16,
}

impl Dtype {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A head with what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadFile {
    /// The head; its class `i` is `meta.classes[i]`.
    pub head: Head,
    /// What it belongs to.
    pub meta: HeadMeta,
}

/// Why bytes are no head file, or a head cannot be written as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFileError {
    /// Over [`MAX_BYTES`].
    #[error("a head file of {0} bytes is over the limit of {MAX_BYTES}")]
    TooLarge(usize),
    /// Not safetensors, or cut short.
    #[error("this is not a whole safetensors file: {0}")]
    Broken(String),
    /// Another kind of safetensors file, or a newer version of this one.
    #[error("this is not a head file of a version that can be read here: {0}")]
    Format(String),
    /// A metadata entry is missing or wrong.
    #[error("the metadata entry {0} of the head file {1}")]
    Meta(&'static str, String),
    /// A tensor is missing, unknown, or of the wrong type or shape.
    #[error("the tensor {0} of the head file {1}")]
    Tensor(String, String),
    /// A figure is infinite or not a number.
    #[error("the tensor {0} of the head file holds a figure that is not finite{1}")]
    NonFinite(String, &'static str),
}

impl From<BadField> for HeadFileError {
    fn from(BadField(entry, why): BadField) -> Self {
        Self::Meta(entry, why.to_owned())
    }
}

impl HeadFile {
    /// The file, the same bytes for the same head. `meta.dtype` says how weight and bias are stored.
    pub fn encode(&self) -> Result<Vec<u8>, HeadFileError> {
        self.meta.check(self.head.classes)?;
        check_sizes(self.head.classes, self.head.width)?;
        let (classes, width) = (self.head.classes, self.head.width);
        let mut tensors = vec![
            Tensor::new("weight", vec![classes, width], &self.head.weight, self.meta.dtype)?,
            Tensor::new("bias", vec![classes], &self.head.bias, self.meta.dtype)?,
            Tensor::new("temperature", vec![1], &[self.head.temperature], Dtype::F32)?,
        ];
        if self.head.temperature <= 0.0 {
            return Err(HeadFileError::Tensor("temperature".into(), "is not above 0".into()));
        }
        if let Some(reject) = &self.head.reject {
            for (name, shape, values) in reject.tensors() {
                tensors.push(Tensor::new(&format!("{REJECT}{name}"), shape, &values, Dtype::F32)?);
            }
        }
        let named = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor));
        let plain = safetensors::serialize(named, None).map_err(|e| HeadFileError::Broken(e.to_string()))?;
        let file = metadata::insert(&plain, &self.meta)?;
        if file.len() > MAX_BYTES { Err(HeadFileError::TooLarge(file.len())) } else { Ok(file) }
    }

    /// Reads and checks a file: size, shapes, known tensors, every figure finite, metadata complete.
    pub fn decode(file: &[u8]) -> Result<Self, HeadFileError> {
        if file.len() > MAX_BYTES {
            return Err(HeadFileError::TooLarge(file.len()));
        }
        guard(file)?;
        let broken = |e: safetensors::SafeTensorError| HeadFileError::Broken(e.to_string());
        let (_, header) = SafeTensors::read_metadata(file).map_err(broken)?;
        let tensors = SafeTensors::deserialize(file).map_err(broken)?;
        let weight = find(&tensors, "weight")?;
        let &[classes, width] = weight.shape() else {
            return Err(shape("weight", weight.shape(), "[classes, width]"));
        };
        check_sizes(classes, width)?;
        let dtype = match weight.dtype() {
            TensorDtype::F32 => Dtype::F32,
            TensorDtype::F16 => Dtype::F16,
            other => return Err(wrong_dtype("weight", other)),
        };
        let meta = HeadMeta::read(header.metadata().as_ref(), dtype)?;
        meta.check(classes)?;
        let bias = find(&tensors, "bias")?;
        if bias.shape() != [classes] || bias.dtype() != weight.dtype() {
            return Err(shape("bias", bias.shape(), "[classes] of the type of weight"));
        }
        let temperature = find(&tensors, "temperature")?;
        if temperature.shape() != [1] {
            return Err(shape("temperature", temperature.shape(), "[1]"));
        }
        let temperature = floats("temperature", &temperature)?[0];
        if temperature <= 0.0 {
            return Err(HeadFileError::Tensor("temperature".into(), "is not above 0".into()));
        }
        let head = Head {
            classes,
            width,
            weight: floats("weight", &weight)?,
            bias: floats("bias", &bias)?,
            temperature,
            reject: reject(&tensors, width, classes)?,
        };
        head.check().map_err(|e| HeadFileError::Tensor("weight".into(), format!("is refused: {e}")))?;
        Ok(Self { head, meta })
    }
}

/// Bounds the header and the offsets in it before the safetensors reader adds them up.
pub(super) fn guard(file: &[u8]) -> Result<(), HeadFileError> {
    /// Offsets that fit 32 bits cannot overflow when they are added as 64 bits.
    #[derive(Deserialize)]
    struct Offsets {
        #[serde(rename = "data_offsets")]
        _offsets: (u32, u32),
    }
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        _metadata: Option<IgnoredAny>,
        #[serde(flatten)]
        _tensors: HashMap<String, Offsets>,
    }
    let broken = |why: &str| HeadFileError::Broken(why.to_owned());
    let (length, rest) = file.split_first_chunk::<8>().ok_or_else(|| broken("it is shorter than 8 bytes"))?;
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(broken("its header is over 4 MiB"));
    }
    let header = rest.get(..length as usize).ok_or_else(|| broken("it ends inside its header"))?;
    serde_json::from_slice::<Header>(header)
        .map(drop)
        .map_err(|e| HeadFileError::Broken(format!("its header cannot be read: {e}")))
}

fn check_sizes(classes: usize, width: usize) -> Result<(), HeadFileError> {
    if !(1..=MAX_CLASSES).contains(&classes) || !(1..=MAX_WIDTH).contains(&width) {
        let why =
            format!("is {classes} x {width}; a head has 1 to {MAX_CLASSES} classes, width 1 to {MAX_WIDTH}");
        return Err(HeadFileError::Tensor("weight".into(), why));
    }
    Ok(())
}

pub(super) fn find<'d>(tensors: &SafeTensors<'d>, name: &str) -> Result<TensorView<'d>, HeadFileError> {
    tensors.tensor(name).map_err(|_| HeadFileError::Tensor(name.into(), "is missing".into()))
}

fn shape(name: &str, found: &[usize], expected: &str) -> HeadFileError {
    let found: Vec<_> = found.iter().take(8).collect();
    HeadFileError::Tensor(name.into(), format!("has shape {found:?}; expected {expected}"))
}

fn wrong_dtype(name: &str, found: TensorDtype) -> HeadFileError {
    HeadFileError::Tensor(name.into(), format!("is of type {found:?}; expected F32 or F16"))
}

/// The figures of a tensor, all finite. The safetensors reader has checked its length against its shape.
pub(super) fn floats(name: &str, tensor: &TensorView<'_>) -> Result<Vec<f32>, HeadFileError> {
    let values: Vec<f32> = match tensor.dtype() {
        TensorDtype::F32 => tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        TensorDtype::F16 => {
            tensor.data().as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        }
        other => return Err(wrong_dtype(name, other)),
    };
    match values.iter().all(|v| v.is_finite()) {
        true => Ok(values),
        false => Err(HeadFileError::NonFinite(name.into(), "")),
    }
}

/// The reject tensors, if there are any; every tensor that nobody knows is refused.
fn reject(tensors: &SafeTensors<'_>, width: usize, classes: usize) -> Result<Option<Reject>, HeadFileError> {
    let mut found = Vec::new();
    let mut names = tensors.names();
    names.sort_unstable();
    for name in names {
        if matches!(name, "weight" | "bias" | "temperature") {
            continue;
        }
        let shown: String = name.chars().take(64).collect();
        let Some(inner) = name.strip_prefix(REJECT) else {
            return Err(HeadFileError::Tensor(shown, "is not known".into()));
        };
        if found.len() == MAX_REJECT_TENSORS {
            return Err(HeadFileError::Tensor(shown, format!("is one over {MAX_REJECT_TENSORS}")));
        }
        let view = find(tensors, name)?;
        if view.dtype() != TensorDtype::F32 {
            return Err(wrong_dtype(&shown, view.dtype()));
        }
        found.push((inner.to_owned(), view.shape().to_vec(), floats(&shown, &view)?));
    }
    if found.is_empty() {
        return Ok(None);
    }
    let reject = Reject::from_tensors(&found, width, classes)
        .map_err(|e| HeadFileError::Tensor(format!("{REJECT}*"), format!("is refused: {e}")))?;
    let known = reject.tensors();
    match found.iter().find(|(name, ..)| known.iter().all(|(k, ..)| k != name)) {
        Some((name, ..)) => Err(HeadFileError::Tensor(format!("{REJECT}{name:.64}"), "is not known".into())),
        None => Ok(Some(reject)),
    }
}

/// One tensor on its way into a file.
struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: TensorDtype,
    bytes: Vec<u8>,
}

impl Tensor {
    fn new(name: &str, shape: Vec<usize>, values: &[f32], dtype: Dtype) -> Result<Self, HeadFileError> {
        let elements = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
        if elements != Some(values.len()) {
            let why = format!("has {} figures for the shape {shape:?}", values.len());
            return Err(HeadFileError::Tensor(name.into(), why));
        }
        if !values.iter().all(|v| v.is_finite()) {
            return Err(HeadFileError::NonFinite(name.into(), ""));
        }
        let (dtype, bytes): (_, Vec<u8>) = match dtype {
            Dtype::F32 => (TensorDtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Dtype::F16 => {
                let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
                if !halves.iter().all(|v| v.is_finite()) {
                    return Err(HeadFileError::NonFinite(name.into(), " as f16; store it as f32"));
                }
                (TensorDtype::F16, halves.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
        };
        Ok(Self { name: name.into(), shape, dtype, bytes })
    }
}

impl View for Tensor {
    fn dtype(&self) -> TensorDtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
