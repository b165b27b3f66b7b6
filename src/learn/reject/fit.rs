//! Fitting the unknown score on samples that the head did not see.

use super::super::cholesky::{factor, invert_lower};
use super::super::head::dot;
use super::super::problem::Problem;
use super::{Reject, centre};

/// Fewer samples or groups than this say nothing about a threshold.
const LEAST_SAMPLES: usize = 20;
const LEAST_GROUPS: usize = 8;
/// Share of the mean variance that is added to every direction.
const SHRINKAGE: f64 = 1e-3;

/// Fits the score on held-out scores `[n, K]`, with the threshold where a fraction `rate` of the snapshot, each
/// sample judged without its burst, would be called unknown. None where there is too little to go by.
pub(crate) fn fit(problem: &Problem, held_out: &[f64], rate: f32) -> Option<Reject> {
    let (n, k) = (problem.len(), problem.classes());
    if n < LEAST_SAMPLES.max(2 * k) || problem.groups.len() < LEAST_GROUPS {
        return None;
    }
    let mut scores: Vec<f32> = held_out.iter().map(|&score| score as f32).collect();
    scores.chunks_exact_mut(k).for_each(centre);
    let mut reject = Reject {
        present: problem.present.clone(),
        means: class_means(problem),
        within: Vec::new(),
        centres: Vec::new(),
        whole: Vec::new(),
        centre: Vec::new(),
        scale: vec![0.0, 1.0, 0.0, 0.0],
    };
    spreads(problem, &scores, &mut reject);
    let relative: Vec<f64> = scores.chunks_exact(k).map(|row| f64::from(reject.relative(row))).collect();
    let near: Vec<f64> = nearest_means(problem);
    let (a, b) = (1.0 / deviation(&relative)?, 1.0 / deviation(&near)?);
    let mut sums: Vec<f64> = relative.iter().zip(&near).map(|(r, d)| a * r + b * d).collect();
    sums.sort_unstable_by(f64::total_cmp);
    let rate = if rate.is_finite() { f64::from(rate).clamp(0.0, 0.5) } else { 0.05 };
    // The smallest value that leaves at most `rate` of a new sample above it (conformal quantile).
    let at = (((n + 1) as f64 * (1.0 - rate)).ceil() as usize).clamp(1, n) - 1;
    let (middle, threshold) = (sums[n / 2], sums[at]);
    let unit = 1.0 / (threshold - middle);
    if !unit.is_finite() {
        return None;
    }
    reject.scale = vec![(-middle * unit) as f32, (a * unit) as f32, (b * unit) as f32, 0.0];
    // Distances are measured in the embedding's own units from here on.
    reject.scale[2] *= problem.scale;
    reject.check(problem.width(), usize::MAX).ok()?;
    Some(reject)
}

/// Mean embeddings in the embedding's own space, `[K, width]`.
fn class_means(problem: &Problem) -> Vec<f32> {
    let width = problem.width();
    let (sums, counts) = class_sums(problem);
    sums.chunks_exact(width)
        .zip(&counts)
        .flat_map(|(sum, &count)| {
            sum.iter().zip(&problem.centre).map(move |(&sum, &centre)| {
                (sum / count as f64 / f64::from(problem.scale) + f64::from(centre)) as f32
            })
        })
        .collect()
}

/// Sums of centred, scaled embeddings, `[K, width]`, and counts.
fn class_sums(problem: &Problem) -> (Vec<f64>, Vec<usize>) {
    let (width, k) = (problem.width(), problem.classes());
    let mut sums = vec![0.0; k * width];
    let mut counts = vec![0; k];
    let mut row = vec![0.0f32; width];
    for (i, &label) in problem.labels.iter().enumerate() {
        problem.rows(i..i + 1, &mut row);
        let own = &mut sums[label * width..(label + 1) * width];
        own.iter_mut().zip(&row).for_each(|(sum, &value)| *sum += f64::from(value));
        counts[label] += 1;
    }
    (sums, counts)
}

