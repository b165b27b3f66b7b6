//! Looks at what the training engine made, with the board's own engine, before anything is signed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use graft_backbone::{self as backbone, Backbone, Card, admission, same_interface};
use graft_camera::decode_image;
use graft_wire::backbone_manifest::{BackboneFiles, BackboneManifest, Golden, TunedHead};
use graft_wire::messages::Schema1;
use graft_wire::offload::{Blob, Dataset, Recipe, Split};

/// The share of held-out samples that are right may differ from what the engine says by so much: pictures are decoded
/// and shrunk by other code there.
const ACCURACY_SLACK: f64 = 0.03;

/// The part of the engine's `metrics.json` that is needed here.
#[derive(Deserialize)]
struct Metrics {
    chosen: String,
    improved: bool,
    baseline: Figures,
    result: Figures,
}

#[derive(Deserialize)]
struct Figures {
    accuracy: f64,
    #[serde(default)]
    samples: u64,
    #[serde(default)]
    bursts: u64,
}

/// Looks at `out/` of a job folder; gives the manifest, to which version, times and signature are still to be set, and
/// which is for `device` and `job`. The new card is written beside the new network.
///
/// # Errors
/// The first thing that is wrong with the result.
pub(crate) fn verify(
    folder: &Path,
    dataset: &Dataset,
    device: &str,
    job: &str,
    line: &str,
) -> Result<BackboneManifest> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).with_context(|| format!("the engine left no {} that can be read", path.display()))
    };
    let old = read("backbone.onnx")?;
    let (onnx, head, golden) =
        (read("out/backbone.onnx")?, read("out/head.safetensors")?, read("out/golden.safetensors")?);
    let metrics: Metrics = serde_json::from_slice(&read("metrics.json")?)
        .context("metrics.json of the engine cannot be used")?;
    ensure!(metrics.improved, "the engine found nothing better than the head alone");
    let recipe: Recipe = metrics.chosen.parse().map_err(anyhow::Error::msg)?;
    same_interface(&old, &onnx)?;

    let old_card = Card::read(&folder.join("backbone.toml"))?;
    let before =
        Backbone::from_bytes(&old, &old_card).context("the backbone of the board cannot be loaded")?;
    let (tensor, width) = (before.identity().tensor.clone(), before.width());
    drop(before);
    let card = Card {
        sha256: Blob::of(&onnx).hex().to_owned(),
        features: Some(tensor.clone()),
        bytes: onnx.len() as u64,
        urls: Vec::new(),
        ..old_card
    };
    let mut backbone = Backbone::from_bytes(&onnx, &card).context("tract refuses the new backbone")?;
    ensure!(
        backbone.width() == width,
        "the new backbone gives {} numbers, the old one {width}",
        backbone.width()
    );
    let card_text = card.to_toml();
    graft_base::whole_file::write(&folder.join("out/backbone.toml"), card_text.as_bytes(), 0o600)?;

    let mut manifest = BackboneManifest {
        schema: Schema1,
        line: line.to_owned(),
        version: 1,
        device: Some(device.to_owned()),
        group: None,
        job: Some(job.to_owned()),
        base: Blob::of(&old).digest,
        files: BackboneFiles {
            onnx: Blob::of(&onnx),
            card: Blob::of(card_text.as_bytes()),
            head: Blob::of(&head),
            golden: Blob::of(&golden),
        },
        tensor,
        width: width as u64,
        classes: dataset.classes.clone(),
        recipe,
        metrics: BTreeMap::new(),
        created: String::new(),
        expires: String::new(),
        key_id: String::new(),
        sig: String::new(),
    };
    let head = TunedHead::read(&head, &manifest)?;
    let golden = Golden::read(&golden, &manifest)?;
    replay(&mut backbone, &head, &golden)?;
    let accuracy = judge(&mut backbone, &head, folder, dataset)?;
    let said = metrics.result.accuracy;
    if let Some(accuracy) = accuracy {
        ensure!(
            (accuracy - said).abs() <= ACCURACY_SLACK,
            "the engine says that {said:.3} of the held-out samples are right, tract finds {accuracy:.3}"
        );
    }
    let baseline = metrics.baseline.accuracy;
    ensure!(said >= baseline, "held-out samples: {said:.3} are right, with the head alone {baseline:.3}");
    for (name, value) in [
        ("accuracy", said),
        ("baseline_accuracy", baseline),
        ("val_samples", metrics.result.samples as f64),
        ("val_bursts", metrics.result.bursts as f64),
    ] {
        manifest.metrics.insert(name.to_owned(), (value * 1e6).round() / 1e6);
    }
    Ok(manifest)
}

/// Runs the golden inputs through tract and the head, as the board will.
fn replay(backbone: &mut Backbone, head: &TunedHead, golden: &Golden) -> Result<()> {
    let (width, classes) = (backbone.width(), head.bias.len());
    let rows = |values: &[f32], of: usize| values.chunks(of).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let vectors = backbone::Golden {
        inputs: rows(&golden.inputs, golden.shape.iter().product()),
        embeddings: rows(&golden.embeddings, width),
    };
    admission::replay(backbone, &vectors)?;
    for (embedding, wanted) in vectors.embeddings.iter().zip(golden.logits.chunks(classes)) {
        let largest = wanted.iter().fold(1.0f32, |most, value| most.max(value.abs()));
        let off = scores(head, embedding).iter().zip(wanted).any(|(a, b)| {
            let off = (a - b).abs();
            off.is_nan() || off > admission::GOLDEN_TOLERANCE * largest
        });
        ensure!(!off, "head and golden vectors do not belong together");
    }
    Ok(())
}

fn scores(head: &TunedHead, embedding: &[f32]) -> Vec<f32> {
    let rows = head.weight.chunks(embedding.len()).zip(&head.bias);
    rows.map(|(row, bias)| row.iter().zip(embedding).map(|(w, x)| w * x).sum::<f32>() + bias).collect()
}

/// The share of held-out samples that the new pair gets right; `None` where the board held none out.
fn judge(backbone: &mut Backbone, head: &TunedHead, folder: &Path, dataset: &Dataset) -> Result<Option<f64>> {
    let (mut right, mut all) = (0u32, 0u32);
    let trained = |class: &str| dataset.samples.iter().any(|s| s.split == Split::Train && s.class == class);
    for sample in dataset.samples.iter().filter(|s| s.split == Split::Val) {
        let Some(class) = dataset.classes.iter().position(|c| *c == sample.class) else { continue };
        // A class of which nothing was trained on is judged by nobody.
        if !trained(&sample.class) {
            continue;
        }
        let name = graft_wire::offload::hex_of(&sample.digest);
        let jpeg = fs::read(folder.join("samples").join(format!("{name}.jpg")))?;
        let scores = scores(head, &backbone.embed_crop(&decode_image(&jpeg)?)?);
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
        right += u32::from(best == Some(class));
        all += 1;
    }
    Ok((all > 0).then(|| f64::from(right) / f64::from(all)))
}
