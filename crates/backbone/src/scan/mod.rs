//! Looks an ONNX file over before tract sees it.
//!
//! tract panics on some malformed files (a graph output that nothing produces) and allocates
//! gigabytes for others (a constant `Range`, `Tile`, `Expand`). This scan reads the protobuf wire
//! format in place with limits, so that such a file is refused with a sentence that says what to do.

mod bounds;
mod error;
mod graph;
mod parts;
mod port;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use error::ScanError;

/// What a file may hold at most. The defaults admit every published image classifier that a board can run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// Nodes, subgraphs included.
    pub nodes: usize,
    /// Initializers and constants, subgraphs included.
    pub tensors: usize,
    /// Inputs, outputs, attributes or dimensions of one thing.
    pub entries: usize,
    pub depth: usize,
    /// Bytes of one tensor that the file makes out of a few numbers (`ConstantOfShape`, `Range`, `Tile` …).
    pub made_bytes: u64,
    /// Oldest and newest operator set.
    pub opset: (i64, i64),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 512 << 20,
            nodes: 10_000,
            tensors: 20_000,
            entries: 4096,
            depth: 4,
            made_bytes: 256 << 20,
            opset: (7, 21),
        }
    }
}

/// One dimension of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// A number in the file.
    Fixed(u64),
    /// A name such as `batch`, or `?` when there is none.
    Named(String),
}

/// A declared input or output of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub name: String,
    /// Its element type (`float32`, `uint8` …).
    pub element: String,
    /// Its shape; `None` when the file does not say.
    pub shape: Option<Vec<Dim>>,
}

/// What the scan learned about a file that it let pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scan {
    /// Version of the ONNX format.
    pub ir_version: i64,
    /// Version of the default operator set.
    pub opset: i64,
    /// Who wrote the file, as the file says.
    pub producer: String,
    /// Real inputs (initializers listed as inputs left out).
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// How many nodes of each operator, subgraphs included.
    pub ops: BTreeMap<String, usize>,
    /// Elements of all floating-point and integer initializers.
    pub parameters: u64,
}

impl Scan {
    /// The one picture input.
    ///
    /// # Errors
    /// When there is not exactly one input, or it is no float picture with three colour channels.
    pub fn image_input(&self) -> Result<&Port, ScanError> {
        port::image_input(&self.inputs)
    }
}

/// Checks the bytes of an ONNX file. Never panics, allocates no more than a few times the number of
/// names in the file, and takes time linear in its length.
///
/// # Errors
/// One [`ScanError`] for each reason to refuse a file; its text says what to do.
pub fn scan(bytes: &[u8], limits: &Limits) -> Result<Scan, ScanError> {
    graph::scan_file(bytes, limits)
}
