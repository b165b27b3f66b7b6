//! The room as a whole on small graphs: cutting, pooling, running, refusing.

use std::collections::HashMap;

use proptest::prelude::*;
use tract_onnx::pb::GraphProto;

use super::graphs::{card, classifier, file, graph, stem, weights};
use super::load::load;
use super::onnx::{int, ints, node, port, tensor};
use super::scan::ScanError;
use super::{Backbone, BackboneError, Card, Found};
use graft_base::frame::Rgb;

/// Tensor, how found, pooling, width.
fn cut(graph: GraphProto, features: Option<&str>) -> (String, Found, &'static str, usize) {
    let loaded = load(&file(graph, 13), &card(), features).unwrap();
    (loaded.cut.tensor, loaded.cut.found, loaded.pooling.as_str(), loaded.width)
}

fn picture(seed: u64) -> Rgb {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut picture = Rgb::black(24, 20);
    picture.bytes.iter_mut().for_each(|byte| *byte = random.u8(..));
    picture
}

#[test]
fn a_matrix_product_classifier_is_cut_at_its_input() {
    assert_eq!(cut(classifier(), None), ("f".into(), Found::MatrixProduct, "none", 8));
}

#[test]
fn matmul_bias_and_temperature_are_walked_through() {
    let (mut nodes, mut tensors) = stem();
    nodes.push(node("ReduceMean", &["r"], "p", vec![ints("axes", &[2, 3]), int("keepdims", 0)]));
    nodes.push(node("MatMul", &["p", "w2"], "m", vec![]));
    nodes.push(node("Add", &["m", "b2"], "a", vec![]));
    nodes.push(node("Div", &["a", "t"], "d", vec![]));
    nodes.push(node("Softmax", &["d"], "probabilities", vec![]));
    tensors.extend([weights("w2", &[8, 5]), weights("b2", &[5]), tensor("t", &[1], &[2.0])]);
    assert_eq!(
        cut(graph(nodes, tensors, &["probabilities"]), None),
        ("p".into(), Found::MatrixProduct, "none", 8)
    );
}

#[test]
fn reshapes_to_computed_sizes_are_walked_through() {
    // x.view(x.size(0), -1) as exporters write it.
    let (mut nodes, mut tensors) = stem();
    nodes.push(node("GlobalAveragePool", &["r"], "p", vec![]));
    nodes.push(node("Gemm", &["f", "w2"], "l", vec![]));
    let gemm = nodes.pop().unwrap();
    nodes.push(node("Shape", &["p"], "s", vec![]));
    nodes.push(node("Gather", &["s", "zero"], "n", vec![]));
    nodes.push(node("Concat", &["n", "rest"], "to", vec![int("axis", 0)]));
    nodes.push(node("Reshape", &["p", "to"], "f", vec![]));
    nodes.push(gemm);
    nodes.push(node("Shape", &["l"], "s2", vec![]));
    nodes.push(node("Reshape", &["l", "s2"], "out", vec![]));
    let whole = |name: &str, value: i64| tract_onnx::pb::TensorProto {
        name: name.into(),
        dims: vec![1],
        data_type: 7,
        int64_data: vec![value],
        ..Default::default()
    };
    tensors.extend([weights("w2", &[8, 5]), whole("zero", 0), whole("rest", -1)]);
    assert_eq!(cut(graph(nodes, tensors, &["out"]), None), ("f".into(), Found::MatrixProduct, "none", 8));
}

#[test]
fn a_two_layer_classifier_is_cut_at_its_last_layer() {
    let mut graph = classifier();
    graph.node.truncate(4);
    graph.node.push(node("Gemm", &["f", "w3"], "h", vec![]));
    graph.node.push(node("HardSwish", &["h"], "a", vec![]));
    graph.node.push(node("Gemm", &["a", "w4"], "out", vec![]));
    graph.initializer.extend([weights("w3", &[8, 12]), weights("w4", &[12, 5])]);
    let loaded = load(&file(graph, 14), &card(), None).unwrap();
    assert_eq!((&*loaded.cut.tensor, loaded.width), ("a", 12));
}

/// Stem, 1×1 convolution to `channels`, ReLU, pooling, and maybe softmax.
fn squeezed(channels: usize, softmax: bool) -> GraphProto {
    let (mut nodes, mut tensors) = stem();
    nodes.push(node("Conv", &["r", "w2"], "k", vec![]));
    nodes.push(node("Relu", &["k"], "kr", vec![]));
    nodes.push(node("GlobalAveragePool", &["kr"], "p", vec![]));
    nodes.push(node("Flatten", &["p"], "out", vec![]));
    tensors.push(weights("w2", &[channels, 8, 1, 1]));
    let mut last = "out";
    if softmax {
        nodes.push(node("Softmax", &["out"], "s", vec![]));
        last = "s";
    }
    graph(nodes, tensors, &[last])
}

