use super::*;
use graft_base::frame::Rgb;
use graft_learn::{Snapshot, Statistics};
use graft_wire::offload::Sample;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// A job folder as the engine leaves it: the tiny backbone as it was, with a ridge head on it.
struct Folder {
    dir: TempDir,
    dataset: Dataset,
    /// Share of the held-out samples that the head gets right.
    accuracy: f64,
}

/// A picture of stripes that lie or stand.
fn stripes(lying: bool, period: u32) -> Rgb {
    let mut picture = Rgb::black(48, 48);
    for (at, pixel) in (0u32..).zip(picture.bytes.chunks_exact_mut(3)) {
        let across = if lying { at / 48 } else { at % 48 };
        pixel.fill(if (across / period).is_multiple_of(2) { 40 } else { 220 });
    }
    picture
}

fn tensors(data: &[(&str, Vec<usize>, &[f32])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        data.iter().map(|(.., values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = data
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

impl Folder {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for folder in ["samples", "out"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let (onnx, card) = backbone::tiny();
        let mut net = Backbone::from_bytes(onnx, &card).unwrap();
        let classes = ["lying", "standing"];
        let (mut samples, mut snapshot) = (Vec::new(), Snapshot::new(net.width(), 2));
        let mut embeddings = Vec::new();
        for (period, class) in (3..9).flat_map(|period| [(period, 0), (period, 1)]) {
            let jpeg = graft_camera::encode_jpeg(&stripes(class == 0, period), 90);
            let blob = Blob::of(&jpeg);
            fs::write(dir.path().join("samples").join(format!("{}.jpg", blob.hex())), &jpeg).unwrap();
            let embedding = net.embed_crop(&decode_image(&jpeg).unwrap()).unwrap();
            let split = if period % 3 == 2 { Split::Val } else { Split::Train };
            if split == Split::Train {
                snapshot.push(&embedding, class, 0).unwrap();
            }
            embeddings.push((embedding, class as usize, split));
            samples.push(Sample {
                digest: blob.digest.clone(),
                size: blob.size,
                class: classes[class as usize].into(),
                burst: format!("b-{period}-{class}"),
                split,
            });
        }
        let ridge = Statistics::of(&snapshot).unwrap().ridge(1e-2).unwrap();
        let head = TunedHead { weight: ridge.weight, bias: ridge.bias };
        let held_out: Vec<_> = embeddings.iter().filter(|(.., split)| *split == Split::Val).collect();
        let right = held_out.iter().filter(|(embedding, class, _)| {
            let scores = scores(&head, embedding);
            (scores[1] > scores[0]) == (*class == 1)
        });
        let accuracy = right.count() as f64 / held_out.len() as f64;
        let dataset = Dataset {
            schema: Schema1,
            device: "cam-1".into(),
            rev: 1,
            classes: classes.map(String::from).to_vec(),
            backbone: Blob::of(onnx),
            card: Blob::of(card.to_toml().as_bytes()),
            head: None,
            samples,
        };
        let folder = Self { dir, dataset, accuracy };
        let (width, size) = (net.width(), card.size as usize);
        let inputs: Vec<f32> = (0..8 * 3 * size * size).map(|i| (i % 13) as f32 / 13.0 - 0.5).collect();
        let mut golden = Vec::new();
        for pixels in inputs.chunks(3 * size * size) {
            golden.extend(net.embed_pixels(pixels).unwrap());
        }
        let logits: Vec<f32> = golden.chunks(width).flat_map(|row| scores(&head, row)).collect();
        folder.write("backbone.onnx", onnx);
        folder.write("backbone.toml", card.to_toml().as_bytes());
        folder.write("out/backbone.onnx", onnx);
        folder.write(
            "out/head.safetensors",
            &tensors(&[("weight", vec![2, width], &head.weight), ("bias", vec![2], &head.bias)]),
        );
        folder.write(
            "out/golden.safetensors",
            &tensors(&[
                ("inputs", vec![8, 3, size, size], &inputs),
                ("embeddings", vec![8, width], &golden),
                ("logits", vec![8, 2], &logits),
            ]),
        );
        folder.says(&folder.metrics());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn metrics(&self) -> Value {
        json!({"chosen": "gradual", "improved": true, "baseline": {"accuracy": self.accuracy / 2.0},
            "result": {"accuracy": self.accuracy, "samples": 4, "bursts": 4}})
    }

    fn says(&self, metrics: &Value) {
        self.write("metrics.json", metrics.to_string().as_bytes());
    }

    fn verify(&self) -> Result<BackboneManifest> {
        verify(self.dir.path(), &self.dataset, "cam-1", "16", "tiny")
    }

    /// Why the result is refused.
    fn refusal(&self) -> String {
        format!("{:#}", self.verify().unwrap_err())
    }

    /// Adds to the number at the end of a tensor file.
    fn disturb(&self, name: &str, by: f32) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        let at = bytes.len() - 4;
        let last = f32::from_le_bytes(bytes[at..].try_into().unwrap());
        bytes[at..].copy_from_slice(&(last + by).to_le_bytes());
        self.write(name, &bytes);
    }
}

#[test]
fn a_right_result_becomes_a_manifest() {
    let folder = Folder::new();
    let manifest = folder.verify().unwrap();
    assert_eq!((manifest.line.as_str(), manifest.device.as_deref()), ("tiny", Some("cam-1")));
    assert_eq!((manifest.job.as_deref(), manifest.recipe), (Some("16"), "gradual".parse().unwrap()));
    let rounded = |value: f64| (value * 1e6).round() / 1e6;
    assert_eq!(manifest.metrics["accuracy"], rounded(folder.accuracy));
    assert_eq!(manifest.metrics["baseline_accuracy"], rounded(folder.accuracy / 2.0));
    assert_eq!(manifest.metrics["val_bursts"], 4.0);
    for (name, blob) in [
        ("out/backbone.onnx", &manifest.files.onnx),
        ("out/backbone.toml", &manifest.files.card),
        ("out/head.safetensors", &manifest.files.head),
        ("out/golden.safetensors", &manifest.files.golden),
    ] {
        assert_eq!(Blob::of(&fs::read(folder.path(name)).unwrap()), *blob, "{name}");
    }
}

#[test]
fn missing_and_unreadable_files_are_named() {
    for name in ["out/backbone.onnx", "out/head.safetensors", "out/golden.safetensors", "metrics.json"] {
        let folder = Folder::new();
        fs::remove_file(folder.path(name)).unwrap();
        let why = folder.refusal();
        assert!(why.contains("the engine left no") && why.contains(name), "{why}");
    }
    let folder = Folder::new();
    folder.write("metrics.json", b"{\"chosen\": 3}");
    assert!(folder.refusal().contains("metrics.json of the engine cannot be used"));
    let onnx = fs::read(folder.path("out/backbone.onnx")).unwrap();
    folder.says(&folder.metrics());
    folder.write("out/backbone.onnx", &onnx[..onnx.len() / 2]);
    folder.refusal();
}

#[test]
fn figures_that_do_not_hold_are_refused() {
    let folder = Folder::new();
    let refusal = |change: fn(&mut Value, f64)| {
        let mut metrics = folder.metrics();
        change(&mut metrics, folder.accuracy);
        folder.says(&metrics);
        folder.refusal()
    };
    let why = refusal(|metrics, _| metrics["improved"] = false.into());
    assert!(why.contains("nothing better than the head alone"), "{why}");
    let why = refusal(|metrics, _| metrics["chosen"] = "magic".into());
    assert!(why.contains("magic"), "{why}");
    let why = refusal(|metrics, accuracy| metrics["result"]["accuracy"] = (accuracy - 0.04).into());
    assert!(why.contains("tract finds"), "{why}");
    let why = refusal(|metrics, accuracy| metrics["baseline"]["accuracy"] = (accuracy + 0.01).into());
    assert!(why.contains("with the head alone"), "{why}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let folder = Folder::new();
    folder.disturb("out/head.safetensors", 1.0);
    let why = folder.refusal();
    assert!(why.contains("head and golden vectors do not belong together"), "{why}");
    let folder = Folder::new();
    folder.disturb("out/head.safetensors", f32::NAN);
    folder.refusal();
    let folder = Folder::new();
    fs::copy(folder.path("out/head.safetensors"), folder.path("out/golden.safetensors")).unwrap();
    folder.refusal();
    // Another number of classes than the list of files has.
    let mut folder = Folder::new();
    folder.dataset.classes.push("third".into());
    folder.refusal();
}

#[test]
fn without_held_out_samples_the_figures_of_the_engine_are_taken() {
    let mut folder = Folder::new();
    let mut metrics = folder.metrics();
    metrics["result"]["accuracy"] = 0.123.into();
    metrics["baseline"]["accuracy"] = 0.1.into();
    folder.says(&metrics);
    folder.refusal();
    for sample in &mut folder.dataset.samples {
        sample.split = Split::Val;
    }
    // Nothing was trained on, so that nothing can be judged.
    assert_eq!(folder.verify().unwrap().metrics["accuracy"], 0.123);
}
