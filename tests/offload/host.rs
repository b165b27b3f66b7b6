//! A training host small enough for tests: it takes files, and gives back whatever the test made of them.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use graft_backbone::{Backbone, Card};
use graft_wire::backbone_manifest::BackboneFiles;
use graft_wire::offload::{Blob, Claim};
use graft_wire::{BackboneManifest, Key, timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

pub const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";

/// What lies on the host.
#[derive(Default)]
pub struct Shelf {
    /// By hex digest.
    pub blobs: HashMap<String, Vec<u8>>,
    /// Files that the board was asked for, by hex digest, with what has come.
    pub asked: HashMap<String, Vec<u8>>,
    /// The list of the job.
    pub list: Option<Value>,
    /// Requests in order, for looking at.
    pub requests: Vec<String>,
    /// The next so many pieces are answered with 503.
    pub faults: usize,
    /// Cut every file that is fetched short after so many bytes.
    pub cut: Option<usize>,
}

/// A host on a port of its own.
pub struct TestHost {
    pub url: String,
    pub shelf: Arc<Mutex<Shelf>>,
    pub key: Key,
}

type Shared = State<Arc<Mutex<Shelf>>>;

impl TestHost {
    pub fn start() -> Self {
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/jobs/{job}/manifest", put(list))
            .route("/v1/blobs/{hex}", get(give).head(offset).put(take))
            .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::clone(&shelf));
        // It serves until the tests end.
        std::thread::spawn(move || {
            crate::support::block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            })
        });
        Self { url, shelf, key: Key::from_seed(&mut [7; 32]) }
    }

    pub fn put(&self, bytes: &[u8]) -> Blob {
        let blob = Blob::of(bytes);
        self.shelf.lock().unwrap().blobs.insert(blob.hex().to_owned(), bytes.to_vec());
        blob
    }

    /// A signed claim of `job` on device `board`.
    pub fn claim(&self, job: &str, host: &str) -> Value {
        let mut claim = Claim {
            job: job.into(),
            host: host.into(),
            url: self.url.clone(),
            token: TOKEN.into(),
            until: timestamp::rfc3339(now_ms() + 60_000),
            key_id: String::new(),
            sig: String::new(),
        };
        claim.sign("board", &self.key).unwrap();
        let mut body = serde_json::to_value(&claim).unwrap();
        body["action"] = "claim".into();
        body
    }
}

pub fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn allowed(headers: &HeaderMap) -> bool {
    headers.get("authorization").is_some_and(|value| value == format!("Bearer {TOKEN}").as_str())
}