#[test]
fn a_convolution_before_the_pooling_is_a_classifier_or_an_extractor() {
    assert_eq!(
        cut(squeezed(10, false), None),
        ("r".into(), Found::Convolution, "average over the picture", 8)
    );
    assert_eq!(
        cut(squeezed(64, true), None),
        ("r".into(), Found::Convolution, "average over the picture", 8)
    );
    assert_eq!(cut(squeezed(64, false), None), ("out".into(), Found::Output, "none", 64));
}

#[test]
fn a_convolution_after_the_pooling_is_a_classifier() {
    let (mut nodes, mut tensors) = stem();
    nodes.push(node("GlobalAveragePool", &["r"], "p", vec![]));
    nodes.push(node("Conv", &["p", "w2"], "out", vec![]));
    tensors.push(weights("w2", &[64, 8, 1, 1]));
    assert_eq!(cut(graph(nodes, tensors, &["out"]), None), ("p".into(), Found::Convolution, "flatten", 8));
}

#[test]
fn an_output_named_features_goes_first_and_a_named_tensor_before_it() {
    let mut graph = classifier();
    graph.node[3].output[0] = "features".into();
    graph.node[4].input[0] = "features".into();
    graph.output.push(port("features", &[]));
    assert_eq!(cut(graph.clone(), None), ("features".into(), Found::OutputName, "none", 8));
    assert_eq!(cut(graph, Some("r")), ("r".into(), Found::Named, "average over the picture", 8));
}

#[test]
fn pooling_follows_the_order_of_the_axes() {
    let mut last = classifier();
    last.node.truncate(2);
    last.node.push(node("Transpose", &["r"], "t", vec![ints("perm", &[0, 2, 3, 1])]));
    last.node.push(node("Sigmoid", &["t"], "out", vec![]));
    last.output = vec![port("out", &[])];
    let mut first = last.clone();
    first.node[2] = node("Sigmoid", &["r"], "out", vec![]);
    first.node.truncate(3);
    let run = |graph: GraphProto| {
        Backbone::from_bytes(&file(graph, 13), &card()).unwrap().embed(&picture(1), None).unwrap()
    };
    let (a, b) = (run(last), run(first));
    assert_eq!(a.len(), 8);
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
}

#[test]
fn tokens_are_averaged_with_a_warning() {
    let (mut nodes, mut tensors) = stem();
    nodes.push(node("Reshape", &["r", "to"], "flat", vec![]));
    nodes.push(node("Transpose", &["flat"], "tokens", vec![ints("perm", &[0, 2, 1])]));
    let to = tract_onnx::pb::TensorProto {
        name: "to".into(),
        dims: vec![3],
        data_type: 7,
        int64_data: vec![0, 8, -1],
        ..Default::default()
    };
    tensors.push(to);
    let loaded = load(&file(graph(nodes, tensors, &["tokens"]), 13), &card(), None).unwrap();
    assert_eq!(
        (loaded.pooling.as_str(), loaded.width, loaded.warnings.len()),
        ("average over the tokens", 8, 2)
    );
}

#[test]
fn a_wrong_name_lists_near_ones() {
    let refused = load(&file(classifier(), 13), &card(), Some("flogits")).err().unwrap();
    assert!(matches!(&refused, BackboneError::NoSuchTensor { near, .. } if near[0] == "logits"), "{refused}");
    assert!(load(&file(classifier(), 13), &card(), Some("w2")).is_err());
}

#[test]
fn refusals_reach_the_caller() {
    let refused = |bytes: &[u8], card: &Card| Backbone::from_bytes(bytes, card).err().unwrap();
    let bytes = file(classifier(), 13);
    let other = Card { sha256: "0".repeat(64), ..card() };
    assert!(matches!(refused(&bytes, &other), BackboneError::Digest { .. }));
    let other = Card { size: 32, resize: 32, ..card() };
    assert!(matches!(refused(&bytes, &other), BackboneError::Input { .. }));
    let other = Card { width: 9, ..card() };
    assert!(matches!(refused(&bytes, &other), BackboneError::Width { expected: 9, found: 8 }));
    let mut strange = classifier();
    strange.node[1].op_type = "FrobnicateV2".into();
    assert!(
        matches!(refused(&file(strange, 13), &card()), BackboneError::Unsupported { ops } if ops == ["FrobnicateV2"])
    );
    let mut ghost = classifier();
    ghost.output.push(port("ghost", &[]));
    assert!(matches!(
        refused(&file(ghost, 13), &card()),
        BackboneError::Refused(ScanError::UndeclaredOutput { .. })
    ));
    let mut wide = classifier();
    wide.input = vec![port("x", &[None, Some(3), Some(16), Some(24)])];
    assert!(matches!(refused(&file(wide, 13), &card()), BackboneError::Input { .. }));
    let mut blind = classifier();
    blind.node = vec![node("Relu", &["w2"], "out", vec![])];
    assert!(matches!(refused(&file(blind, 13), &card()), BackboneError::NotAnEmbedding { .. }));
}

