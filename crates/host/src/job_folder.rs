//! The job folder: what the training engine works in. docs/reference/trainer.md describes it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::blobs::Blobs;
use crate::job::Job;
use crate::settings::Engine;
use graft_base::whole_file;
use graft_wire::offload::Dataset;

/// Writes `folder` for a job whose files are all in the store. What is there already is kept: the engine goes on
/// where it was.
///
/// # Errors
/// When a file is not in the store any more, or cannot be written.
pub(crate) async fn prepare(
    folder: &Path,
    job: &Job,
    dataset: &Dataset,
    blobs: &Blobs,
    engine: &Engine,
) -> Result<()> {
    let samples = folder.join("samples");
    fs::create_dir_all(&samples).with_context(|| format!("{} cannot be made", samples.display()))?;
    blobs.fetch(&dataset.backbone, &folder.join("backbone.onnx")).await?;
    blobs.fetch(&dataset.card, &folder.join("backbone.toml")).await?;
    if let Some(head) = &dataset.head {
        blobs.fetch(head, &folder.join("head.safetensors")).await?;
    }
    let pair = 2 + usize::from(dataset.head.is_some());
    for blob in dataset.blobs().iter().skip(pair) {
        blobs.fetch(blob, &samples.join(format!("{}.jpg", blob.hex()))).await?;
    }
    let mut lines = String::new();
    for sample in &dataset.samples {
        let line = json!({"digest": sample.digest, "class": sample.class, "burst": sample.burst, "split": sample.split});
        // Writing into a String cannot fail.
        let _ = writeln!(lines, "{line}");
    }
    whole_file::write(&folder.join("samples.jsonl"), lines.as_bytes(), 0o600)?;
    let mut budget = json!({ "seconds": engine.seconds });
    if engine.epochs > 0 {
        budget["epochs"] = engine.epochs.into();
    }
    let table = json!({
        "schema": 1,
        "id": job.name(),
        "recipe": job.offer.recipe,
        "classes": dataset.classes,
        "seed": 0,
        "budget": budget,
        "device": "auto",
        "image": {"flip": engine.flip},
    });
    // Written last: a folder that holds it is whole.
    whole_file::write(&folder.join("job.json"), &serde_json::to_vec_pretty(&table)?, 0o600)?;
    Ok(())
}
