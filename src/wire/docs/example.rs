//! `docs/head-format.md`: the head file and its manifest, with an example that can be checked.

use serde_json::json;

use crate::learn::Head;
use crate::wire::digest::sha256;
use crate::wire::head_file::{Dtype, HeadFile, HeadMeta, MAX_BYTES, MAX_CLASSES, MAX_WIDTH};
use crate::wire::keys::Key;
use crate::wire::manifest::{Manifest, ManifestError};
use crate::wire::messages::BackboneRef;
use crate::wire::parts::PART_BYTES;

const TEMPLATE: &str = include_str!("head-format.in.md");
const NOTE: &str = "<!-- Written from the Rust types by a test; do not edit. See src/wire/docs/. -->\n\n";

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