#[test]
fn a_broken_graph_is_an_error_not_a_panic() {
    for change in [
        |g: &mut GraphProto| g.initializer[0].dims = vec![9, 8, 3, 1],
        |g: &mut GraphProto| g.node[0].attribute = vec![int("group", 0)],
        |g: &mut GraphProto| g.node[0].attribute = vec![ints("strides", &[0, 0])],
        |g: &mut GraphProto| g.node[3].attribute = vec![int("axis", 77)],
        |g: &mut GraphProto| g.node[2].input.clear(),
    ] {
        let mut graph = classifier();
        change(&mut graph);
        assert!(Backbone::from_bytes(&file(graph, 13), &card()).is_err());
    }
}

#[test]
fn a_fixed_batch_and_symbolic_sides_become_one_picture() {
    let mut graph = classifier();
    graph.input = vec![port("x", &[Some(4), Some(3), None, None])];
    let loaded = load(&file(graph, 13), &card(), None).unwrap();
    assert_eq!((loaded.width, loaded.warnings.len()), (8, 1));
}

#[test]
fn channels_last_input_gives_the_same_embedding() {
    let mut last = classifier();
    last.input = vec![port("y", &[None, Some(16), Some(16), Some(3)])];
    last.node.insert(0, node("Transpose", &["y"], "x", vec![ints("perm", &[0, 3, 1, 2])]));
    let mut a = Backbone::from_bytes(&file(classifier(), 13), &card()).unwrap();
    let mut b = Backbone::from_bytes(&file(last, 13), &card()).unwrap();
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(&a.embed(&picture(3), None).unwrap(), &b.embed(&picture(3), None).unwrap()));
    let pixels: Vec<f32> = (0..768).map(|index| (index as f32).sin()).collect();
    assert!(close(&a.embed_pixels(&pixels).unwrap(), &b.embed_pixels(&pixels).unwrap()));
    assert!(matches!(a.embed_pixels(&pixels[1..]), Err(BackboneError::Pixels { expected: 768, found: 767 })));
}

#[test]
fn a_long_chain_of_nodes_is_no_problem() {
    let mut graph = classifier();
    let mut last = "x".to_owned();
    for index in 0..1000 {
        let next = format!("chain{index}");
        graph.node.insert(index, node("Sigmoid", &[&last], &next, vec![]));
        last = next;
    }
    graph.node[1000].input[0] = last;
    assert_eq!(load(&file(graph, 13), &card(), None).unwrap().width, 8);
}

#[test]
fn a_backbone_can_be_sent_to_its_thread() {
    fn sent<T: Send>() {}
    sent::<Backbone>();
}

#[test]
fn impossible_pictures_are_errors() {
    let mut backbone = Backbone::from_bytes(&file(classifier(), 13), &card()).unwrap();
    for broken in [Rgb { width: 4, height: 4, bytes: vec![0; 47] }, Rgb::default()] {
        assert!(matches!(backbone.embed(&broken, None), Err(BackboneError::Picture { .. })));
    }
}

#[test]
fn the_identity_names_file_tensor_and_preprocessing() {
    let bytes = file(classifier(), 13);
    let of = |card: &Card| Backbone::from_bytes(&bytes, card).unwrap().identity().clone();
    let identity = of(&card());
    assert!(identity.digest.starts_with("sha256:") && identity.digest.len() == 71);
    assert_eq!(identity.tensor, "f");
    assert_eq!(
        of(&Card { name: "other".into(), notes: "x".into(), ..card() }).preprocess,
        identity.preprocess
    );
    let changes = [
        Card { mean: [0.5, 0.5, 0.4], ..card() },
        Card { resize: 18, ..card() },
        Card { crop: super::Crop::Stretch, ..card() },
    ];
    let digests: HashMap<_, _> = changes.iter().map(|card| (of(card).preprocess, ())).collect();
    assert!(digests.len() == 3 && !digests.contains_key(&identity.preprocess));
}

#[test]
fn inspection_counts_and_measures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, file(classifier(), 13)).unwrap();
    std::fs::write(folder.path().join("net.toml"), card().to_toml()).unwrap();
    let report = super::inspect(&path, None, None).unwrap();
    // 16·16 places × 8 channels × 27 products; what lies behind the cut does not count.
    assert_eq!((report.width, report.parameters, report.ops["Gemm"]), (8, 216, 1));
    assert_eq!(report.macs, 55_296);
    assert!(report.warnings.is_empty() && report.ms_per_frame.n >= 3 && report.ms_per_frame.min > 0.0);
    assert!(serde_json::to_string(&report).unwrap().contains("\"matrix_product\""));
    std::fs::remove_file(folder.path().join("net.toml")).unwrap();
    assert!(super::inspect(&path, None, Some("r")).unwrap().warnings[0].contains("no card"));
    assert!(super::inspect(folder.path(), None, None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_mutated_file_is_loaded_or_refused(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = file(classifier(), 13);
        for (index, value) in &edits {
            let at = index.index(bytes.len());
            bytes[at] = *value;
        }
        let _ = load(&bytes, &card(), None);
    }
}
