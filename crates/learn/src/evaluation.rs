//! Figures about a head, each with an interval that knows of bursts.
//!
//! A round judges by heads that were trained without some of the bursts, so by less than its own head was. Error falls
//! about as a power of the number of samples (Hestness et al. 2017), and figures are told for the size that the head was
//! trained with (decision 0039; `lab teach` prints how near they come).

use std::collections::BTreeMap;

use super::head::Head;
use super::snapshot::Snapshot;

/// Width bins of the expected calibration error.
const BINS: usize = 15;
/// Error falls with this power of the number of bursts.
const POWER: f64 = 0.5;
/// How uncertain that power is, one standard deviation.
const POWER_SPREAD: f64 = 0.3;
/// Variance of the error over draws of the training set, by bursts a class and root of classes, as a part of `p·(1−p)`.
const DRAW_SPREAD: f64 = 0.2;
/// Observed variance between bursts counts against the largest that is possible as this many bursts.
const PRIOR: f64 = 8.0;
/// Few bursts that are all right do not make a head perfect: a figure of a round counts so many bursts more …
const PRIOR_BURSTS: f64 = 2.0;
/// … with this error, about the mean of the heads that `lab teach` measures (decision 0043).
const PRIOR_ERROR: f64 = 0.2;
/// With at most so many bursts that show an error (or a right answer) there might be none (or nothing else).
const FEW: usize = 2;
/// A figure whose interval is wider than this is no evidence.
const WIDE: f64 = 0.3;
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

/// Whether figures say anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// They do.
    Enough,
    /// These classes, indexes in the class list, have samples of one burst only, whose frames are near-copies.
    OneBurst(Vec<u32>),
    /// Too few bursts: the interval of the accuracy is wider than 30 points.
    Wide,
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
    /// `[truth][predicted]`, samples, as counted.
    pub confusion: Vec<Vec<u32>>,
    /// Expected calibration error of the confidence over 15 bins of equal width.
    pub ece: f64,
    /// Accuracy of always saying the largest class.
    pub majority: f64,
    /// Samples that were not judged, because the other bursts or the rest of their own say that they are mislabelled.
    pub left_out: usize,
    /// Whether the figures say anything.
    pub evidence: Evidence,
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

/// The error to be expected when the training set grows from this part of its bursts to all of them. What is no better
/// than a guess among the classes stays so: there is nothing to learn.
pub(crate) fn grown(error: f64, part: f64, classes: usize) -> f64 {
    let guess = 1.0 - 1.0 / classes.max(2) as f64;
    let hopeless = (error / guess).min(1.0).powi(8);
    error * (hopeless + (1.0 - hopeless) * part.powf(POWER))
}

/// The error to be expected where so many bursts show this one: few bursts without errors do not make a head perfect.
pub(crate) fn careful(error: f64, bursts: f64) -> f64 {
    error.max((error * bursts + PRIOR_ERROR * PRIOR_BURSTS) / (bursts + PRIOR_BURSTS))
}

/// Judges a head on an independent validation set. A snapshot that does not fit the head (or is broken) gives a
/// report of no samples, whose accuracy is 0 with the interval 0…1.
pub fn evaluate(head: &Head, snapshot: &Snapshot) -> Report {
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
    report(&judged, None)
}

/// Right and all samples of one burst in one class.
struct Cell {
    class: usize,
    right: f64,
    all: f64,
}

/// Figures for a head that was trained on all bursts of a class, judged by heads that had seen this part of them, 0…1;
/// `None`: the samples are independent of the head.
pub(crate) fn report(judged: &Judged, seen: Option<f64>) -> Report {
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
    let known = class_samples.iter().filter(|&&count| count > 0).count();
    let part = seen.unwrap_or(1.0);
    let recall = |class: usize| {
        let all = class_samples[class] as f64;
        (all > 0.0).then(|| 1.0 - grown(1.0 - f64::from(confusion[class][class]) / all, part, known))
    };
    let accuracy = estimate(&bursts, |_| 1.0, known, seen);
    let balanced_accuracy = estimate(&bursts, |class| 1.0 / class_samples[class] as f64, known, seen);
    let largest = class_samples.iter().copied().max().unwrap_or_default();
    Report {
        samples,
        bursts: bursts.len(),
        evidence: evidence(&class_bursts, accuracy, seen),
        accuracy,
        balanced_accuracy,
        recall: (0..classes).map(recall).collect(),
        class_bursts,
        ece: calibration_error(judged),
        majority: largest as f64 / samples.max(1) as f64,
        left_out: 0,
        class_samples,
        confusion,
    }
}

