//! Fitting the unknown score on samples that the head did not see.

use super::super::cancel::Proceed;
use super::super::cholesky::{factor, invert_lower, lower_square};
use super::super::drift::{Reference, Taught};
use super::super::matmul::fused::dot;
use super::super::problem::Problem;
use super::super::snapshot::LearnError;
use super::{Reject, centre};
use graft_simd::Isa;

/// Fewer samples or groups than this say nothing about a threshold.
const LEAST_SAMPLES: usize = 20;
const LEAST_GROUPS: usize = 8;
/// Share of the mean variance that is added to every direction.
const SHRINKAGE: f64 = 1e-3;
/// Spreads are cross-fitted on this many folds at least, on more (at best one a group) as far as this many sums allow:
/// a few milliseconds.
const LEAST_FOLDS: usize = 10;
const SUMS: usize = 4_000_000;

/// Fits the score on held-out scores `[n, K]`, with the threshold where a fraction `rate` of new frames of the classes
/// would be called unknown. None where there is too little to go by.
///
/// The threshold is a conformal quantile (Vovk, Gammerman and Shafer 2005) of values that know nothing of the burst
/// they judge, neither by the head nor by the means and spreads. Frames of a burst are near-copies, so bursts are what
/// is exchangeable and counts.
///
/// With it come the scores that the threshold was set by, in problem order; NaN for a sample whose class is in no other
/// burst.
///
/// # Errors
/// Those of `proceed`, which is asked between pieces of work.
pub(crate) fn fit(
    problem: &Problem,
    held_out: &[f64],
    rate: f32,
    proceed: Proceed,
) -> Result<Option<(Reject, Vec<f32>)>, LearnError> {
    let (n, k) = (problem.len(), problem.classes());
    if n < LEAST_SAMPLES.max(2 * k) || problem.groups.len() < LEAST_GROUPS {
        return Ok(None);
    }
    let mut scores: Vec<f32> = held_out.iter().map(|&score| score as f32).collect();
    scores.chunks_exact_mut(k).for_each(centre);
    let mut reject = Reject {
        present: problem.present.clone(),
        means: class_means(problem, proceed)?,
        within: Vec::new(),
        centres: Vec::new(),
        whole: Vec::new(),
        centre: Vec::new(),
        scale: vec![0.0, 1.0, 0.0, 0.0],
        usual: Reference {
            classes: vec![Taught::default(); problem.present.last().map_or(0, |last| last + 1)],
        },
    };
    let relative = relative_apart(problem, &scores, &mut reject, proceed)?;
    let near = nearest_means(problem, proceed)?;
    // Weights of groups, each shared by its samples; a sample whose class is in no other group shows what an unknown
    // class looks like, not a known one.
    let mut judged: Vec<(usize, f64)> = Vec::new();
    let mut groups = 0;
    for group in &problem.groups {
        let before = judged.len();
        judged.extend(group.clone().filter(|&i| relative[i].is_some()).map(|i| (i, 0.0)));
        let share = 1.0 / (judged.len() - before).max(1) as f64;
        judged[before..].iter_mut().for_each(|(_, weight)| *weight = share);
        groups += usize::from(judged.len() > before);
    }
    if groups < LEAST_GROUPS {
        return Ok(None);
    }
    let value = |i: usize| relative[i].unwrap_or_default();
    let spread = deviation(judged.iter().map(|&(i, weight)| (value(i), weight)))
        .zip(deviation(judged.iter().map(|&(i, weight)| (near[i], weight))));
    let Some((a, b)) = spread.map(|(a, b)| (1.0 / a, 1.0 / b)) else { return Ok(None) };
    let sum = |i: usize| a * value(i) + b * near[i];
    let mut sums: Vec<(f64, f64)> = judged.iter().map(|&(i, weight)| (sum(i), weight)).collect();
    let rate = if rate.is_finite() { f64::from(rate).clamp(0.0, 0.5) } else { 0.05 };
    let (middle, threshold) = quantiles(&mut sums, groups, rate);
    let unit = 1.0 / (threshold - middle);
    if !unit.is_finite() {
        return Ok(None);
    }
    let judged = (0..n)
        .map(|i| relative[i].map_or(f32::NAN, |_| ((sum(i) - middle) * unit).max(0.0) as f32))
        .collect();
    spreads(problem, &scores, |_| true, &mut reject, proceed)?;
    reject.scale = vec![(-middle * unit) as f32, (a * unit) as f32, (b * unit) as f32, 0.0];
    // Distances are measured in the embedding's own units from here on.
    reject.scale[2] *= problem.scale;
    Ok(reject.check(problem.width(), usize::MAX).is_ok().then_some((reject, judged)))
}

