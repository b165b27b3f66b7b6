//! The signed examples of the documents, and `docs/reference/head-format.md`, which is about one of them.

use graft_learn::Head;
use graft_wire::backbone_manifest::BackboneFiles;
use graft_wire::digest::sha256;
use graft_wire::head_file::{Dtype, MAX_BYTES, MAX_CLASSES, MAX_WIDTH};
use graft_wire::messages::{BackboneRef, Schema1};
use graft_wire::offload::{Blob, Claim, Recipe, Train};
use graft_wire::parts::PART_BYTES;
use graft_wire::{BackboneManifest, HeadFile, HeadMeta, Key, Manifest, ManifestError};
use serde_json::json;

const TEMPLATE: &str = include_str!("head-format.in.md");
const NOTE: &str =
    "<!-- Written from the Rust types by a test; do not edit. See crates/lab/src/docs/. -->\n\n";

/// The key of the example: a seed of 32 ones, known to everybody.
pub fn example_key() -> Key {
    Key::from_seed(&mut [1; 32])
}

/// The head file of the example: two classes, width 4.
pub fn example_file() -> HeadFile {
    let interval = json!({"value": 0.953_125, "low": 0.901_042, "high": 0.989_583});
    let metrics = [("accuracy", interval), ("bursts", json!(24)), ("samples", json!(192))];
    HeadFile {
        head: Head {
            classes: 2,
            width: 4,
            weight: vec![0.5, -0.25, 1.0, 0.125, -0.5, 0.25, -1.0, -0.125],
            bias: vec![0.0625, -0.0625],
            temperature: 1.5,
            reject: None,
        },
        meta: HeadMeta {
            dtype: Dtype::F32,
            classes: vec!["ok".into(), "scratched".into()],
            backbone: BackboneRef { name: "example".into(), digest: sha256(b"example backbone") },
            tensor: "features".into(),
            preprocess: sha256(b"example preprocessing"),
            pictures: None,
            snapshot: sha256(b"example snapshot"),
            method: "ridge".into(),
            metrics: metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            parent: None,
            restored_from: None,
            device: "example-cam".into(),
            version: 7,
            created: "2026-03-01T12:00:00.000Z".into(),
        },
    }
}

/// The manifest of the example.
pub fn example_manifest() -> Result<Manifest, ManifestError> {
    let file = example_file().encode().map_err(ManifestError::File)?;
    Manifest::signed(&file, None, &example_key())
}

/// A claim of the example.
pub fn example_claim() -> Claim {
    let mut claim = Claim {
        job: "16".into(),
        host: "gpu-1".into(),
        url: "https://10.0.0.7:8443".into(),
        token: "x".repeat(43),
        until: "2026-03-01T12:05:00.000Z".into(),
        key_id: String::new(),
        sig: String::new(),
    };
    // Its fields are well-formed; an unsigned one would fail the test that reads the examples.
    let _ = claim.sign("example-cam", &example_key());
    claim
}

/// A fine-tuned backbone: for that device, or for a group where it is empty.
pub fn example_backbone(device: &str) -> BackboneManifest {
    let own = !device.is_empty();
    let mut manifest = BackboneManifest {
        schema: Schema1,
        line: "tiny".into(),
        version: 3,
        device: own.then(|| device.to_owned()),
        group: (!own).then(|| "line-3".to_owned()),
        job: own.then(|| "16".to_owned()),
        base: sha256(b"example backbone"),
        files: BackboneFiles {
            onnx: Blob::of(b"example onnx"),
            card: Blob::of(b"example card"),
            head: Blob::of(b"example head"),
            golden: Blob::of(b"example golden vectors"),
        },
        tensor: "features".into(),
        width: 64,
        classes: vec!["ok".into(), "scratched".into()],
        recipe: Recipe { train: Train::Gradual, norm: None },
        metrics: [("accuracy", 0.96875), ("baseline_accuracy", 0.843_75)]
            .map(|(k, v)| (k.to_owned(), v))
            .into(),
        created: "2026-03-01T12:20:00.000Z".into(),
        expires: "2026-03-31T12:20:00.000Z".into(),
        key_id: String::new(),
        sig: String::new(),
    };
    // As above.
    let _ = manifest.sign(&example_key());
    manifest
}

/// The whole document.
pub fn head_format_markdown() -> String {
    let (manifest, statement) = match example_manifest() {
        Ok(manifest) => {
            let pretty = serde_json::to_string_pretty(&manifest).unwrap_or_default();
            (pretty, manifest.statement())
        }
        // Shown in the document, which then differs from the one that the test holds.
        Err(error) => (error.to_string(), String::new()),
    };
    let key = example_key();
    let filled = TEMPLATE
        .replace("{{max_bytes}}", &MAX_BYTES.to_string())
        .replace("{{max_classes}}", &MAX_CLASSES.to_string())
        .replace("{{max_width}}", &MAX_WIDTH.to_string())
        .replace("{{part_bytes}}", &PART_BYTES.to_string())
        .replace("{{public_key}}", &key.public().base64())
        .replace("{{key_id}}", &key.id())
        .replace("{{manifest}}", &manifest)
        .replace("{{statement}}", &statement);
    format!("{NOTE}{filled}")
}
