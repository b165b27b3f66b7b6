//! Small ONNX graphs for tests.

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto};

use super::Card;
use super::onnx::{ints, node, port, tensor};

/// A file around a graph.
pub(super) fn file(graph: GraphProto, opset: i64) -> Vec<u8> {
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: opset }];
    ModelProto { ir_version: 7, opset_import, graph: Some(graph), ..Default::default() }.encode_to_vec()
}

/// A graph from a 16×16 picture `x` to `outputs`.
pub(super) fn graph(nodes: Vec<NodeProto>, weights: Vec<TensorProto>, outputs: &[&str]) -> GraphProto {
    GraphProto {
        name: "g".into(),
        node: nodes,
        initializer: weights,
        input: vec![port("x", &[None, Some(3), Some(16), Some(16)])],
        output: outputs.iter().map(|output| port(output, &[])).collect(),
        ..Default::default()
    }
}

/// Weights that differ from each other, the same in every run.
pub(super) fn weights(name: &str, dims: &[usize]) -> TensorProto {
    let count: usize = dims.iter().product();
    let mut random = fastrand::Rng::with_seed(name.len() as u64 + count as u64);
    tensor(name, dims, &(0..count).map(|_| random.f32() - 0.5).collect::<Vec<_>>())
}

/// A 3×3 convolution to 8 channels with a ReLU: `x` → `r`.
pub(super) fn stem() -> (Vec<NodeProto>, Vec<TensorProto>) {
    let conv = node("Conv", &["x", "w1"], "c", vec![ints("pads", &[1, 1, 1, 1])]);
    (vec![conv, node("Relu", &["c"], "r", vec![])], vec![weights("w1", &[8, 3, 3, 3])])
}

/// Stem, pooling, flattening, a matrix product to 5 classes, softmax.
pub(super) fn classifier() -> GraphProto {
    let (mut nodes, mut tensors) = stem();
    nodes.push(node("GlobalAveragePool", &["r"], "p", vec![]));
    nodes.push(node("Flatten", &["p"], "f", vec![]));
    nodes.push(node("Gemm", &["f", "w2", "b2"], "logits", vec![]));
    nodes.push(node("Softmax", &["logits"], "out", vec![]));
    tensors.push(weights("w2", &[8, 5]));
    tensors.push(weights("b2", &[5]));
    graph(nodes, tensors, &["out"])
}

/// A card for these graphs.
pub(super) fn card() -> Card {
    Card::parse(
        "name = \"t\"\nsize = 16\nresize = 16\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n",
        "test",
    )
    .unwrap()
}
