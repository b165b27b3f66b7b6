use proptest::prelude::*;
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, StringStringEntryProto, TensorProto};

use super::super::graphs::{classifier, file, graph, stem, weights};
use super::super::onnx::{int, ints, node, port, tensor};
use super::*;

fn check(bytes: &[u8]) -> Result<Scan, ScanError> {
    scan(bytes, &Limits::default())
}

/// Scans a classifier that was changed in one way.
fn changed(change: impl FnOnce(&mut tract_onnx::pb::GraphProto)) -> Result<Scan, ScanError> {
    let mut graph = classifier();
    change(&mut graph);
    check(&file(graph, 13))
}

fn shape(name: &str, dims: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![dims.len() as i64],
        data_type: DataType::Int64.into(),
        int64_data: dims.to_vec(),
        ..Default::default()
    }
}

#[test]
fn a_classifier_passes_and_is_described() {
    let scan = check(&file(classifier(), 13)).unwrap();
    assert_eq!(
        (scan.opset, scan.parameters, scan.ops["Conv"], scan.outputs[0].name.as_str()),
        (13, 216 + 40 + 5, 1, "out")
    );
    let input = scan.image_input().unwrap();
    assert_eq!(input.shape.as_deref().unwrap()[..2], [Dim::Named("batch".into()), Dim::Fixed(3)]);
}

#[test]
fn initializers_listed_as_inputs_are_no_inputs() {
    let scan = changed(|graph| graph.input.push(port("w2", &[Some(8), Some(5)]))).unwrap();
    assert_eq!(scan.inputs.len(), 1);
}

#[test]
fn what_is_no_onnx_file_is_refused() {
    assert!(matches!(check(b""), Err(ScanError::NotOnnx { .. })));
    assert!(matches!(check(b"<!DOCTYPE html><html>"), Err(ScanError::NotOnnx { .. } | ScanError::Truncated)));
    let whole = file(classifier(), 13);
    assert_eq!(check(&whole[..whole.len() / 2]), Err(ScanError::Truncated));
    let small = Limits { file_bytes: 10, ..Limits::default() };
    assert!(matches!(scan(&whole, &small), Err(ScanError::TooLarge { .. })));
}

#[test]
fn operator_sets_outside_the_range_are_refused() {
    for opset in [6, 22] {
        assert!(
            matches!(check(&file(classifier(), opset)), Err(ScanError::Opset { found, .. }) if found == opset)
        );
    }
    let mut proto = ModelProto::decode(&file(classifier(), 13)[..]).unwrap();
    proto.opset_import.clear();
    assert_eq!(check(&proto.encode_to_vec()), Err(ScanError::NoOpset));
}

#[test]
fn broken_wiring_is_refused() {
    assert!(
        matches!(changed(|g| g.output.push(port("ghost", &[]))), Err(ScanError::UndeclaredOutput { output }) if output == "ghost")
    );
    assert!(
        matches!(changed(|g| g.node[2].input[0] = "ghost".into()), Err(ScanError::UndefinedTensor { tensor, .. }) if tensor == "ghost")
    );
    assert!(matches!(changed(|g| g.node[3].output[0] = "p".into()), Err(ScanError::DuplicateTensor { .. })));
    assert!(matches!(changed(|g| g.node[1].input.push("f".into())), Err(ScanError::Cycle { .. })));
}

#[test]
fn bad_weights_are_refused() {
    let nan = |values: &[f32]| tensor("b2", &[5], values);
    for bad in [f32::NAN, f32::INFINITY] {
        let refused = changed(|g| g.initializer[2] = nan(&[0.0, bad, 0.0, 0.0, 0.0]));
        assert_eq!(refused, Err(ScanError::NonFinite { tensor: "b2".into() }));
    }
    let typed = TensorProto {
        name: "b2".into(),
        dims: vec![5],
        data_type: 1,
        float_data: vec![f32::NAN; 5],
        ..Default::default()
    };
    assert!(matches!(changed(|g| g.initializer[2] = typed), Err(ScanError::NonFinite { .. })));
    let half = TensorProto {
        name: "b2".into(),
        dims: vec![2],
        data_type: 10,
        int32_data: vec![0x7e00, 0],
        ..Default::default()
    };
    assert!(matches!(changed(|g| g.initializer[2] = half), Err(ScanError::NonFinite { .. })));
    // One infinite number is a bound.
    assert!(changed(|g| g.initializer.push(tensor("bound", &[1], &[f32::INFINITY]))).is_ok());
    assert!(matches!(
        changed(|g| g.initializer.push(tensor("bound", &[1], &[f32::NAN]))),
        Err(ScanError::NonFinite { .. })
    ));
}

#[test]
fn tensors_that_do_not_match_their_shape_are_refused() {
    for dims in [&[8i64, 6][..], &[-1, 5], &[i64::MAX, i64::MAX], &[1 << 40]] {
        assert!(
            matches!(changed(|g| g.initializer[1].dims = dims.to_vec()), Err(ScanError::TensorLength { .. })),
            "{dims:?}"
        );
    }
    assert!(matches!(changed(|g| g.initializer[1].data_type = 16), Err(ScanError::ElementType { .. })));
    assert!(matches!(changed(|g| g.initializer[1].raw_data.push(0)), Err(ScanError::TensorLength { .. })));
}