fn evidence(class_bursts: &[usize], accuracy: Estimate, seen: Option<f64>) -> Evidence {
    let lone = |class: &usize| seen.is_some() && class_bursts[*class] == 1;
    let lone: Vec<u32> = (0..class_bursts.len()).filter(lone).map(|class| class as u32).collect();
    if !lone.is_empty() {
        return Evidence::OneBurst(lone);
    }
    if accuracy.high - accuracy.low > WIDE { Evidence::Wide } else { Evidence::Enough }
}

/// Fraction right with samples weighted by class, and its 95 % interval: Wilson's for as many independent observations
/// as the spread between bursts speaks for, less what the growth of the training set and its draw make uncertain.
fn estimate(
    bursts: &[Vec<Cell>],
    weight: impl Fn(usize) -> f64,
    classes: usize,
    seen: Option<f64>,
) -> Estimate {
    let sums = |burst: &Vec<Cell>| {
        burst.iter().fold((0.0, 0.0), |(wrong, all), cell| {
            let weight = weight(cell.class);
            (wrong + weight * (cell.all - cell.right), all + weight * cell.all)
        })
    };
    let of_burst: Vec<(f64, f64)> = bursts.iter().map(sums).collect();
    let total = of_burst.iter().fold((0.0, 0.0), |sum, burst| (sum.0 + burst.0, sum.1 + burst.1));
    let m = bursts.len() as f64;
    if total.1 <= 0.0 || total.1.is_nan() {
        return Estimate { value: 0.0, low: 0.0, high: 1.0 };
    }
    let error = total.0 / total.1;
    // The error that is never quite 0 or 1, and its largest variance: bursts that are all right or all wrong.
    let middle = (error * m + 0.5) / (m + 1.0);
    let largest = middle * (1.0 - middle) / m;
    let size = total.1 / m;
    let spread = of_burst.iter().map(|(wrong, all)| ((wrong - error * all) / size).powi(2)).sum::<f64>() / m;
    let wrong = bursts.iter().filter(|burst| burst.iter().any(|cell| cell.right < cell.all)).count();
    let right = bursts.iter().filter(|burst| burst.iter().any(|cell| cell.right > 0.0)).count();
    // Where no burst differs from the others their spread is not known.
    let (spread, known) = if wrong.min(right) > 0 { (spread, m - 1.0) } else { (0.0, 0.0) };
    let variance = (spread + PRIOR * largest) / (known + PRIOR);
    let mut more = 0.0;
    if let Some(part) = seen {
        let class_bursts = (m / classes.max(1) as f64).max(1.0);
        more = middle / (1.0 - middle) * (POWER_SPREAD * part.ln()).powi(2)
            + DRAW_SPREAD / (class_bursts * (classes as f64).sqrt());
    }
    let observations = 1.0 / (variance / (middle * (1.0 - middle)) + more);
    let (mut low, mut high) = wilson(error, observations);
    if wrong <= FEW {
        low = 0.0;
    }
    if right <= FEW {
        high = 1.0;
    }
    let Some(part) = seen else {
        return Estimate { value: 1.0 - error, low: 1.0 - high.max(error), high: 1.0 - low.min(error) };
    };
    let expected = careful(error, m);
    let right = |error: f64| 1.0 - grown(error, part, classes);
    Estimate { value: right(expected), low: right(high.max(expected)), high: right(low.min(expected)) }
}

/// The 2.5th and 97.5th percentile.
pub(crate) fn percentiles(draws: &mut [f64]) -> Option<(f64, f64)> {
    draws.sort_unstable_by(f64::total_cmp);
    let at =
        |fraction: f64| draws.get(((draws.len().max(1) - 1) as f64 * fraction).round() as usize).copied();
    at(0.025).zip(at(0.975))
}

/// Wilson's score interval for a fraction of `n` independent observations; 0…1 without any.
pub(crate) fn wilson(fraction: f64, n: f64) -> (f64, f64) {
    if n <= 0.0 || n.is_nan() {
        return (0.0, 1.0);
    }
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
