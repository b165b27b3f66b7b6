//! Rewritten graphs against tract alone, over random networks.

use proptest::prelude::*;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};
use tract_onnx::prelude::*;

use super::super::graphs::{card, file, graph};
use super::super::load::load;
use super::super::onnx::{int, ints, node, tensor};
use super::network::{Dims, Network, Op};
use super::runner::{Runner, agree, digest};
use graft_simd::Isa;

/// Grows a network layer by layer.
struct Growing {
    nodes: Vec<NodeProto>,
    tensors: Vec<TensorProto>,
    last: String,
    channels: usize,
    size: usize,
    random: fastrand::Rng,
}

impl Growing {
    fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { nodes: Vec::new(), tensors: Vec::new(), last: "x".into(), channels: 3, size: 16, random }
    }

    fn name(&self) -> String {
        format!("n{}", self.nodes.len())
    }

    fn constant(&mut self, dims: &[usize], spread: f32) -> String {
        let name = format!("w{}", self.tensors.len());
        let values: Vec<f32> =
            (0..dims.iter().product()).map(|_| (self.random.f32() - 0.5) * spread).collect();
        self.tensors.push(tensor(&name, dims, &values));
        name
    }

    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<tract_onnx::pb::AttributeProto>) -> String {
        let name = self.name();
        self.nodes.push(node(op, inputs, &name, attributes));
        self.last = name.clone();
        name
    }

    fn conv(&mut self, outputs: usize, kernel: usize, stride: usize, groups: usize) {
        let spread = 3.5 / ((self.channels / groups * kernel * kernel) as f32).sqrt();
        let w = self.constant(&[outputs, self.channels / groups, kernel, kernel], spread);
        let b = self.constant(&[outputs], 0.5);
        let (before, after) = if stride == 1 || self.size <= kernel || self.random.bool() {
            (kernel as i64 / 2, kernel as i64 / 2)
        } else {
            // As TensorFlow pads at stride 2.
            ((kernel as i64 - 2).max(0) / 2, (kernel as i64 - 1) / 2)
        };
        let attributes = vec![
            ints("pads", &[before, before, after, after]),
            ints("strides", &[stride as i64, stride as i64]),
            int("group", groups as i64),
        ];
        let last = self.last.clone();
        self.node("Conv", &[&last, &w, &b], attributes);
        self.channels = outputs;
        self.size = (self.size + (before + after) as usize - kernel) / stride + 1;
    }

    fn activation(&mut self) {
        let last = self.last.clone();
        match self.random.u8(..7) {
            0 => drop(self.node("Relu", &[&last], vec![])),
            1 => {
                self.tensors.extend([tensor("zero", &[], &[0.0]), tensor("six", &[], &[6.0])]);
                self.node("Clip", &[&last, "zero", "six"], vec![]);
            }
            2 => drop(self.node("HardSwish", &[&last], vec![])),
            3 => {
                let gate = self.node("Sigmoid", &[&last], vec![]);
                self.node("Mul", &[&last, &gate], vec![]);
            }
            4 => {
                // The hard swish of old exporters.
                self.tensors.extend([tensor("three", &[], &[3.0]), tensor("sixth", &[], &[1.0 / 6.0])]);
                self.tensors.extend([tensor("zero", &[], &[0.0]), tensor("six", &[], &[6.0])]);
                let shifted = self.node("Add", &[&last, "three"], vec![]);
                let gate = self.node("Clip", &[&shifted, "zero", "six"], vec![]);
                let product = self.node("Mul", &[&last, &gate], vec![]);
                self.node("Mul", &[&product, "sixth"], vec![]);
            }
            5 => {
                let scale = self.constant(&[1, self.channels, 1, 1], 2.0);
                let shift = self.constant(&[1, self.channels, 1, 1], 1.0);
                let scaled = self.node("Mul", &[&last, &scale], vec![]);
                self.node("Sub", &[&scaled, &shift], vec![]);
            }
            _ => {}
        }
        self.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        self.tensors.dedup_by(|a, b| a.name == b.name);
    }

    fn block(&mut self) {
        let start = (self.last.clone(), self.channels, self.size);
        let wide = self.random.usize(1..50);
        match self.random.u8(..8) {
            0 => {
                self.conv(wide, 1, 1, 1);
                self.activation();
                let (kernel, stride) = ([3, 5, 7][self.random.usize(..3)], self.random.usize(1..3));
                self.conv(wide, kernel, stride, wide);
                self.activation();
            }
            1 => {
                let stride = self.random.usize(1..3);
                self.conv(wide, 3, stride, 1);
            }
            2 => {
                self.conv(start.1, 1, 1, 1);
                let last = self.last.clone();
                self.node("Add", &[&start.0, &last], vec![]);
                self.activation();
            }
            3 if self.size > 3 => {
                let op = if self.random.bool() { "MaxPool" } else { "AveragePool" };
                let attributes = vec![
                    ints("kernel_shape", &[3, 3]),
                    ints("strides", &[2, 2]),
                    ints("pads", &[0, 0, 1, 1]),
                ];
                let last = self.last.clone();
                self.node(op, &[&last], attributes);
                self.size = (self.size + 1 - 3) / 2 + 1;
            }
            4 => {
                // Squeeze and excitation.
                self.node("GlobalAveragePool", &[&start.0], vec![]);
                self.conv_at(5, 1);
                self.activation();
                self.conv_at(start.1, 5);
                let last = self.last.clone();
                let gate = self.node("HardSigmoid", &[&last], vec![]);
                self.node("Mul", &[&gate, &start.0], vec![]);
                (self.channels, self.size) = (start.1, start.2);
            }
            5 => {
                // Two ways, one behind the other.
                self.conv(wide.next_multiple_of(16), 1, 1, 1);
                self.activation();
                let (left, channels) = (self.last.clone(), self.channels);
                (self.last, self.channels) = (start.0, start.1);
                self.conv(7, 3, 1, 1);
                self.activation();
                let right = self.last.clone();
                self.node("Concat", &[&left, &right], vec![int("axis", 1)]);
                self.channels += channels;
            }
            6 => self.conv(wide, 1, 2, 1),
            _ => {
                // Not ours: tract goes on from here.
                self.node("Tanh", &[&start.0], vec![]);
            }
        }
        self.activation();
    }

    /// A pointwise convolution of what was pooled.
    fn conv_at(&mut self, outputs: usize, inputs: usize) {
        let size = std::mem::replace(&mut self.size, 1);
        self.channels = if inputs == 1 { self.channels } else { inputs };
        self.conv(outputs, 1, 1, 1);
        self.size = size;
    }

    fn finished(mut self) -> GraphProto {
        let last = self.last.clone();
        if self.random.bool() {
            self.node("GlobalAveragePool", &[&last], vec![]);
        }
        let last = self.last.clone();
        graph(self.nodes, self.tensors, &[&last])
    }
}

