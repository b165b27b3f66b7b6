//! Embeddings to measure with: clustered synthetic ones of any size, and the real ones of a folder of `.npz` files.

use crate::npz;
use anyhow::{Context, Result};
use graft_learn::Snapshot;
use half::f16;
use std::path::Path;

/// Directions in which the synthetic embeddings vary much; the rest is noise.
const DIRECTIONS: usize = 64;

/// Embeddings with what makes real ones hard: not negative, far from zero beside their spread, most of the spread in few
/// directions of falling length, in bursts of ten near-copies, classes overlapping.
pub fn synthetic(samples: usize, width: usize, classes: usize, seed: u64) -> Snapshot {
    let mut fixed = fastrand::Rng::with_seed(7);
    let mut random = fastrand::Rng::with_seed(seed);
    let directions = DIRECTIONS.min(width);
    let basis: Vec<f32> = (0..directions * width).map(|_| normal(&mut fixed)).collect();
    let mean: Vec<f32> = (0..width).map(|_| 0.3 + 0.3 * normal(&mut fixed).abs()).collect();
    let centres: Vec<f32> = (0..classes * directions).map(|_| normal(&mut fixed)).collect();
    let mut snapshot = Snapshot::new(width, classes);
    let mut moment = vec![0.0f32; directions];
    for sample in 0..samples {
        let burst = sample / 10;
        if sample % 10 == 0 {
            moment.fill_with(|| normal(&mut random));
        }
        let class = burst % classes;
        let mut row: Vec<f32> = mean.iter().map(|mean| mean + 0.15 * normal(&mut random)).collect();
        for (at, (basis, moment)) in basis.chunks_exact(width).zip(&moment).enumerate() {
            let place = 0.5 * centres[class * directions + at] + moment + 0.3 * normal(&mut random);
            let size = 0.1 * place / ((at + 1) as f32).sqrt();
            row.iter_mut().zip(basis).for_each(|(value, direction)| *value += size * direction);
        }
        snapshot.embeddings.extend(row.iter().map(|value| f16::from_f32(value.max(0.0))));
        snapshot.labels.push(class as u32);
        snapshot.bursts.push(burst as u64);
    }
    snapshot
}

/// About normal, with variance 1.
fn normal(random: &mut fastrand::Rng) -> f32 {
    (0..4).map(|_| random.f32() - 0.5).sum::<f32>() * 3f32.sqrt()
}

/// The training half of every set in a folder, by name; a set has `X_train`, `y_train` and `classes`.
pub fn real(folder: &Path) -> Result<Vec<(String, Snapshot)>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "npz"))
        .collect();
    paths.sort();
    let mut sets = Vec::new();
    for path in paths {
        let mut file = npz::Reader::open(&path)?;
        if !file.has("X_train") {
            continue;
        }
        let (shape, values) = file.floats("X_train")?;
        let labels = file.integers("y_train")?;
        let width = shape.get(1).copied().unwrap_or(0);
        let classes = labels.iter().max().map_or(0, |last| last + 1);
        let mut snapshot = Snapshot::new(width, usize::try_from(classes).unwrap_or(0));
        for (at, (row, &label)) in values.chunks_exact(width.max(1)).zip(&labels).enumerate() {
            // A photo is a burst of its own.
            snapshot.push(row, u32::try_from(label).unwrap_or(u32::MAX), at as u64)?;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        sets.push((name, snapshot));
    }
    Ok(sets)
}
