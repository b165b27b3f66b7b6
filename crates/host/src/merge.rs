//! One head for a fleet from the sums of several boards: the same as from all their samples in one place.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, json};

use crate::now_ms;
use graft_learn::Statistics;
use graft_wire::digest::sha256;
use graft_wire::timestamp::rfc3339;
use graft_wire::{Dtype, HeadFile, HeadMeta, StatisticsFile};

/// Merges files of statistics (each with its name, for people) and computes the ridge head of all samples behind them;
/// `lambda` as [`Statistics::ridge`] takes it. The head is one of the device `host`.
///
/// # Errors
/// When a file cannot be read, they are of different backbones, or hold fewer than two classes.
pub fn merge(files: &[(String, Vec<u8>)], lambda: f64, host: &str) -> Result<HeadFile> {
    ensure!(lambda.is_finite() && lambda > 0.0, "lambda has to be above 0");
    let mut read = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let file = StatisticsFile::decode(bytes).with_context(|| format!("{name} cannot be used"))?;
        read.push((name, file));
    }
    let Some((first_name, first)) = read.first() else { bail!("there is nothing to merge") };
    let mut classes: Vec<String> = Vec::new();
    let mut boards = HashSet::new();
    for (name, StatisticsFile { meta, .. }) in &read {
        let same = meta.backbone.digest == first.meta.backbone.digest
            && meta.tensor == first.meta.tensor
            && meta.preprocess == first.meta.preprocess;
        ensure!(
            same,
            "{name} is of backbone {} ({}), {first_name} of {} ({}), or their pictures are fed differently: sums of \
             different embeddings cannot be added",
            meta.backbone.name,
            meta.backbone.digest,
            first.meta.backbone.name,
            first.meta.backbone.digest
        );
        ensure!(
            boards.insert(&meta.device),
            "{name} is another file of device {}: each counts once",
            meta.device
        );
        for class in &meta.classes {
            if !classes.contains(class) {
                classes.push(class.clone());
            }
        }
    }
    let mut sum = Statistics::new(first.statistics.width(), classes.len());
    for (_, StatisticsFile { statistics, meta }) in &read {
        let place = |class: &String| classes.iter().position(|c| c == class);
        let places: Vec<usize> = meta.classes.iter().filter_map(place).collect();
        sum.merge(&statistics.placed(&places, classes.len())?)?;
    }
    let head = sum.ridge(lambda)?;
    let now = now_ms();
    let digests: String = files.iter().map(|(_, bytes)| sha256(bytes) + "\n").collect();
    let mut metrics = Map::new();
    metrics.insert("samples".into(), json!(sum.counts().iter().sum::<u64>()));
    metrics.insert("boards".into(), json!(boards.len()));
    let meta = HeadMeta {
        dtype: Dtype::F32,
        classes,
        backbone: first.meta.backbone.clone(),
        tensor: first.meta.tensor.clone(),
        preprocess: first.meta.preprocess.clone(),
        pictures: None,
        snapshot: sha256(digests.as_bytes()),
        method: "ridge".into(),
        metrics,
        parent: None,
        restored_from: None,
        device: host.to_owned(),
        // Seconds since 1970: higher each time, and nothing has to be remembered for it.
        version: now.unsigned_abs() / 1000,
        created: rfc3339(now),
    };
    Ok(HeadFile { head, meta })
}
