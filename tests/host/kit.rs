//! What a board would send, and an engine: a script that hands out a result that was computed here.

use graft_backbone::{self as backbone, Backbone};
use graft_base::frame::Rgb;
use graft_camera::encode_jpeg;
use graft_camera::pattern::{PatternSettings, Scene};
use graft_learn::{Snapshot, Statistics};
use graft_wire::messages::Schema1;
use graft_wire::offload::{Blob, Claim, Dataset, Sample, Split};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Samples of each class.
const EACH: u64 = 6;

pub struct Kit {
    dir: PathBuf,
    pub tensor: String,
    blobs: HashMap<String, Vec<u8>>,
    samples: Vec<Sample>,
    onnx: Vec<u8>,
    card: String,
}

/// How the engine of a test behaves.
pub struct Engine {
    /// Steps before it is done; it keeps count in the job folder, and goes on there.
    pub steps: u32,
    /// Seconds between them.
    pub pause: f32,
    /// How it ends.
    pub exit: u8,
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

impl Kit {
    /// Pictures of two classes of the built-in scene, and what training on them would give.
    pub fn new(dir: &Path) -> Self {
        let (onnx, card) = backbone::tiny();
        let mut net = Backbone::from_bytes(onnx, &card).unwrap();
        let scene = Scene::new(PatternSettings {
            width: 96,
            height: 96,
            hold_frames: 1,
            ..PatternSettings::default()
        });
        let (mut blobs, mut samples) = (HashMap::new(), Vec::new());
        let mut snapshot = Snapshot::new(net.width(), 2);
        let mut seen: Vec<(Rgb, usize)> = Vec::new();
        for frame in 0.. {
            let class = scene.truth(frame);
            if class > 1 || seen.iter().filter(|(_, c)| *c == class).count() as u64 == EACH {
                continue;
            }
            let jpeg = encode_jpeg(&net.crop_image(&scene.render(frame), None, 96), 90);
            let blob = Blob::of(&jpeg);
            samples.push(Sample {
                digest: blob.digest.clone(),
                size: blob.size,
                class: ["ok", "bad"][class].into(),
                burst: format!("b-{frame}"),
                split: if samples.len() % 3 == 2 { Split::Val } else { Split::Train },
            });
            let picture = graft_camera::decode_image(&jpeg).unwrap();
            snapshot.push(&net.embed_crop(&picture).unwrap(), class as u32, 0).unwrap();
            seen.push((picture, class));
            blobs.insert(blob.hex().to_owned(), jpeg);
            if seen.len() as u64 == 2 * EACH {
                break;
            }
        }
        let head = Statistics::of(&snapshot).unwrap().ridge(1e-2).unwrap();
        let score = |embedding: &[f32], class: usize| {
            let row = &head.weight[class * head.width..][..head.width];
            row.iter().zip(embedding).map(|(w, x)| w * x).sum::<f32>() + head.bias[class]
        };
        let (mut inputs, mut embeddings, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        let (mut right, mut judged) = (0, 0);
        for ((picture, class), sample) in seen.iter().zip(&samples) {
            let embedding = net.embed_crop(picture).unwrap();
            let said = usize::from(score(&embedding, 1) > score(&embedding, 0));
            if sample.split == Split::Val {
                judged += 1;
                right += usize::from(said == *class);
            }
            let pixels: Vec<f32> = (0..3 * card.size * card.size).map(|_| fastrand::f32() - 0.5).collect();
            let embedding = net.embed_pixels(&pixels).unwrap();
            logits.extend([score(&embedding, 0), score(&embedding, 1)]);
            inputs.extend(pixels);
            embeddings.extend(embedding);
        }
        let (k, size) = (seen.len(), card.size as usize);
        let out = dir.join("kit");
        std::fs::create_dir_all(&out).unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(out.join(name), bytes).unwrap();
        write("backbone.onnx", onnx);
        write(
            "head.safetensors",
            &tensors(&[("weight", vec![2, head.width], &head.weight), ("bias", vec![2], &head.bias)]),
        );
        write(
            "golden.safetensors",
            &tensors(&[
                ("inputs", vec![k, 3, size, size], &inputs),
                ("embeddings", vec![k, head.width], &embeddings),
                ("logits", vec![k, 2], &logits),
            ]),
        );
        let accuracy = right as f64 / judged as f64;
        let kit = Self {
            dir: dir.to_owned(),
            tensor: net.identity().tensor.clone(),
            onnx: onnx.to_vec(),
            card: card.to_toml(),
            blobs,
            samples,
        };
        kit.claim_accuracy(accuracy, accuracy / 2.0);
        let mut kit = kit;
        for bytes in [kit.onnx.clone(), kit.card.clone().into_bytes()] {
            kit.blobs.insert(Blob::of(&bytes).hex().to_owned(), bytes);
        }
        kit
    }

    /// Lets the engine say so of what it made.
    pub fn claim_accuracy(&self, accuracy: f64, baseline: f64) {
        let metrics = json!({"chosen": "gradual", "improved": true, "why": "test",
            "baseline": {"accuracy": baseline}, "result": {"accuracy": accuracy, "samples": 4, "bursts": 4}});
        std::fs::write(self.dir.join("kit-metrics.json"), metrics.to_string()).unwrap();
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.dir.join("kit").join(name)
    }

    pub fn dataset(&self, device: &str) -> Dataset {
        Dataset {
            schema: Schema1,
            device: device.into(),
            rev: 1,
            classes: vec!["ok".into(), "bad".into()],
            backbone: Blob::of(&self.onnx),
            card: Blob::of(self.card.as_bytes()),
            head: None,
            samples: self.samples.clone(),
        }
    }

    pub fn blob(&self, hex: &str) -> &[u8] {
        &self.blobs[hex]
    }

    /// An engine script.
    pub fn engine(&self, engine: &Engine) -> PathBuf {
        let path = self.dir.join(format!("engine-{}-{}", engine.steps, engine.exit));
        let Engine { steps, pause, exit } = engine;
        let script = format!(
            "job=$1\n\
             test -s \"$job/job.json\" -a -s \"$job/samples.jsonl\" -a -s \"$job/backbone.onnx\" || exit 2\n\
             test $(ls \"$job/samples\" | wc -l) -eq {pictures} || exit 2\n\
             n=$(cat \"$job/steps\" 2>/dev/null || echo 0)\n\
             while [ \"$n\" -lt {steps} ]; do\n\
               n=$((n + 1)); echo $n > \"$job/steps.new\"; mv \"$job/steps.new\" \"$job/steps\"\n\
               echo \"{{\\\"step\\\": $n, \\\"steps\\\": {steps}, \\\"epoch\\\": 0, \\\"stage\\\": \\\"gradual\\\", \\\"loss\\\": 0.5}}\"\n\
               sleep {pause}\n\
             done\n\
             mkdir -p \"$job/out\" && cp {dir}/kit/* \"$job/out/\" && cp {dir}/kit-metrics.json \"$job/metrics.json\"\n\
             echo the engine of the test ends >&2\n\
             exit {exit}\n",
            pictures = self.samples.len(),
            dir = self.dir.display(),
        );
        std::fs::write(&path, script).unwrap();
        path
    }
}

/// One request of a board: status and body.
pub async fn request(
    claim: &Claim,
    method: &'static str,
    path: &str,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> (u16, String) {
    let (status, _, body) = raw(claim, method, path, headers, body).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The same with the header `Upload-Offset` and the bare bytes.
pub async fn raw(
    claim: &Claim,
    method: &'static str,
    path: &str,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> (u16, Option<u64>, Vec<u8>) {
    let (url, bearer) = (format!("{}{path}", claim.url), format!("Bearer {}", claim.token));
    let headers = headers.to_vec();
    let call = move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(super::PATIENCE))
            .build()
            .into();
        let mut request =
            ureq::http::Request::builder().method(method).uri(url).header("Authorization", bearer);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut answer = agent.run(request.body(body).unwrap()).unwrap();
        let offset = answer.headers().get("upload-offset").map(|v| v.to_str().unwrap().parse().unwrap());
        (answer.status().as_u16(), offset, answer.body_mut().read_to_vec().unwrap())
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

/// Sends `bytes[from..to]` of a file.
pub async fn put(claim: &Claim, name: &str, from: usize, bytes: &[u8], to: usize) -> (u16, String) {
    let range = format!("bytes {from}-{}/{}", to - 1, bytes.len());
    let piece = bytes[from..to].to_vec();
    request(claim, "PUT", &format!("/v1/blobs/{name}"), &[("Content-Range", range)], piece).await
}