fn typed(graph: GraphProto) -> Option<TypedModel> {
    load(&file(graph, 14), &card(), None).ok().map(|loaded| loaded.typed)
}

fn picture() -> Arc<Tensor> {
    let mut random = fastrand::Rng::with_seed(5);
    let pixels: Vec<f32> = (0..3 * 16 * 16).map(|_| random.f32() * 2.0 - 1.0).collect();
    Tensor::from_shape(&[1, 3, 16, 16], &pixels).unwrap().into_arc_tensor()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_networks_agree_with_tract(seed: u64, blocks in 1usize..7) {
        let mut growing = Growing::new(seed);
        growing.conv(12, 3, 2, 1);
        growing.activation();
        for _ in 0..blocks {
            growing.block();
        }
        let Some(typed) = typed(growing.finished()) else { return Ok(()) };
        let wanted = Runner::plain(typed.clone()).unwrap().run(&picture()).unwrap().to_vec();
        for isa in Isa::available() {
            let mut ours = Runner::ours_with(&typed, isa).unwrap().expect("something of ours");
            for _ in 0..2 {
                let found = ours.run(&picture()).unwrap();
                prop_assert!(agree(&wanted, found, false), "{}: {wanted:?}\n{found:?}", isa.name());
            }
            let alone = ours.run(&picture()).unwrap().to_vec();
            for threads in [3, 1] {
                ours.share(threads).unwrap();
                prop_assert_eq!(ours.run(&picture()).unwrap(), &alone, "{} with {} threads", isa.name(), threads);
            }
        }
    }
}