async fn list(State(shelf): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if !allowed(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let dataset = graft_wire::offload::Dataset::from_json(&body).unwrap();
    let mut shelf = shelf.lock().unwrap();
    shelf.requests.push("list".into());
    shelf.list = serde_json::from_slice(&body).ok();
    let mut missing = Vec::new();
    for blob in dataset.blobs() {
        let have = shelf.asked.entry(blob.hex().to_owned()).or_default().len();
        if (have as u64) < blob.size {
            missing.push(blob.hex().to_owned());
        }
    }
    axum::Json(json!({ "missing": missing })).into_response()
}

async fn offset(State(shelf): Shared, Path(hex): Path<String>) -> Response {
    let shelf = shelf.lock().unwrap();
    match shelf.asked.get(&hex) {
        Some(have) => [("Upload-Offset", have.len().to_string())].into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn take(State(shelf): Shared, Path(hex): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let mut shelf = shelf.lock().unwrap();
    if shelf.faults > 0 {
        shelf.faults -= 1;
        shelf.requests.push("fault".into());
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let range = headers["content-range"].to_str().unwrap().to_owned();
    let (from, rest) = range.strip_prefix("bytes ").unwrap().split_once('-').unwrap();
    let size: usize = rest.split_once('/').unwrap().1.parse().unwrap();
    shelf.requests.push(range.clone());
    let Some(have) = shelf.asked.get_mut(&hex) else { return StatusCode::NOT_FOUND.into_response() };
    if from.parse::<usize>().unwrap() != have.len() {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    have.extend_from_slice(&body);
    if have.len() < size {
        return StatusCode::ACCEPTED.into_response();
    }
    assert_eq!(Blob::of(have).hex(), hex);
    StatusCode::CREATED.into_response()
}

async fn give(State(shelf): Shared, Path(hex): Path<String>, headers: HeaderMap) -> Response {
    if !allowed(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut shelf = shelf.lock().unwrap();
    shelf.requests.push(format!("give {hex:.8} {:?}", headers.get("range")));
    let Some(bytes) = shelf.blobs.get(&hex).cloned() else { return StatusCode::NOT_FOUND.into_response() };
    let from = headers.get("range").map_or(0, |range| {
        range.to_str().unwrap().trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().unwrap()
    });
    let end = shelf.cut.map_or(bytes.len(), |cut| bytes.len().min(from + cut));
    let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
    let length = (bytes.len() - from).to_string();
    let status = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let part = Part(Some(bytes[from..end].to_vec().into()), if end < bytes.len() { 3 } else { 0 });
    (status, [("Content-Range", range), ("Content-Length", length)], axum::body::Body::new(part))
        .into_response()
}

/// A body that may break off, a few turns after its bytes so that they are on their way.
struct Part(Option<Bytes>, usize);

impl hyper::body::Body for Part {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(match (self.0.take(), self.1) {
            (Some(bytes), _) => Some(Ok(hyper::body::Frame::data(bytes))),
            (None, 0) => None,
            (None, 1) => Some(Err(std::io::Error::other("cut"))),
            (None, turns) => {
                self.1 = turns - 1;
                context.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
        })
    }
}

/// The built-in backbone with another digest: a note at its end that nothing reads.
pub fn noted(note: &str) -> Vec<u8> {
    let mut bytes = graft_backbone::tiny().0.to_vec();
    // Field 6 of the model, its doc string, as protobuf writes it.
    bytes.extend([0x32, u8::try_from(note.len()).unwrap()]);
    bytes.extend(note.as_bytes());
    bytes
}

/// A safetensors file.
pub fn tensors(list: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        list.iter().map(|(.., v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = list.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (*name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

/// The parts of a result before they are signed.
pub struct Made {
    pub onnx: Vec<u8>,
    pub card: Card,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub inputs: Vec<f32>,
    pub embeddings: Vec<f32>,
    pub logits: Vec<f32>,
    pub width: usize,
    pub tensor: String,
}

/// What an honest host makes of an ONNX file.
pub fn made(onnx: Vec<u8>) -> Made {
    let (_, card) = graft_backbone::tiny();
    let card = Card { sha256: String::new(), ..card };
    let mut backbone = Backbone::from_bytes(&onnx, &card).unwrap();
    let (width, pixels) = (backbone.width(), 3 * (card.size * card.size) as usize);
    let classes = graft_camera::pattern::CLASSES.len();
    let wave = |n: usize, by: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * by).sin()).collect() };
    let (weight, bias) = (wave(classes * width, 0.7), wave(classes, 1.3));
    let inputs = wave(8 * pixels, 0.37);
    let embeddings: Vec<f32> =
        inputs.chunks(pixels).flat_map(|pixels| backbone.embed_pixels(pixels).unwrap()).collect();
    let logits = embeddings
        .chunks(width)
        .flat_map(|x| {
            weight
                .chunks(width)
                .zip(&bias)
                .map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + b)
                .collect::<Vec<_>>()
        })
        .collect();
    let tensor = backbone.identity().tensor.clone();
    Made { onnx, card, weight, bias, inputs, embeddings, logits, width, tensor }
}

impl Made {
    /// Puts the files on the host and signs their manifest, for a job of device `board`, or for group `line-3`.
    pub fn offered_by(
        &self,
        host: &TestHost,
        version: u64,
        job: Option<&str>,
        base: &str,
    ) -> BackboneManifest {
        let (classes, width) = (self.bias.len(), self.width);
        let count = self.embeddings.len() / width;
        let side = (self.inputs.len() / count / 3).isqrt();
        let mut manifest = BackboneManifest {
            schema: graft_wire::messages::Schema1,
            line: "tiny".into(),
            version,
            device: job.map(|_| "board".into()),
            group: job.is_none().then(|| "line-3".into()),
            job: job.map(str::to_owned),
            base: base.into(),
            files: BackboneFiles {
                onnx: host.put(&self.onnx),
                card: host.put(self.card.to_toml().as_bytes()),
                head: host.put(&tensors(&[
                    ("weight", &[classes, width], self.weight.clone()),
                    ("bias", &[classes], self.bias.clone()),
                ])),
                golden: host.put(&tensors(&[
                    ("inputs", &[count, 3, side, side], self.inputs.clone()),
                    ("embeddings", &[count, width], self.embeddings.clone()),
                    ("logits", &[count, classes], self.logits.clone()),
                ])),
            },
            tensor: self.tensor.clone(),
            width: width as u64,
            classes: graft_camera::pattern::CLASSES.map(str::to_owned).to_vec(),
            recipe: "gradual".parse().unwrap(),
            metrics: BTreeMap::from([("accuracy".to_owned(), 0.97)]),
            created: timestamp::rfc3339(now_ms()),
            expires: timestamp::rfc3339(now_ms() + 3_600_000),
            key_id: String::new(),
            sig: String::new(),
        };
        manifest.sign(&host.key).unwrap();
        manifest
    }
}
