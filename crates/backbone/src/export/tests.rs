use std::path::Path;
use std::process::Command;

use prost::Message;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;

use super::super::graphs::{card, classifier, file, weights};
use super::super::onnx::{ints, node, port};
use super::super::parity_tests::{card as real_card, cosine, shared};
use super::super::{Backbone, Card, Crop};
use super::*;
use graft_base::frame::Rgb;

struct Head {
    weight: Vec<f32>,
    bias: Vec<f32>,
    classes: Vec<String>,
}

impl Head {
    fn new(classes: usize, width: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let mut numbers = |count: usize| (0..count).map(|_| random.f32() - 0.5).collect();
        let classes = (0..classes).map(|class| format!("class \"{class}\" ä")).collect::<Vec<_>>();
        Self { weight: numbers(classes.len() * width), bias: numbers(classes.len()), classes }
    }

    fn parts(&self) -> HeadParts<'_> {
        HeadParts { weight: &self.weight, bias: &self.bias, temperature: 1.7, classes: &self.classes }
    }

    /// W·x + b in f64.
    fn logits(&self, embedding: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(embedding.len()).zip(&self.bias);
        let dot =
            |row: &[f32]| row.iter().zip(embedding).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
        rows.map(|(row, bias)| (dot(row) + f64::from(*bias)) as f32).collect()
    }
}

fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::MIN, f32::max);
    let exps: Vec<f32> = logits.iter().map(|logit| ((logit - top) / temperature).exp()).collect();
    exps.iter().map(|value| value / exps.iter().sum::<f32>()).collect()
}

/// Logits and probabilities by tract.
fn run(bytes: &[u8], input: &[f32], shape: &[usize]) -> [Vec<f32>; 2] {
    let plan = tract_onnx::onnx()
        .model_for_read(&mut &*bytes)
        .and_then(|model| model.with_input_fact(0, f32::fact(shape).into()))
        .and_then(|model| model.into_optimized()?.into_runnable())
        .unwrap();
    let outputs = plan.run(tvec!(Tensor::from_shape(shape, input).unwrap().into())).unwrap();
    [0, 1].map(|slot| outputs[slot].to_plain_array_view::<f32>().unwrap().iter().copied().collect())
}

fn close(a: &[f32], b: &[f32], bound: f32) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= bound, "{worst} > {bound}");
}

fn pixels(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * index) as f32 * 0.37).sin()).collect()
}

#[test]
fn the_merged_file_gives_the_logits_of_backbone_and_head() {
    let head = Head::new(4, 8);
    let plain = file(classifier(), 13);
    let mut last = classifier();
    last.input = vec![port("y", &[None, Some(16), Some(16), Some(3)])];
    last.node.insert(0, node("Transpose", &["y"], "x", vec![ints("perm", &[0, 3, 1, 2])]));
    let pooled = Card { features: Some("r".into()), ..card() };
    for (bytes, card, shape) in [
        (plain.clone(), card(), [1, 3, 16, 16]),
        (plain, pooled, [1, 3, 16, 16]),
        (file(last, 13), card(), [1, 16, 16, 3]),
        // The softmax of old operator sets.
        (file(classifier(), 9), card(), [1, 3, 16, 16]),
    ] {
        let merged = merged_onnx(&bytes, &card, None, &head.parts()).unwrap();
        let planes = pixels(768);
        let wanted =
            head.logits(&Backbone::from_bytes(&bytes, &card).unwrap().embed_pixels(&planes).unwrap());
        let mut input = planes.clone();
        if shape[3] == 3 {
            input = (0..768).map(|at| planes[256 * (at % 3) + at / 3]).collect();
        }
        let [logits, probabilities] = run(&merged, &input, &shape);
        close(&logits, &wanted, 1e-5);
        close(&probabilities, &softmax(&wanted, 1.7), 1e-5);
    }
}