#[test]
fn a_network_is_one_operator_where_all_of_it_is_known() {
    let mut growing = Growing::new(1);
    growing.conv(16, 3, 2, 1);
    growing.conv(16, 3, 1, 16);
    growing.conv(24, 1, 1, 1);
    let typed = typed(growing.finished()).unwrap();
    let ours = Runner::ours(&typed).unwrap().unwrap();
    // Input, stem with its depthwise convolution, the pointwise one, and perhaps the pooling with its factor.
    assert_eq!(ours.programs().len(), 1);
    assert!((3..=5).contains(&ours.programs()[0].steps.len()), "{:?}", ours.programs()[0].steps);
}

#[test]
fn a_graph_without_convolutions_is_left_to_tract() {
    let mut growing = Growing::new(1);
    growing.node("Relu", &["x"], vec![]);
    growing.node("GlobalAveragePool", &["n0"], vec![]);
    let typed = typed(growing.finished()).unwrap();
    assert!(Runner::ours(&typed).unwrap().is_none());
    let chosen = Runner::chosen(typed, &picture(), Some("")).unwrap();
    assert_eq!((chosen.runner.name(), chosen.complaint, chosen.proof), ("tract", None, None));
}

#[test]
fn a_run_takes_no_memory_of_a_feature_maps_size() {
    let mut growing = Growing::new(1);
    growing.conv(16, 3, 1, 1);
    let typed = typed(growing.finished()).unwrap();
    let (mut ours, picture) = (Runner::ours(&typed).unwrap().unwrap(), picture());
    let before = ours.run(&picture).unwrap().to_vec();
    let taken = allocation_counter::measure(|| assert_eq!(ours.run(&picture).unwrap(), before));
    // The feature map has 16 × 16 × 16 numbers.
    assert!(taken.bytes_total < 4096, "{taken:?}");
}

#[test]
fn what_agreed_with_tract_once_is_compared_again_only_when_it_changes() {
    let mut growing = Growing::new(1);
    growing.conv(16, 3, 2, 1);
    let typed = typed(growing.finished()).unwrap();
    let numbers = Runner::ours(&typed).unwrap().unwrap().run(&picture()).unwrap().to_vec();
    let proof = digest(&numbers);
    let again = Runner::chosen(typed.clone(), &picture(), Some(&proof)).unwrap();
    assert_eq!((again.compared, again.proof.as_deref()), (false, Some(&*proof)));
    assert_eq!(again.embedding, numbers);
    let mut moved = numbers;
    moved[0] = moved[0].next_up();
    for proof in [Some(&*digest(&moved)), None] {
        assert!(Runner::chosen(typed.clone(), &picture(), proof).unwrap().compared);
    }
}

#[test]
fn embeddings_agree_within_a_ten_thousandth_or_by_their_angle() {
    let wanted = [1.0, -0.5, 0.25];
    assert!(agree(&wanted, &[1.00009, -0.5, 0.25], false) && !agree(&wanted, &[1.0, -0.5, 0.2502], false));
    assert!(agree(&wanted, &[1.02, -0.5, 0.24], true) && !agree(&wanted, &[1.0, 0.5, 0.25], true));
    assert!(!agree(&wanted, &[1.0, -0.5], false) && !agree(&wanted, &[f32::NAN; 3], false));
}

#[test]
fn ends_are_put_where_they_belong() {
    let dims = Dims { channels: 2, height: 1, width: 1 };
    let mut network = Network::default();
    let x = network.push(Op::Input(0), vec![], dims);
    network.layers[x].uses = 2;
    let scaled = network.affine(x, vec![0.5; 2], vec![0.0; 2]);
    assert_ne!(scaled, x, "a value with two readers is not changed");
    network.layers[scaled].uses = 1;
    let clamp = |low, high| super::kernels::End::Clamp { low, high };
    assert_eq!(network.end(scaled, clamp(0.0, f32::INFINITY)), scaled);
    network.layers[scaled].uses = 1;
    assert_eq!(network.affine(scaled, vec![2.0; 2], vec![1.0; 2]), scaled);
    assert_eq!(network.layers[scaled].end, clamp(1.0, f32::INFINITY));
    network.layers[scaled].uses = 1;
    assert_ne!(
        network.affine(scaled, vec![2.0, 3.0], vec![0.0; 2]),
        scaled,
        "bounds of their own for each channel"
    );
}
