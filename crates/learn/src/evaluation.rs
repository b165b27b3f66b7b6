//! Figures about a head, with intervals by bootstrap over bursts.

use std::collections::BTreeMap;

use super::head::Head;
use super::snapshot::Snapshot;

/// Width bins of the expected calibration error.
const BINS: usize = 15;
/// With fewer bursts than this on either side of right and wrong, the bootstrap is too narrow to be believed.
const FEW: usize = 5;
/// The 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_964;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure itself.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How well a head did on samples it had not seen. Fractions are 0…1.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Samples judged.
    pub samples: usize,
    /// Bursts they come from.
    pub bursts: usize,
    /// Fraction right.
    pub accuracy: Estimate,
    /// Mean of the recalls of the classes that have samples.
    pub balanced_accuracy: Estimate,
    /// Fraction right per class; none where a class has no samples.
    pub recall: Vec<Option<f64>>,
    /// Samples per class.
    pub class_samples: Vec<usize>,
    /// Bursts per class.
    pub class_bursts: Vec<usize>,
    /// `[truth][predicted]`, samples.
    pub confusion: Vec<Vec<u32>>,
    /// Expected calibration error of the confidence over 15 bins of equal width.
    pub ece: f64,
    /// Accuracy of always saying the largest class.
    pub majority: f64,
}

/// Judged samples, all of one length.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub labels: &'a [u32],
    pub bursts: &'a [u64],
    pub predicted: &'a [u32],
    pub confidence: &'a [f32],
    pub classes: usize,
}

/// Judges a head on an independent validation set. A snapshot that does not fit the head (or is broken) gives a
/// report of no samples, whose accuracy is 0 with the interval 0…1.
pub fn evaluate(head: &Head, snapshot: &Snapshot, bootstrap: usize, seed: u64) -> Report {
    let fits = head.check().is_ok()
        && snapshot.check().is_ok()
        && head.width == snapshot.width
        && head.classes >= snapshot.classes;
    let count = if fits { snapshot.len() } else { 0 };
    let mut row = vec![0.0f32; snapshot.width];
    let mut predicted = Vec::with_capacity(count);
    let mut confidence = Vec::with_capacity(count);
    for i in 0..count {
        snapshot.row_f32(i, &mut row);
        let said = head.predict(&row);
        predicted.push(said.class as u32);
        confidence.push(said.confidence);
    }
    let judged = Judged {
        labels: &snapshot.labels[..count],
        bursts: &snapshot.bursts[..count],
        predicted: &predicted,
        confidence: &confidence,
        classes: head.classes.min(super::snapshot::MAX_CLASSES),
    };
    report(&judged, bootstrap, seed)
}

/// Right and all samples of one burst in one class.
struct Cell {
    class: usize,
    right: f64,
    all: f64,
}

pub(crate) fn report(judged: &Judged, bootstrap: usize, seed: u64) -> Report {
    let classes = judged.classes;
    let samples = judged.labels.len();
    let mut confusion = vec![vec![0u32; classes]; classes];
    let mut bursts: BTreeMap<u64, Vec<Cell>> = BTreeMap::new();
    for i in 0..samples {
        let (truth, said) = (judged.labels[i] as usize, judged.predicted[i] as usize);
        confusion[truth][said] += 1;
        let right = f64::from(u8::from(truth == said));
        let cells = bursts.entry(judged.bursts[i]).or_default();
        match cells.iter_mut().find(|cell| cell.class == truth) {
            Some(cell) => {
                cell.right += right;
                cell.all += 1.0;
            }
            None => cells.push(Cell { class: truth, right, all: 1.0 }),
        }
    }
    let bursts: Vec<Vec<Cell>> = bursts.into_values().collect();
    let mut class_bursts = vec![0; classes];
    for cell in bursts.iter().flatten() {
        class_bursts[cell.class] += 1;
    }
    let class_samples: Vec<usize> =
        confusion.iter().map(|row| row.iter().map(|&count| count as usize).sum()).collect();
    let recall = confusion
        .iter()
        .zip(&class_samples)
        .enumerate()
        .map(|(class, (row, &all))| (all > 0).then(|| f64::from(row[class]) / all as f64))
        .collect();
    let (accuracy, balanced_accuracy) = intervals(&bursts, classes, bootstrap, seed);
    let largest = class_samples.iter().copied().max().unwrap_or_default();
    Report {
        samples,
        bursts: bursts.len(),
        accuracy,
        balanced_accuracy,
        recall,
        class_samples,
        class_bursts,
        confusion,
        ece: calibration_error(judged),
        majority: largest as f64 / samples.max(1) as f64,
    }
}

