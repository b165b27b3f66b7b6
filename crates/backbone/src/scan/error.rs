//! The reasons to refuse a file.

use super::wire::Broken;

/// Why a file is refused, and what to do about it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The file is larger than the limit.
    #[error("the file has {bytes} bytes, more than the {limit} allowed: use a smaller backbone")]
    TooLarge { bytes: u64, limit: u64 },
    /// The bytes end in the middle.
    #[error("the ONNX file ends in the middle: it was not copied or downloaded whole; fetch it again")]
    Truncated,
    /// The bytes are no ONNX file.
    #[error(
        "this is not an ONNX file ({reason}): give the .onnx file itself, not an archive, a checkpoint or a download page"
    )]
    NotOnnx { reason: &'static str },
    /// Weights lie in another file.
    #[error(
        "the weights of `{tensor}` lie in another file (external data), which is not supported: save the network again as one file (onnx.save with save_as_external_data=False)"
    )]
    ExternalWeights { tensor: String },
    /// Weights are stored sparsely.
    #[error("`{tensor}` is a sparse tensor, which is not supported: export the network with dense weights")]
    SparseWeights { tensor: String },
    /// No or several operator sets.
    #[error(
        "the file does not name one version of the standard operator set: export it again with opset 13 to 18"
    )]
    NoOpset,
    /// The operator set is too old or too new.
    #[error(
        "the file uses opset {found}, this version reads {oldest} to {newest}: convert it (onnx.version_converter) or export it again with opset 13 to 18"
    )]
    Opset { found: i64, oldest: i64, newest: i64 },
    /// Too many of something.
    #[error(
        "the file holds more than {limit} {what}: this is no image backbone for a small board; use a smaller one"
    )]
    TooMany { what: &'static str, limit: usize },
    /// Graphs in graphs in graphs.
    #[error("graphs are nested more than {limit} deep: export the network without nested control flow")]
    TooDeep { limit: usize },
    /// The file defines its own functions.
    #[error(
        "the file defines its own functions (`{function}`), which are not supported: inline them (onnx.inliner.inline_local_functions) and save it again"
    )]
    Functions {
        /// The first of them.
        function: String,
    },
    /// A weight is not a finite number.
    #[error(
        "the weights `{tensor}` contain NaN or infinite numbers: the training that made them diverged; use an earlier checkpoint"
    )]
    NonFinite { tensor: String },
    /// A tensor's bytes do not match its shape.
    #[error(
        "tensor `{tensor}` declares {expected} elements but holds {found}: the file is damaged; fetch or export it again"
    )]
    TensorLength {
        tensor: String,
        /// Elements by its shape.
        expected: u64,
        /// Elements in the file.
        found: u64,
    },
    /// A tensor's element type is not supported.
    #[error(
        "tensor `{tensor}` has element type {element}, which is not supported: export the network as float32"
    )]
    ElementType { tensor: String, element: String },
    /// A declared output that nothing produces.
    #[error(
        "the graph declares the output `{output}` but nothing produces it: remove that output or export the network again"
    )]
    UndeclaredOutput { output: String },
    /// A node reads a tensor that nothing produces.
    #[error(
        "node `{node}` reads `{tensor}`, which nothing produces: the file is damaged or cut wrongly; export it again"
    )]
    UndefinedTensor { node: String, tensor: String },
    /// Two things make the same tensor.
    #[error("the tensor `{tensor}` is produced twice: the file is invalid; export it again")]
    DuplicateTensor { tensor: String },
    /// The graph runs in a circle.
    #[error("the graph runs in a circle at node `{node}`: the file is invalid; export it again")]
    Cycle {
        /// A node of the circle.
        node: String,
    },
    /// A few bytes that would become gigabytes.
    #[error(
        "`{tensor}` ({op}) would need about {bytes:.0} bytes, more than the {limit} allowed: the file is broken or hostile; do not use it"
    )]
    OversizeConstant {
        /// The tensor or node.
        tensor: String,
        /// The operator that makes it.
        op: String,
        bytes: f64,
        limit: u64,
    },
    /// No input at all.
    #[error("the graph has no input, so no picture can be fed to it: export the whole network")]
    NoInput,
    /// More than one real input.
    #[error(
        "the graph has {count} inputs ({names}); a backbone has one, the picture: export the image branch alone"
    )]
    ManyInputs {
        count: usize,
        /// The first few names.
        names: String,
    },
    /// The input is no picture.
    #[error(
        "input `{input}` is {found}, not a picture: a backbone takes float32 [batch, 3, height, width] or [batch, height, width, 3]"
    )]
    NotAnImage {
        input: String,
        /// Its type and shape.
        found: String,
    },
}

impl From<Broken> for ScanError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Truncated => Self::Truncated,
            Broken::Tag => Self::NotOnnx { reason: "its bytes are no protobuf" },
            Broken::Type => Self::NotOnnx { reason: "a field has the wrong type" },
            Broken::Text => Self::NotOnnx { reason: "a name is not UTF-8" },
        }
    }
}
