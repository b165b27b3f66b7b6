//! Makes a graph that ends in the embedding: what lies after the cut is dropped, pooling is added.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, type_proto};

use super::cut::{Cut, channels_last};
use super::onnx::{fresh, int, ints, node, port, reads};

/// Drops everything that the tensor does not need, and makes it the only output.
pub(super) fn end_at(graph: &mut GraphProto, tensor: &str) {
    let makers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |output| (output.as_str(), index)))
        .collect();
    let mut needed: HashSet<String> = HashSet::from([tensor.to_owned()]);
    let mut keep = vec![false; graph.node.len()];
    let mut open = vec![tensor];
    while let Some(name) = open.pop() {
        let Some(&index) = makers.get(name) else { continue };
        if std::mem::replace(&mut keep[index], true) {
            continue;
        }
        for name in reads(&graph.node[index]) {
            if needed.insert(name.to_owned()) {
                open.push(name);
            }
        }
    }
    let mut kept = keep.iter();
    graph.node.retain(|_| kept.next().copied().unwrap_or(false));
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    graph.input.retain(|input| needed.contains(&input.name));
    // Declared inner shapes may contradict the batch of one.
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    graph.output = vec![port(tensor, &[])];
    // No shape at all, rather than a scalar's.
    if let Some(type_proto::Value::TensorType(declared)) =
        graph.output[0].r#type.as_mut().and_then(|t| t.value.as_mut())
    {
        declared.shape = None;
    }
}

/// Appends dequantisation where the cut is quantised; returns the name of the float tensor.
pub(super) fn dequantise(graph: &mut GraphProto, cut: &Cut) -> String {
    let Some((scale, zero)) = &cut.quantised else { return cut.tensor.clone() };
    let name = fresh(graph, "graft.dequantised");
    graph.node.push(node("DequantizeLinear", &[&cut.tensor, scale, zero], &name, Vec::new()));
    name
}

/// How a tensor at the cut becomes a row of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// It is one already.
    None,
    /// It has axes of length one.
    Flatten,
    /// It is a vector without a batch axis.
    Batch,
    /// `[1, channels, height, width]`: averaged over the picture.
    ChannelsFirst,
    /// `[1, height, width, channels]`: averaged over the picture.
    ChannelsLast,
    /// `[1, tokens, channels]`: averaged over the tokens.
    Tokens,
}

impl Pooling {
    /// In words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Flatten | Self::Batch => "flatten",
            Self::ChannelsFirst | Self::ChannelsLast => "average over the picture",
            Self::Tokens => "average over the tokens",
        }
    }

    /// What a shape needs; `None` when it is no embedding.
    pub(super) fn of(shape: &[usize], graph: &GraphProto, tensor: &str) -> Option<Self> {
        let elements: usize = shape.iter().product();
        let longest = shape.iter().copied().max()?;
        match shape {
            [] => None,
            [_] => Some(Self::Batch),
            [1, _] => Some(Self::None),
            [1, ..] if elements == longest && shape.len() <= 4 => Some(Self::Flatten),
            [1, _, _] => Some(Self::Tokens),
            [1, _, _, _] if channels_last(graph, tensor) => Some(Self::ChannelsLast),
            [1, _, _, _] => Some(Self::ChannelsFirst),
            _ => None,
        }
    }

    /// Appends it; returns the name of the pooled tensor.
    pub(super) fn append(self, graph: &mut GraphProto, tensor: &str) -> String {
        let mut last = tensor.to_owned();
        let mut push = |graph: &mut GraphProto, op: &str, attributes| {
            let name = fresh(graph, &format!("graft.{}", op.to_lowercase()));
            graph.node.push(node(op, &[&last], &name, attributes));
            last.clone_from(&name);
        };
        match self {
            Self::ChannelsLast => push(graph, "Transpose", vec![ints("perm", &[0, 3, 1, 2])]),
            Self::Tokens => push(graph, "Transpose", vec![ints("perm", &[0, 2, 1])]),
            _ => {}
        }
        match self {
            Self::None => return tensor.to_owned(),
            Self::Batch => push(graph, "Flatten", vec![int("axis", 0)]),
            Self::Flatten => push(graph, "Flatten", vec![int("axis", 1)]),
            Self::ChannelsFirst | Self::ChannelsLast | Self::Tokens => {
                push(graph, "GlobalAveragePool", Vec::new());
                push(graph, "Flatten", vec![int("axis", 1)]);
            }
        }
        last
    }
}

/// Declares the picture input with these dimensions (`None`: any batch).
pub(super) fn set_input(proto: &mut ModelProto, input: &str, dims: &[Option<usize>]) {
    let Some(graph) = proto.graph.as_mut() else { return };
    for declared in graph.input.iter_mut().filter(|declared| declared.name == input) {
        let tensor = declared.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        let element = tensor.map(|type_proto::Value::TensorType(tensor)| tensor.elem_type);
        *declared = port(input, dims);
        let fresh = declared.r#type.as_mut().and_then(|kind| kind.value.as_mut());
        if let (Some(element), Some(type_proto::Value::TensorType(tensor))) = (element, fresh) {
            tensor.elem_type = element;
        }
    }
}
