//! Where to cut a classifier off: finds the tensor that its last linear layer reads.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tract_onnx::pb::{GraphProto, NodeProto};

use super::BackboneError;
use super::onnx::{attribute, reads};

/// Why a tensor is the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// The card or the command line names it.
    Named,
    /// It is an output with a name such as `features` or `embedding`.
    OutputName,
    /// It is what the last matrix product (`Gemm`, `MatMul`) reads.
    MatrixProduct,
    /// It is what the last 1×1 convolution reads.
    Convolution,
    /// No classifier was found; the graph's output is taken as it is.
    Output,
}

/// A place to cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The tensor that becomes the embedding (pooled, if it is a picture of features).
    pub tensor: String,
    /// How it was found.
    pub found: Found,
    /// Scale and zero point tensors when it is quantised.
    pub quantised: Option<(String, String)>,
}

impl Cut {
    fn new(tensor: &str, found: Found) -> Self {
        Self { tensor: tensor.into(), found, quantised: None }
    }
}

/// Parts of output names that tell an extractor.
const HINTS: [&str; 7] =
    ["feature", "embed", "pooler_output", "last_hidden_state", "representation", "descriptor", "bottleneck"];

/// Finds the cut of a graph, or the named tensor.
///
/// # Errors
/// When `features` names no tensor, or the graph has no output.
pub fn find(graph: &GraphProto, features: Option<&str>) -> Result<Cut, BackboneError> {
    let index = Index::new(graph);
    if let Some(name) = features {
        return index.named(name);
    }
    if let Some(output) = hinted_output(graph) {
        return Ok(Cut::new(output, Found::OutputName));
    }
    let walks = graph.output.iter().map(|output| index.walk(&output.name));
    if let Some(cut) = walks.flatten().next() {
        return Ok(cut);
    }
    let first = graph
        .output
        .first()
        .ok_or_else(|| BackboneError::NoSuchTensor { name: "output".into(), near: Vec::new() })?;
    Ok(Cut::new(&first.name, Found::Output))
}

/// The output that is an embedding by its name; the last one where several are (the deepest of a pyramid).
fn hinted_output(graph: &GraphProto) -> Option<&str> {
    let names = || graph.output.iter().map(|output| output.name.as_str());
    let bare =
        |name: &str| name.rsplit('/').next().unwrap_or(name).split(':').next().unwrap_or(name).to_lowercase();
    let exact = names()
        .find(|name| matches!(&*bare(name), "features" | "feature_vector" | "embedding" | "embeddings"));
    exact.or_else(|| names().rfind(|name| HINTS.iter().any(|hint| bare(name).contains(hint))))
}

struct Index<'a> {
    graph: &'a GraphProto,
    makers: HashMap<&'a str, &'a NodeProto>,
    /// Shapes of initializers and of what `Constant` nodes hold.
    shapes: HashMap<&'a str, &'a [i64]>,
    constants: HashSet<&'a str>,
}

/// What lies between an output and the layer that makes its scores.
#[derive(Default)]
struct Passed {
    probabilities: bool,
    pooled: bool,
    relu: bool,
}