/// Accuracy and balanced accuracy with percentile intervals.
fn intervals(bursts: &[Vec<Cell>], classes: usize, bootstrap: usize, seed: u64) -> (Estimate, Estimate) {
    let mut right = vec![0.0; classes];
    let mut all = vec![0.0; classes];
    let figures = |right: &[f64], all: &[f64]| {
        let accuracy = right.iter().sum::<f64>() / all.iter().sum::<f64>().max(1.0);
        let seen = all.iter().filter(|&&all| all > 0.0).count().max(1);
        let recalls: f64 =
            right.iter().zip(all).filter(|(_, all)| **all > 0.0).map(|(right, all)| right / all).sum();
        (accuracy, recalls / seen as f64)
    };
    let add = |right: &mut [f64], all: &mut [f64], burst: &[Cell]| {
        for cell in burst {
            right[cell.class] += cell.right;
            all[cell.class] += cell.all;
        }
    };
    bursts.iter().for_each(|burst| add(&mut right, &mut all, burst));
    let value = figures(&right, &all);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draws = (Vec::with_capacity(bootstrap), Vec::with_capacity(bootstrap));
    for _ in 0..if bursts.is_empty() { 0 } else { bootstrap } {
        right.fill(0.0);
        all.fill(0.0);
        for _ in 0..bursts.len() {
            add(&mut right, &mut all, &bursts[random.usize(..bursts.len())]);
        }
        let drawn = figures(&right, &all);
        draws.0.push(drawn.0);
        draws.1.push(drawn.1);
    }
    let wrong = bursts.iter().filter(|burst| burst.iter().any(|cell| cell.right < cell.all)).count();
    let good = bursts.iter().filter(|burst| burst.iter().any(|cell| cell.right > 0.0)).count();
    let few = wrong.min(good) < FEW;
    let estimate = |value: f64, draws: &mut Vec<f64>| {
        let (mut low, mut high) = percentiles(draws).unwrap_or((value, value));
        if few || draws.is_empty() {
            let floor = wilson(value, bursts.len());
            (low, high) = (low.min(floor.0), high.max(floor.1));
        }
        Estimate { value, low: low.min(value), high: high.max(value) }
    };
    (estimate(value.0, &mut draws.0), estimate(value.1, &mut draws.1))
}

/// The 2.5th and 97.5th percentile.
pub(crate) fn percentiles(draws: &mut [f64]) -> Option<(f64, f64)> {
    draws.sort_unstable_by(f64::total_cmp);
    let at =
        |fraction: f64| draws.get(((draws.len().max(1) - 1) as f64 * fraction).round() as usize).copied();
    at(0.025).zip(at(0.975))
}

/// Wilson's score interval for a fraction of `n` independent observations; 0…1 without any.
pub(crate) fn wilson(fraction: f64, n: usize) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let n = n as f64;
    let spread = Z * (fraction * (1.0 - fraction) / n + Z * Z / (4.0 * n * n)).sqrt();
    let middle = fraction + Z * Z / (2.0 * n);
    let scale = 1.0 + Z * Z / n;
    (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0))
}

/// Expected calibration error (Guo et al. 2017): mean gap between confidence and accuracy, by confidence.
fn calibration_error(judged: &Judged) -> f64 {
    let mut bins = [(0.0f64, 0.0f64); BINS];
    for i in 0..judged.labels.len() {
        let confidence = f64::from(judged.confidence[i]).clamp(0.0, 1.0);
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += confidence;
        bin.1 += f64::from(u8::from(judged.labels[i] == judged.predicted[i]));
    }
    let gap: f64 = bins.iter().map(|(confidence, right)| (confidence - right).abs()).sum();
    gap / judged.labels.len().max(1) as f64
}