/// Median, and the threshold at `rate`, of values with weights that are 1 in sum over each of the groups.
pub(super) fn quantiles(values: &mut [(f64, f64)], groups: usize, rate: f64) -> (f64, f64) {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let largest = values.last().map_or(0.0, |last| last.0);
    // The smallest value with at most so many groups above it; the slack is for the rounding of shares.
    let least = |allowed: f64| {
        let (mut above, mut found) = (0.0, largest);
        for &(value, weight) in values.iter().rev() {
            if above > allowed + 1e-9 {
                break;
            }
            found = value;
            above += weight;
        }
        found
    };
    let middle = least(0.5 * groups as f64);
    let allowed = rate * (groups as f64 + 1.0) - 1.0;
    // With fewer than `1/rate − 1` groups a new one exceeds all seen more often than `rate`, whatever their values:
    // nothing seen bounds the rest, so the threshold goes further out, by as much as is missing.
    let beyond = (-allowed).max(0.0) * (largest - middle);
    (middle, least(allowed.max(0.0)) + beyond)
}

/// Relative Mahalanobis distance of each sample, by centres and spreads taken without its fold of groups; none where
/// the others know nothing of its class. `reject` lends the place for them.
pub(super) fn relative_apart(
    problem: &Problem,
    scores: &[f32],
    reject: &mut Reject,
    proceed: Proceed,
) -> Result<Vec<Option<f64>>, LearnError> {
    let (n, k) = (problem.len(), problem.classes());
    let groups = problem.groups.len();
    let folds = (SUMS / (n * (k * k + 20))).clamp(LEAST_FOLDS.min(groups), groups);
    let fold = deal(problem, folds);
    let mut out = vec![None; n];
    for held in 0..folds {
        proceed()?;
        let known = spreads(problem, scores, |i| fold[i] != held, reject, proceed)?;
        for (i, row) in scores.chunks_exact(k).enumerate().filter(|&(i, _)| fold[i] == held) {
            out[i] = known[problem.labels[i]].then(|| f64::from(reject.relative(row)));
        }
    }
    Ok(out)
}

/// Fold of each sample. Groups are dealt out class by class, so that a class of two groups or more is never whole in
/// one fold.
pub(super) fn deal(problem: &Problem, folds: usize) -> Vec<usize> {
    let mut groups = problem.groups.clone();
    groups.sort_by_key(|group| problem.labels[group.start]);
    let mut fold = vec![0; problem.len()];
    for (at, group) in groups.into_iter().enumerate() {
        fold[group].fill(at % folds);
    }
    fold
}

/// Mean embeddings in the embedding's own space, `[K, width]`.
fn class_means(problem: &Problem, proceed: Proceed) -> Result<Vec<f32>, LearnError> {
    let width = problem.width();
    let (sums, counts) = class_sums(problem, proceed)?;
    let means = sums
        .chunks_exact(width)
        .zip(&counts)
        .flat_map(|(sum, &count)| {
            sum.iter().zip(&problem.centre).map(move |(&sum, &centre)| {
                (sum / count as f64 / f64::from(problem.scale) + f64::from(centre)) as f32
            })
        })
        .collect();
    Ok(means)
}

/// Sums of centred, scaled embeddings, `[K, width]`, and counts.
fn class_sums(problem: &Problem, proceed: Proceed) -> Result<(Vec<f64>, Vec<usize>), LearnError> {
    let (width, k) = (problem.width(), problem.classes());
    let mut sums = vec![0.0; k * width];
    let mut counts = vec![0; k];
    let mut row = vec![0.0f32; width];
    for (i, &label) in problem.labels.iter().enumerate() {
        if i % 256 == 0 {
            proceed()?;
        }
        problem.rows(i..i + 1, &mut row);
        let own = &mut sums[label * width..(label + 1) * width];
        own.iter_mut().zip(&row).for_each(|(sum, &value)| *sum += f64::from(value));
        counts[label] += 1;
    }
    Ok((sums, counts))
}

/// A mean embedding and its square norm.
type Mean = (Vec<f32>, f32);

/// Distance of each sample to the nearest class mean, all means taken without its group.
pub(super) fn nearest_means(problem: &Problem, proceed: Proceed) -> Result<Vec<f64>, LearnError> {
    let width = problem.width();
    let (sums, counts) = class_sums(problem, proceed)?;
    let isa = Isa::detect();
    let mean = |sum: &[f64], count: usize| {
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / count.max(1) as f64) as f32).collect();
        let square = dot(isa, &mean, &mean);
        (mean, square)
    };
    let means: Vec<Mean> =
        sums.chunks_exact(width).zip(&counts).map(|(sum, &count)| mean(sum, count)).collect();
    let mut out = vec![0.0; problem.len()];
    let mut rows = Vec::new();
    for group in &problem.groups {
        proceed()?;
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
        let own: Vec<(usize, Option<Mean>)> = own
            .into_iter()
            .map(|(class, sum, count)| (class, (count > 0).then(|| mean(&sum, count))))
            .collect();
        for (row, i) in rows.chunks_exact(width).zip(group.clone()) {
            let length = dot(isa, row, row);
            let square = |(mean, own): &Mean| length - 2.0 * dot(isa, row, mean) + own;
            let nearest = means.iter().enumerate().filter_map(|(class, mean)| {
                match own.iter().find(|(other, _)| *other == class) {
                    Some((_, without)) => without.as_ref().map(square),
                    None => Some(square(mean)),
                }
            });
            out[i] = f64::from(nearest.fold(f32::INFINITY, f32::min).clamp(0.0, f32::MAX)).sqrt();
        }
    }
    Ok(out)
}

