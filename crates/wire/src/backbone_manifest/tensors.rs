//! The tensor files of a fine-tuned backbone: its head, and its golden vectors.

use safetensors::tensor::SafeTensors;

use super::{BackboneManifest, BackboneManifestError};
use crate::head_file::{self, HeadFileError, find, floats, guard};

/// Fewest golden vectors.
pub const MIN_GOLDEN: usize = 8;
/// Most golden vectors: they are replayed on the board.
const MAX_GOLDEN: usize = 64;
/// Largest file of golden vectors in bytes: 64 inputs of 3 x 224 x 224 are 37 MiB.
const MAX_GOLDEN_BYTES: usize = 64 * 1024 * 1024;

/// The head that a backbone was trained with.
#[derive(Clone, Debug, PartialEq)]
pub struct TunedHead {
    /// `[classes, width]`, row by row.
    pub weight: Vec<f32>,
    /// `[classes]`.
    pub bias: Vec<f32>,
}

/// Inputs of the network with what comes out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// How many inputs there are.
    pub count: usize,
    /// Shape of one input, without the batch: `[3, height, width]` or `[height, width, 3]`.
    pub shape: [usize; 3],
    /// `[count, …shape]`.
    pub inputs: Vec<f32>,
    /// The embedding of each, `[count, width]`.
    pub embeddings: Vec<f32>,
    /// The head's scores of each, `[count, classes]`.
    pub logits: Vec<f32>,
}

impl TunedHead {
    /// Reads the head's file: two tensors, of the shapes that the manifest says, every figure finite.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(file: &[u8], manifest: &BackboneManifest) -> Result<Self, BackboneManifestError> {
        let (classes, width) = (manifest.classes.len(), manifest.width as usize);
        let tensors = open(file, head_file::MAX_BYTES, &["weight", "bias"])?;
        Ok(Self {
            weight: tensor(&tensors, "weight", &[classes, width])?,
            bias: tensor(&tensors, "bias", &[classes])?,
        })
    }
}

impl Golden {
    /// Reads golden vectors: three tensors, of shapes that belong together and to the manifest, every figure
    /// finite.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn read(file: &[u8], manifest: &BackboneManifest) -> Result<Self, BackboneManifestError> {
        let (classes, width) = (manifest.classes.len(), manifest.width as usize);
        let tensors = open(file, MAX_GOLDEN_BYTES, &["inputs", "embeddings", "logits"])?;
        let inputs = find(&tensors, "inputs").map_err(BackboneManifestError::Tensors)?;
        let &[count, a, b, c] = inputs.shape() else {
            return Err(wrong("inputs", "does not have four axes".into()));
        };
        if !(MIN_GOLDEN..=MAX_GOLDEN).contains(&count) {
            return Err(wrong(
                "inputs",
                format!("has {count} inputs; {MIN_GOLDEN} to {MAX_GOLDEN} are needed"),
            ));
        }
        Ok(Self {
            count,
            shape: [a, b, c],
            inputs: tensor(&tensors, "inputs", &[count, a, b, c])?,
            embeddings: tensor(&tensors, "embeddings", &[count, width])?,
            logits: tensor(&tensors, "logits", &[count, classes])?,
        })
    }
}

fn wrong(name: &str, why: String) -> BackboneManifestError {
    BackboneManifestError::Tensors(HeadFileError::Tensor(name.into(), why))
}

/// The tensors of a file that holds the `known` ones and no others.
fn open<'f>(file: &'f [u8], max: usize, known: &[&str]) -> Result<SafeTensors<'f>, BackboneManifestError> {
    if file.len() > max {
        return Err(BackboneManifestError::Tensors(HeadFileError::TooLarge(file.len())));
    }
    guard(file).map_err(BackboneManifestError::Tensors)?;
    let tensors = SafeTensors::deserialize(file)
        .map_err(|e| BackboneManifestError::Tensors(HeadFileError::Broken(e.to_string())))?;
    match tensors.names().into_iter().find(|name| !known.contains(name)) {
        Some(name) => Err(wrong(&name.chars().take(64).collect::<String>(), "is not known".into())),
        None => Ok(tensors),
    }
}

/// A tensor of 32-bit floats of that shape.
fn tensor(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, BackboneManifestError> {
    let found = find(tensors, name).map_err(BackboneManifestError::Tensors)?;
    if found.shape() != shape || found.dtype() != safetensors::Dtype::F32 {
        let seen: Vec<_> = found.shape().iter().take(8).collect();
        return Err(wrong(name, format!("is {:?} {seen:?}; expected F32 {shape:?}", found.dtype())));
    }
    floats(name, &found).map_err(BackboneManifestError::Tensors)
}