/// Distance of each sample to the nearest class mean, all means taken without its group.
pub(super) fn nearest_means(problem: &Problem) -> Vec<f64> {
    let width = problem.width();
    let (sums, counts) = class_sums(problem);
    let mean = |sum: &[f64], count: usize| sum.iter().map(|sum| (sum / count.max(1) as f64) as f32).collect();
    let means: Vec<Vec<f32>> =
        sums.chunks_exact(width).zip(&counts).map(|(sum, &count)| mean(sum, count)).collect();
    let mut out = vec![0.0; problem.len()];
    let mut rows = Vec::new();
    for group in &problem.groups {
        rows.resize(group.len() * width, 0.0f32);
        problem.rows(group.clone(), &mut rows);
        // Only the classes of this group have other means without it.
        let mut own: Vec<(usize, Vec<f64>, usize)> = Vec::new();
        for (row, i) in rows.chunks_exact(width).zip(group.clone()) {
            let class = problem.labels[i];
            let at = own.iter().position(|(other, ..)| *other == class).unwrap_or_else(|| {
                own.push((class, sums[class * width..(class + 1) * width].to_vec(), counts[class]));
                own.len() - 1
            });
            own[at].1.iter_mut().zip(row).for_each(|(sum, &value)| *sum -= f64::from(value));
            own[at].2 -= 1;
        }
        let own: Vec<(usize, Option<Vec<f32>>)> = own
            .into_iter()
            .map(|(class, sum, count)| (class, (count > 0).then(|| mean(&sum, count))))
            .collect();
        for (row, i) in rows.chunks_exact(width).zip(group.clone()) {
            let square = |mean: &[f32]| dot(row, row) - 2.0 * dot(row, mean) + dot(mean, mean);
            let nearest = means.iter().enumerate().filter_map(|(class, mean)| {
                match own.iter().find(|(other, _)| *other == class) {
                    Some((_, without)) => without.as_deref().map(square),
                    None => Some(square(mean)),
                }
            });
            out[i] = f64::from(nearest.fold(f32::INFINITY, f32::min).clamp(0.0, f32::MAX)).sqrt();
        }
    }
    out
}

/// Spread of held-out scores within classes and over the snapshot, classes counting the same.
fn spreads(problem: &Problem, scores: &[f32], reject: &mut Reject) {
    let k = problem.classes();
    let mut means = vec![0.0f64; k * k];
    let mut counts = vec![0.0f64; k];
    for (row, &label) in scores.chunks_exact(k).zip(&problem.labels) {
        let own = &mut means[label * k..(label + 1) * k];
        own.iter_mut().zip(row).for_each(|(mean, &score)| *mean += f64::from(score));
        counts[label] += 1.0;
    }
    means.chunks_exact_mut(k).zip(&counts).for_each(|(row, count)| row.iter_mut().for_each(|v| *v /= count));
    let whole_mean: Vec<f64> =
        (0..k).map(|at| means.iter().skip(at).step_by(k).sum::<f64>() / k as f64).collect();
    let mut within = vec![0.0f64; k * k];
    let mut whole = vec![0.0f64; k * k];
    for ((row, &label), &weight) in scores.chunks_exact(k).zip(&problem.labels).zip(&problem.weights) {
        for (matrix, mean) in
            [(&mut within, &means[label * k..(label + 1) * k]), (&mut whole, whole_mean.as_slice())]
        {
            let difference: Vec<f64> = row.iter().zip(mean).map(|(&v, m)| f64::from(v) - m).collect();
            for (line, left) in matrix.chunks_exact_mut(k).zip(&difference) {
                line.iter_mut().zip(&difference).for_each(|(sum, right)| *sum += weight * left * right);
            }
        }
    }
    let n = problem.len() as f64;
    let floor = SHRINKAGE * (0..k).map(|at| whole[at * k + at] / n).sum::<f64>() / k as f64;
    for matrix in [&mut within, &mut whole] {
        matrix.iter_mut().for_each(|value| *value /= n);
        (0..k).for_each(|at| matrix[at * k + at] += floor.max(1e-12));
        factor(matrix, k, 1e-12);
        *matrix = invert_lower(matrix, k);
    }
    let whiten = |matrix: &[f64], row: &[f64]| -> Vec<f32> {
        matrix
            .chunks_exact(k)
            .map(|line| line.iter().zip(row).map(|(a, b)| a * b).sum::<f64>() as f32)
            .collect()
    };
    reject.centres = means.chunks_exact(k).flat_map(|row| whiten(&within, row)).collect();
    reject.centre = whiten(&whole, &whole_mean);
    reject.within = within.iter().map(|&value| value as f32).collect();
    reject.whole = whole.iter().map(|&value| value as f32).collect();
}

/// Standard deviation; none where there is none to speak of.
fn deviation(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (variance.sqrt() > 1e-9 * (1.0 + mean.abs()) && variance.is_finite()).then(|| variance.sqrt())
}
