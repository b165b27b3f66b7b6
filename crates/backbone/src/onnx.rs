//! Small constructors and look-ups for ONNX protobuf messages.

use tract_onnx::pb::{
    self, AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType, tensor_shape_proto::dimension, type_proto,
};

/// A node of the standard operator set.
pub(super) fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        name: output.into(),
        op_type: op.into(),
        attribute,
        ..NodeProto::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: value,
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.to_vec(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}

/// A float32 tensor.
pub(super) fn tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: DataType::Float.into(),
        raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

/// A declared float32 input or output; a dimension without a number gets the name `batch`.
pub(super) fn port(name: &str, dims: &[Option<usize>]) -> ValueInfoProto {
    let dim = |dim: &Option<usize>| pb::tensor_shape_proto::Dimension {
        value: Some(match dim {
            Some(dim) => dimension::Value::DimValue(*dim as i64),
            None => dimension::Value::DimParam("batch".into()),
        }),
        ..Default::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float.into(),
        shape: Some(pb::TensorShapeProto { dim: dims.iter().map(dim).collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(pb::TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// An attribute by its name.
pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// Every tensor that a node reads, graphs inside it included.
pub(super) fn reads(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> =
        node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    for attribute in &node.attribute {
        for graph in attribute.g.iter().chain(&attribute.graphs) {
            names.extend(graph.node.iter().flat_map(reads));
            names.extend(graph.output.iter().map(|output| output.name.as_str()));
        }
    }
    names
}

/// A name that no tensor or node of the graph bears yet.
pub(super) fn fresh(graph: &GraphProto, wanted: &str) -> String {
    let taken = |name: &str| {
        graph.initializer.iter().any(|tensor| tensor.name == name)
            || graph.input.iter().any(|input| input.name == name)
            || graph
                .node
                .iter()
                .any(|node| node.name == name || node.output.iter().any(|output| output == name))
    };
    let mut name = wanted.to_owned();
    let mut count = 1;
    while taken(&name) {
        count += 1;
        name = format!("{wanted}_{count}");
    }
    name
}

/// Gives a tensor another name wherever the graph and the graphs inside it speak of it.
pub(super) fn rename(graph: &mut GraphProto, from: &str, to: &str) {
    let swap = |name: &mut String| {
        if name == from {
            *name = to.into();
        }
    };
    graph.initializer.iter_mut().for_each(|tensor| swap(&mut tensor.name));
    graph.input.iter_mut().chain(&mut graph.output).for_each(|declared| swap(&mut declared.name));
    for node in &mut graph.node {
        swap(&mut node.name);
        node.input.iter_mut().chain(&mut node.output).for_each(swap);
        for attribute in &mut node.attribute {
            attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(|inner| rename(inner, from, to));
        }
    }
}
