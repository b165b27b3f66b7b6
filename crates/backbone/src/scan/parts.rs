//! What a graph consists of, as far as the scan looks at it.

use super::port::RawPort;
use super::tensor;

/// One node, borrowed from the file.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) op: &'a str,
    pub(super) name: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    /// Integer-list attributes.
    pub(super) ints: Vec<(&'a str, Vec<i64>)>,
    /// Float-list attributes.
    pub(super) floats: Vec<(&'a str, Vec<f64>)>,
    /// Tensor attributes.
    pub(super) tensors: Vec<tensor::Tensor<'a>>,
    /// Graph attributes, not yet read.
    pub(super) graphs: Vec<&'a [u8]>,
}

impl Node<'_> {
    /// What to call it in a sentence.
    pub(super) fn title(&self) -> String {
        let name = if self.name.is_empty() { self.outputs.first().unwrap_or(&"") } else { &self.name };
        format!("{name} ({})", self.op)
    }
}

/// One graph, borrowed from the file.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) tensors: Vec<tensor::Tensor<'a>>,
    pub(super) inputs: Vec<RawPort<'a>>,
    pub(super) outputs: Vec<RawPort<'a>>,
}