impl<'a> Index<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let mut index =
            Self { graph, makers: HashMap::new(), shapes: HashMap::new(), constants: HashSet::new() };
        for tensor in &graph.initializer {
            index.constants.insert(&tensor.name);
            index.shapes.insert(&tensor.name, &tensor.dims);
        }
        for node in &graph.node {
            index.makers.extend(node.output.iter().map(|output| (output.as_str(), node)));
            let tensor = attribute(node, "value").and_then(|value| value.t.as_ref());
            if let (Some(tensor), Some(output)) = (tensor, node.output.first()) {
                index.shapes.insert(output, &tensor.dims);
            }
            // Files are sorted, so one pass finds everything that follows from constants alone.
            // With a fixed input so do shapes, and what exporters compute from them.
            let random = node.op_type.starts_with("Random");
            let shape = matches!(&*node.op_type, "Shape" | "Size");
            if shape || (!random && reads(node).iter().all(|name| index.constants.contains(name))) {
                index.constants.extend(node.output.iter().map(String::as_str));
            }
        }
        index
    }

    fn named(&self, name: &str) -> Result<Cut, BackboneError> {
        let input = self.graph.input.iter().any(|input| input.name == name);
        if self.makers.contains_key(name) && !self.constants.contains(name) && !input {
            return Ok(Cut::new(name, Found::Named));
        }
        let mut near: Vec<(usize, &str)> = self
            .makers
            .keys()
            .filter(|key| !key.is_empty() && !self.constants.contains(*key))
            .map(|key| (distance(name, key), *key))
            .collect();
        near.sort_unstable();
        near.truncate(5);
        Err(BackboneError::NoSuchTensor {
            name: name.into(),
            near: near.into_iter().map(|(_, key)| key.into()).collect(),
        })
    }

    /// The only input of a node that is not constant.
    fn variable(&self, node: &'a NodeProto) -> Option<&'a str> {
        let mut inputs = node
            .input
            .iter()
            .map(String::as_str)
            .filter(|name| !name.is_empty() && !self.constants.contains(name));
        inputs.next().filter(|_| inputs.next().is_none())
    }

    /// From an output back to what its classifier reads; `None` when there is no classifier.
    fn walk(&self, output: &'a str) -> Option<Cut> {
        let mut name = output;
        let mut passed = Passed::default();
        // Every step goes to an earlier node; the bound holds for unsorted files.
        for _ in 0..=self.graph.node.len() {
            let node = *self.makers.get(name)?;
            match &*node.op_type {
                "Softmax" | "LogSoftmax" | "Sigmoid" | "Hardmax" | "ArgMax" | "TopK" => {
                    passed.probabilities = true
                }
                "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Identity" | "Dropout" | "Cast"
                | "Transpose" | "QuantizeLinear" | "DequantizeLinear" | "Add" | "Sub" | "Mul" | "Div"
                | "QLinearAdd" | "QLinearSoftmax" => {}
                "GlobalAveragePool"
                | "AveragePool"
                | "ReduceMean"
                | "QLinearGlobalAveragePool"
                | "QLinearAveragePool" => {
                    passed.pooled = true;
                }
                "Relu" => passed.relu = true,
                "Gemm" | "MatMul" | "FusedGemm" | "FusedMatMul" | "QLinearMatMul" | "QGemm"
                | "MatMulInteger" => {
                    // A rectified product is a hidden layer, a pooled one mixes tokens: no class scores.
                    let scores = !passed.relu && !passed.pooled;
                    return self
                        .variable(node)
                        .filter(|_| scores)
                        .map(|input| self.cut(node, input, Found::MatrixProduct));
                }
                "Conv" | "FusedConv" | "QLinearConv" | "ConvInteger" => {
                    let input = self
                        .variable(node)
                        .filter(|input| self.convolution_classifies(node, input, &passed))?;
                    return Some(self.cut(node, input, Found::Convolution));
                }
                _ => return None,
            }
            name = self.variable(node)?;
        }
        None
    }

    fn cut(&self, node: &NodeProto, input: &str, found: Found) -> Cut {
        let quantised = match &*node.op_type {
            // x, x_scale, x_zero_point come first in all of them.
            "QLinearMatMul" | "QGemm" | "QLinearConv" => {
                node.input.get(1).cloned().zip(node.input.get(2).cloned())
            }
            _ => None,
        };
        Cut { tensor: input.into(), found, quantised }
    }

    /// Does a convolution make class scores, or features?
    ///
    /// A 1×1 convolution over pooled features does. Before the pooling, SqueezeNet's classifier and the last
    /// layer of a MobileNet extractor look the same; then a following softmax tells, or a number of channels
    /// that no extractor has (theirs are multiples of 16 from 64 on; ImageNet's 1000 is not).
    fn convolution_classifies(&self, node: &'a NodeProto, input: &'a str, passed: &Passed) -> bool {
        let Some(shape) =
            node.input.iter().skip(1).find_map(|name| self.shape(name).filter(|shape| shape.len() == 4))
        else {
            return false;
        };
        if shape[2] != 1 || shape[3] != 1 {
            return false;
        }
        if self.is_pooled(input) {
            return !passed.relu;
        }
        let extractor = shape[0] >= 64 && shape[0] % 16 == 0;
        passed.pooled && (passed.probabilities || !extractor)
    }

    /// The shape of a weight, through dequantisation and renaming.
    fn shape(&self, mut name: &'a str) -> Option<&'a [i64]> {
        for _ in 0..8 {
            if let Some(shape) = self.shapes.get(name) {
                return Some(shape);
            }
            let node = self.makers.get(name)?;
            if !matches!(&*node.op_type, "DequantizeLinear" | "QuantizeLinear" | "Identity" | "Cast") {
                return None;
            }
            name = node.input.first()?;
        }
        None
    }

    /// Was this tensor averaged over the picture, up to steps that act on each number alone?
    fn is_pooled(&self, mut name: &'a str) -> bool {
        for _ in 0..32 {
            let Some(node) = self.makers.get(name) else { return false };
            match &*node.op_type {
                "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "AveragePool" => return true,
                "Relu" | "Clip" | "HardSwish" | "Dropout" | "Identity" | "Cast" | "Mul" | "Add" | "Sub"
                | "Div" | "BatchNormalization" | "QuantizeLinear" | "DequantizeLinear" | "Reshape"
                | "Unsqueeze" | "Squeeze" => {}
                _ => return false,
            }
            match self.variable(node) {
                Some(input) => name = input,
                None => return false,
            }
        }
        false
    }
}

/// Is the last axis of a rank-4 tensor its channels? Followed back to the last transposition or convolution.
pub(super) fn channels_last(graph: &GraphProto, tensor: &str) -> bool {
    let index = Index::new(graph);
    let mut name = tensor;
    for _ in 0..64 {
        let Some(node) = index.makers.get(name) else { return false };
        if node.op_type == "Transpose" {
            return attribute(node, "perm").is_some_and(|perm| perm.ints == [0, 2, 3, 1]);
        }
        let op = &*node.op_type;
        if op.contains("Conv")
            || op.contains("Pool")
            || matches!(op, "BatchNormalization" | "Resize" | "DepthToSpace")
        {
            return false;
        }
        match node.input.iter().find(|name| !index.constants.contains(name.as_str())) {
            Some(input) => name = input,
            None => return false,
        }
    }
    false
}

/// How unlike two names are: Levenshtein's distance, less where one contains the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    if !a.is_empty() && (a.contains(&b) || b.contains(&a)) {
        return a.len().abs_diff(b.len()).min(3);
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(80).collect(), b.chars().take(80).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