#[test]
fn an_inner_tensor_that_bears_the_outputs_name_is_renamed() {
    let mut graph = classifier();
    graph.node[3].output[0] = "logits".into();
    graph.node[4] = node("Gemm", &["logits", "w2", "b2"], "old", vec![]);
    graph.node[5].input[0] = "old".into();
    let bytes = file(graph, 13);
    let head = Head::new(3, 8);
    let merged = merged_onnx(&bytes, &card(), None, &head.parts()).unwrap();
    let wanted =
        head.logits(&Backbone::from_bytes(&bytes, &card()).unwrap().embed_pixels(&pixels(768)).unwrap());
    close(&run(&merged, &pixels(768), &[1, 3, 16, 16])[0], &wanted, 1e-5);
}

#[test]
fn the_file_carries_its_classes_and_only_the_picture_as_input() {
    let head = Head::new(2, 8);
    let mut old = classifier();
    old.input.push(port("w2", &[Some(8), Some(5)]));
    old.input.push(port("w1", &[Some(8), Some(3), Some(3), Some(3)]));
    let merged = merged_onnx(&file(old, 9), &card(), None, &head.parts()).unwrap();
    let proto = ModelProto::decode(&merged[..]).unwrap();
    let entry = |key: &str| proto.metadata_props.iter().find(|entry| entry.key == key).unwrap().value.clone();
    assert_eq!(serde_json::from_str::<Vec<String>>(&entry("graft.classes")).unwrap(), head.classes);
    assert_eq!((entry("graft.temperature"), entry("graft.mean")), ("1.7".into(), "0.5,0.5,0.5".into()));
    let graph = proto.graph.unwrap();
    assert_eq!(graph.input.iter().map(|input| &*input.name).collect::<Vec<_>>(), ["x"]);
    // The old classifier is gone.
    assert!(graph.initializer.iter().all(|tensor| tensor.name != "w2" && tensor.name != "b2"));
    super::super::scan::scan(&merged, &super::super::scan::Limits::default()).unwrap();
}

#[test]
fn the_head_alone_gives_the_same_logits() {
    let head = Head::new(5, 16);
    let x = pixels(16);
    let [logits, probabilities] = run(&head_onnx(&head.parts()).unwrap(), &x, &[1, 16]);
    close(&logits, &head.logits(&x), 1e-5);
    close(&probabilities, &softmax(&logits, 1.7), 1e-6);
}

#[test]
fn heads_that_do_not_fit_are_refused() {
    let head = Head::new(3, 9);
    assert!(
        merged_onnx(&file(classifier(), 13), &card(), None, &head.parts())
            .unwrap_err()
            .to_string()
            .contains("9 numbers")
    );
    let wrong = [
        HeadParts { bias: &head.bias[1..], ..head.parts() },
        HeadParts { weight: &head.weight[1..], ..head.parts() },
        HeadParts { weight: &[], ..head.parts() },
        HeadParts { temperature: 0.0, ..head.parts() },
        HeadParts { bias: &[f32::NAN; 3], ..head.parts() },
    ];
    assert!(wrong.iter().all(|parts| head_onnx(parts).is_err()));
    let _ = weights("unused", &[1]);
}

