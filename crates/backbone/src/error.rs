//! What can go wrong between an ONNX file and an embedding.

use std::path::PathBuf;

use super::scan::ScanError;

/// Why a backbone cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// A file could not be read.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The scan refused the file.
    #[error(transparent)]
    Refused(#[from] ScanError),
    /// The card is wrong.
    #[error("backbone card {place}: {reason}")]
    Card {
        /// File or name of the card.
        place: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The file is not the one that the card describes.
    #[error(
        "the backbone's SHA-256 is {found}, but its card says {expected}: fetch the file again, or write a new card for it (graft backbone card)"
    )]
    Digest { expected: String, found: String },
    /// A named tensor is not in the graph.
    #[error("no such tensor `{name}` in the graph{}; `graft backbone inspect` without --features shows the cut that is found by itself", near_names(.near))]
    NoSuchTensor {
        /// The name asked for.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// The input has a shape that cannot be fed.
    #[error("input `{input}` cannot be fed: {reason}")]
    Input {
        input: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Operators that tract does not know.
    #[error("these operators are not supported: {}; export the network with standard ONNX operators (opset 13 to 18), as float32 or QDQ", .ops.join(", "))]
    Unsupported { ops: Vec<String> },
    /// The tensor at the cut is no embedding.
    #[error("the tensor `{tensor}` is {found}, which is no embedding: name another one with --features")]
    NotAnEmbedding {
        tensor: String,
        /// Its type and shape.
        found: String,
    },
    /// The embedding's width is not the card's.
    #[error(
        "the embedding has {found} numbers, but the card says {expected}: correct `width` or `features` in the card"
    )]
    Width { expected: usize, found: usize },
    /// tract refused the graph.
    #[error(
        "tract cannot {step}: {reason}. Export the network again with a dynamic or single batch and opset 13 to 18"
    )]
    Tract {
        /// What it was doing.
        step: &'static str,
        reason: String,
    },
    /// tract panicked, which is contained.
    #[error(
        "tract failed while it tried to {step} ({reason}): the file is damaged or of a kind it cannot read; use another export"
    )]
    Panicked {
        /// What it was doing.
        step: &'static str,
        reason: String,
    },
    /// A picture that is none.
    #[error("the picture is {width}×{height} with {bytes} bytes, not 3·width·height: decode it to RGB first")]
    Picture {
        width: u32,
        height: u32,
        /// Bytes given.
        bytes: usize,
    },
    /// Pixels of the wrong length.
    #[error("{found} normalised pixels were given, the backbone takes {expected} (3·size·size)")]
    Pixels {
        /// 3·size².
        expected: usize,
        found: usize,
    },
    /// The embedding is not finite.
    #[error(
        "the backbone gave NaN or infinite numbers: its weights or its card's mean and std are wrong; check with graft backbone inspect"
    )]
    NotFinite,
    /// The head does not fit.
    #[error("head: {0}")]
    Head(String),
}

impl BackboneError {
    /// One word for the reason, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::OutOfMemory => {
                "admission_memory"
            }
            Self::Read { .. } => "unreadable",
            Self::Refused(ScanError::Truncated) => "onnx_truncated",
            Self::Refused(ScanError::NotOnnx { .. }) => "not_onnx",
            Self::Refused(ScanError::NonFinite { .. }) | Self::NotFinite => "not_finite",
            Self::Refused(_) => "onnx_refused",
            Self::Card { .. } => "bad_card",
            Self::Digest { .. } => "digest_mismatch",
            Self::NoSuchTensor { .. } | Self::NotAnEmbedding { .. } => "wrong_tensor",
            Self::Input { .. } => "wrong_input",
            Self::Unsupported { .. } => "unsupported_operator",
            Self::Width { .. } => "wrong_width",
            Self::Tract { .. } | Self::Panicked { .. } => "engine_refused",
            Self::Picture { .. } | Self::Pixels { .. } | Self::Head(_) => "wrong_shape",
        }
    }
}

fn near_names(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" (near: {})", near.join(", ")) }
}