/// Centres and spreads, within classes and over all, of the held-out scores of the samples that `keep` keeps, classes
/// counting the same. Returns which classes have any; the others are infinitely far from everything.
fn spreads(
    problem: &Problem,
    scores: &[f32],
    keep: impl Fn(usize) -> bool,
    reject: &mut Reject,
    proceed: Proceed,
) -> Result<Vec<bool>, LearnError> {
    let k = problem.classes();
    let kept = || {
        scores
            .chunks_exact(k)
            .zip(&problem.labels)
            .enumerate()
            .filter(|(i, _)| keep(*i))
            .map(|(_, pair)| pair)
    };
    let mut means = vec![0.0f64; k * k];
    let mut counts = vec![0.0f64; k];
    for (row, &label) in kept() {
        let own = &mut means[label * k..(label + 1) * k];
        own.iter_mut().zip(row).for_each(|(mean, &score)| *mean += f64::from(score));
        counts[label] += 1.0;
    }
    let known: Vec<bool> = counts.iter().map(|&count| count > 0.0).collect();
    let classes = known.iter().filter(|known| **known).count().max(1) as f64;
    for (row, count) in means.chunks_exact_mut(k).zip(&counts) {
        row.iter_mut().for_each(|value| *value /= count.max(1.0));
    }
    let whole_mean: Vec<f64> =
        (0..k).map(|at| means.iter().skip(at).step_by(k).sum::<f64>() / classes).collect();
    let mut within = vec![0.0f64; k * k];
    let mut difference = vec![0.0f64; k];
    for (row, &label) in kept() {
        let mean = &means[label * k..(label + 1) * k];
        difference.iter_mut().zip(row.iter().zip(mean)).for_each(|(d, (&v, m))| *d = f64::from(v) - m);
        add_square(&mut within, &difference, 1.0 / (classes * counts[label]));
    }
    // The spread over all is that within the classes and that of their means.
    let mut whole = within.clone();
    for (mean, _) in means.chunks_exact(k).zip(&known).filter(|(_, known)| **known) {
        difference.iter_mut().zip(mean.iter().zip(&whole_mean)).for_each(|(d, (v, m))| *d = v - m);
        add_square(&mut whole, &difference, 1.0 / classes);
    }
    let floor = SHRINKAGE * (0..k).map(|at| whole[at * k + at]).sum::<f64>() / k as f64;
    for matrix in [&mut within, &mut whole] {
        (0..k).for_each(|at| matrix[at * k + at] += floor.max(1e-12));
        factor(matrix, k, 1e-12, proceed)?;
        invert_lower(matrix, k, proceed)?;
        *matrix = lower_square(matrix, k, k);
    }
    let whiten = |matrix: &[f64], row: &[f64]| -> Vec<f32> {
        matrix
            .chunks_exact(k)
            .map(|line| line.iter().zip(row).map(|(a, b)| a * b).sum::<f64>() as f32)
            .collect()
    };
    reject.centres = means.chunks_exact(k).flat_map(|row| whiten(&within, row)).collect();
    for (centre, _) in reject.centres.chunks_exact_mut(k).zip(&known).filter(|(_, known)| !**known) {
        centre.fill(f32::INFINITY);
    }
    reject.centre = whiten(&whole, &whole_mean);
    reject.within = within.iter().map(|&value| value as f32).collect();
    reject.whole = whole.iter().map(|&value| value as f32).collect();
    Ok(known)
}

/// Adds `weight` times the product of a vector `[k]` with itself.
fn add_square(matrix: &mut [f64], vector: &[f64], weight: f64) {
    for (line, left) in matrix.chunks_exact_mut(vector.len()).zip(vector) {
        line.iter_mut().zip(vector).for_each(|(sum, right)| *sum += weight * left * right);
    }
}

/// Standard deviation of values with weights; none where there is none to speak of.
fn deviation(values: impl Iterator<Item = (f64, f64)> + Clone) -> Option<f64> {
    let total: f64 = values.clone().map(|(_, weight)| weight).sum();
    let mean = values.clone().map(|(value, weight)| weight * value).sum::<f64>() / total;
    let variance = values.map(|(value, weight)| weight * (value - mean).powi(2)).sum::<f64>() / total;
    (variance.sqrt() > 1e-9 * (1.0 + mean.abs()) && variance.is_finite()).then(|| variance.sqrt())
}