/// The logits by onnxruntime in a child python, or `None` where there is none.
fn onnxruntime(folder: &Path, merged: &[u8], input: &[f32], shape: &[usize]) -> Option<[Vec<f32>; 2]> {
    let python = std::env::var("GRAFT_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import onnxruntime, numpy"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        graft_testing::skip("onnxruntime", &format!("{python} has no onnxruntime (set GRAFT_PYTHON)"));
        return None;
    }
    std::fs::write(folder.join("m.onnx"), merged).unwrap();
    std::fs::write(folder.join("x"), input.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
        .unwrap();
    let script = format!(
        "import onnxruntime as o, numpy as n\ns = o.InferenceSession('m.onnx')\nx = n.fromfile('x', n.float32).reshape({shape:?})\n\
         for k, y in zip('ab', s.run(['logits', 'probabilities'], {{s.get_inputs()[0].name: x}})): y.tofile(k)"
    );
    let output = Command::new(&python).args(["-c", &script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(["a", "b"].map(|name| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
    }))
}

#[test]
fn onnxruntime_gives_the_logits_that_tract_gives() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases = vec![("small", file(classifier(), 13), card(), 1e-5), ("tiny", Vec::new(), card(), 1e-3)];
    let (bytes, tiny) = super::super::tiny();
    cases[1] = ("tiny", bytes.to_vec(), tiny, 1e-3);
    if let Some(shared) = shared() {
        for (name, size, centred, bound) in [
            ("mobilenetv2_1.0_224_imagenet", 224, true, 1e-3),
            ("squeezenet1.1_224_imagenet", 224, false, 1e-3),
            // Integer kernels round differently: only the direction is compared.
            ("mobilenetv2_1.0_224_imagenet.qdq-int8", 224, true, f32::MAX),
        ] {
            let bytes = std::fs::read(shared.join(format!("models/{name}.onnx"))).unwrap();
            cases.push((name, bytes, real_card(size, centred), bound));
        }
    }
    let more = std::env::var_os("GRAFT_NETWORKS").map(|folder| std::fs::read_dir(folder).unwrap());
    for file in more.into_iter().flatten().map(|entry| entry.unwrap().path()) {
        let card = Card::for_file(&file).unwrap().0;
        cases.push(("from GRAFT_NETWORKS", std::fs::read(file).unwrap(), card, 1e-3));
    }
    for (name, bytes, card, bound) in cases {
        let mut backbone = Backbone::from_bytes(&bytes, &card).unwrap();
        let head = Head::new(6, backbone.width());
        let size = card.size as usize;
        let planes = pixels(3 * size * size);
        let merged = merged_onnx(&bytes, &card, None, &head.parts()).unwrap();
        let wanted = head.logits(&backbone.embed_pixels(&planes).unwrap());
        let Some([logits, probabilities]) = onnxruntime(folder.path(), &merged, &planes, &[1, 3, size, size])
        else {
            return;
        };
        let worst = logits.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name} {}: logits differ from onnxruntime's by at most {worst:e}", card.name);
        let largest = wanted.iter().map(|logit| logit.abs()).fold(1.0, f32::max);
        close(&logits, &wanted, bound * largest);
        assert!(cosine(&logits, &wanted) > 0.98);
        close(&probabilities, &softmax(&logits, 1.7), 1e-5);
    }
}

/// A reader of the file knows its metadata alone; a frame of 16:9 must give it what it gives the board.
#[test]
fn who_follows_the_metadata_gets_the_answers_of_the_board() {
    let head = Head::new(3, 8);
    let bytes = file(classifier(), 13);
    let mut random = fastrand::Rng::with_seed(3);
    let mut frame = Rgb::black(320, 180);
    frame.bytes.iter_mut().for_each(|byte| *byte = random.u8(..));
    for (crop, roi) in [
        (Crop::Stretch, None),
        (Crop::Stretch, Some([0.125, 0.25, 0.5, 0.5])),
        (Crop::Center, Some([0.125, 0.25, 0.5, 0.5])),
        (Crop::Center, None),
    ] {
        let own = Card { crop, resize: 20, mean: [0.4, 0.5, 0.6], ..card() };
        let mut board = Backbone::from_bytes(&bytes, &own).unwrap();
        let wanted = head.logits(&board.embed(&frame, roi).unwrap());
        let merged = merged_onnx(&bytes, &own, roi, &head.parts()).unwrap();
        let proto = ModelProto::decode(&merged[..]).unwrap();
        let entry = |key: &str| &proto.metadata_props.iter().find(|entry| entry.key == key).unwrap().value;
        let numbers = |key: &str| entry(key).split(',').map(|n| n.parse().unwrap()).collect::<Vec<f64>>();
        let three = |key: &str| {
            <[f32; 3]>::try_from(numbers(key).iter().map(|n| *n as f32).collect::<Vec<_>>()).unwrap()
        };
        let region = <[f64; 4]>::try_from(numbers("graft.region")).unwrap();
        let followed = Card {
            size: numbers("graft.size")[0] as u32,
            resize: numbers("graft.resize")[0] as u32,
            crop: Crop::parse(entry("graft.crop")).unwrap(),
            mean: three("graft.mean"),
            std: three("graft.std"),
            ..card()
        };
        let region = (followed.crop == Crop::Roi).then_some(region);
        let pixels = Backbone::from_bytes(&bytes, &followed).unwrap().pixels(&frame, region).unwrap();
        close(&run(&merged, &pixels, &[1, 3, 16, 16])[0], &wanted, 1e-5);
    }
}