#[test]
fn external_data_is_refused() {
    let location = StringStringEntryProto { key: "location".into(), value: "/etc/passwd".into() };
    let refused = changed(|g| {
        g.initializer[1].raw_data.clear();
        g.initializer[1].external_data = vec![location];
        g.initializer[1].data_location = Some(1);
    });
    assert_eq!(refused, Err(ScanError::ExternalWeights { tensor: "w2".into() }));
}

#[test]
fn constants_that_would_become_gigabytes_are_refused() {
    let mut cases = vec![
        ("ConstantOfShape", vec!["s"], vec![shape("s", &[1 << 20, 1 << 20])]),
        ("Expand", vec!["w1", "s"], vec![shape("s", &[1 << 20, 1 << 10])]),
        ("Tile", vec!["w1", "s"], vec![shape("s", &[1 << 10, 1 << 10, 1, 1])]),
        ("Range", vec!["a", "b", "e"], vec![shape("a", &[0]), shape("b", &[1 << 40]), shape("e", &[1])]),
        ("Range", vec!["a", "b", "e"], vec![shape("a", &[0]), shape("b", &[0]), shape("e", &[0])]),
        ("Resize", vec!["x", "", "", "s"], vec![shape("s", &[1, 3, 1 << 20, 1 << 20])]),
        ("Pad", vec!["x", "s"], vec![shape("s", &[0, 0, 0, 0, 0, 0, 0, 1 << 40])]),
    ];
    cases.push(("Add", vec!["col", "row"], vec![weights("col", &[20_000, 1]), weights("row", &[1, 20_000])]));
    for (op, inputs, mut tensors) in cases {
        let (mut nodes, mut all) = stem();
        nodes.push(node(op, &inputs, "big", vec![]));
        all.append(&mut tensors);
        let refused = check(&file(graph(nodes, all, &["r"]), 13));
        assert!(matches!(refused, Err(ScanError::OversizeConstant { .. })), "{op}: {refused:?}");
    }
}

#[test]
fn sizes_are_followed_through_computed_shapes() {
    let (mut nodes, mut tensors) = stem();
    tensors.extend([shape("a", &[1 << 10]), shape("b", &[1 << 10])]);
    nodes.push(node("Mul", &["a", "b"], "ab", vec![]));
    nodes.push(node("Concat", &["ab", "ab"], "s", vec![int("axis", 0)]));
    nodes.push(node("ConstantOfShape", &["s"], "big", vec![]));
    assert!(matches!(
        check(&file(graph(nodes, tensors, &["r"]), 13)),
        Err(ScanError::OversizeConstant { .. })
    ));
}

#[test]
fn monstrous_padding_is_refused() {
    let refused = changed(|g| g.node[0].attribute = vec![ints("pads", &[1 << 40; 4])]);
    assert!(matches!(refused, Err(ScanError::OversizeConstant { .. })));
}

#[test]
fn nested_graphs_are_bounded_and_see_outer_names() {
    let nested = |depth: usize| {
        let mut inner = graph(vec![node("Identity", &["w1"], "i", vec![])], vec![], &["i"]);
        inner.input.clear();
        for level in 0..depth {
            let mut attribute = int("then_branch", 0);
            attribute.g = Some(inner);
            let name = format!("o{level}");
            inner = graph(vec![node("If", &["w1"], &name, vec![attribute])], vec![], &[&name]);
            inner.input.clear();
        }
        let (mut nodes, tensors) = stem();
        nodes.append(&mut inner.node);
        check(&file(graph(nodes, tensors, &["r"]), 13))
    };
    assert!(nested(3).is_ok());
    assert_eq!(nested(6), Err(ScanError::TooDeep { limit: 4 }));
}

#[test]
fn only_one_square_colour_picture_is_an_image_input() {
    let with = |ports: Vec<tract_onnx::pb::ValueInfoProto>| {
        let scan = changed(|g| g.input = ports).unwrap();
        scan.image_input().cloned()
    };
    let one = |dims: &[Option<usize>]| with(vec![port("x", dims)]);
    assert!(one(&[None, Some(3), None, None]).is_ok());
    assert!(one(&[Some(1), Some(224), Some(224), Some(3)]).is_ok());
    assert!(matches!(one(&[None, Some(128)]), Err(ScanError::NotAnImage { .. })));
    assert!(matches!(one(&[None, Some(1), Some(28), Some(28)]), Err(ScanError::NotAnImage { .. })));
    let two = with(vec![port("x", &[None, Some(3), None, None]), port("mask", &[None])]);
    assert!(matches!(two, Err(ScanError::ManyInputs { count: 2, .. })));
    let mut bytes = port("x", &[None, Some(3), None, None]);
    let kind = bytes.r#type.as_mut().unwrap().value.as_mut().unwrap();
    let tract_onnx::pb::type_proto::Value::TensorType(kind) = kind;
    kind.elem_type = 2;
    assert!(
        matches!(with(vec![bytes]), Err(ScanError::NotAnImage { found, .. }) if found.starts_with("uint8"))
    );
}

#[test]
fn messages_say_what_to_do() {
    let refused = changed(|g| g.output.push(port("ghost", &[]))).unwrap_err().to_string();
    assert!(refused.contains("ghost") && refused.contains("export"), "{refused}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = check(&bytes);
    }

    #[test]
    fn a_mutated_file_never_panics(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>()) {
        let mut bytes = file(classifier(), 13);
        for (index, value) in &edits {
            let at = index.index(bytes.len());
            bytes[at] = *value;
        }
        let _ = check(&bytes);
        let _ = check(&bytes[..cut.index(bytes.len())]);
    }
}
