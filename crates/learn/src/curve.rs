//! The learning curve: accuracy against the number of bursts, on bursts that were held out, and what twice the labels
//! would bring.
//!
//! Bursts are dealt into two halves, class by class. A head is trained on an eighth, a quarter and a half of the
//! snapshot, all from one half, and judged on the other half, and the other way round; so every sample is judged once at
//! every size and the sizes are paired. The last point is that of the round's folds, told for the whole snapshot as the
//! round's figures are. The method is ridge with the λ that the
//! round chose for all samples, the penalty `λ·n` kept: an eighth of the samples costs 1/512 of the solution.
//!
//! Error falls about as a power of the number of samples (Hestness et al. 2017), so the slope of its logarithm over the
//! last two doublings tells what the next one brings. Its interval is a bootstrap over bursts, paired over the sizes.

use std::ops::Range;

use super::calibration::largest;
use super::candidates::{Step, Trained};
use super::evaluation::{Estimate, careful, grown, percentiles, wilson};
use super::problem::{Problem, mix};
use super::ridge::Ridge;
use super::snapshot::LearnError;
use super::softmax;

/// Parts of each half that are trained on.
const PARTS: [usize; 3] = [4, 2, 1];
/// Sizes behind the slope.
const LAST: usize = 3;

/// Accuracy at one size of the training set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Samples trained on.
    pub samples: usize,
    /// Bursts they come from.
    pub bursts: usize,
    /// Fraction right of held-out samples.
    pub accuracy: Estimate,
}

/// What was measured, burst by burst.
pub(crate) struct Curve {
    /// Samples and bursts trained on at each size, rising.
    sizes: Vec<(usize, usize)>,
    /// `[bursts, sizes]`, wrong samples.
    wrong: Vec<f64>,
    /// The ranges of the bursts, in problem order.
    groups: Vec<Range<usize>>,
}

impl Curve {
    /// Trains and judges; `ridge` is the round's own, whose held-out scores are the last point.
    pub(crate) fn measure(
        problem: &Problem,
        ridge: &Trained,
        seed: u64,
        step: Step,
    ) -> Result<Self, LearnError> {
        let halves = deal(problem, seed);
        let rest = halves.each_ref().map(|half| samples_of(problem, half.iter().map(|&(group, _)| group)));
        let mut sizes: Vec<(usize, usize)> = Vec::new();
        let mut missed: Vec<Vec<bool>> = Vec::new();
        for (at, &part) in PARTS.iter().enumerate() {
            let kept = halves.each_ref().map(|half| {
                half.iter()
                    .filter(|(_, quarter)| quarter * part < 4)
                    .map(|&(group, _)| group)
                    .collect::<Vec<_>>()
            });
            let bursts = (kept[0].len() + kept[1].len()) / 2;
            // Few bursts have fewer sizes than there are parts.
            if kept.iter().any(Vec::is_empty) || sizes.last().is_some_and(|&(_, last)| last == bursts) {
                continue;
            }
            let mut wrong = vec![true; problem.len()];
            let mut samples = 0;
            for (half, kept) in kept.iter().enumerate() {
                step("curve", 2 * at + half)?;
                let train = problem.only(&samples_of(problem, kept.iter().copied()));
                samples += train.len();
                let penalty = ridge.lambda * problem.len() as f64 / train.len() as f64;
                let proceed = &mut || step("curve", 2 * at + half);
                let mut solver = Ridge::new(&train, proceed)?;
                solver.solve(penalty, proceed)?;
                let head = solver.linear();
                drop(solver);
                let test = problem.only(&rest[1 - half]);
                let scores =
                    softmax::held_out(&test.samples(), std::slice::from_ref(&(0..test.len())), &[head]);
                for ((row, &label), &i) in
                    scores.chunks_exact(problem.classes()).zip(&test.labels).zip(&rest[1 - half])
                {
                    wrong[i] = largest(row) != label;
                }
            }
            sizes.push((samples / 2, bursts));
            missed.push(wrong);
        }
        sizes.push((problem.len(), problem.groups.len()));
        missed.push(misses(problem, &ridge.held_out));
        let count = |wrong: &[bool], group: &Range<usize>| {
            wrong[group.clone()].iter().filter(|wrong| **wrong).count() as f64
        };
        let groups = problem.groups.clone();
        let row = |group| missed.iter().map(move |wrong| count(wrong, group));
        let wrong = groups.iter().flat_map(row).collect();
        Ok(Self { sizes, wrong, groups })
    }

    /// The points, rising by size, and the accuracy to be expected of the head with these held-out scores if it had
    /// twice as many bursts, each with its 95 % interval.
    pub(crate) fn conclude(
        &self,
        problem: &Problem,
        held_out: &[f64],
        bootstrap: usize,
        seed: u64,
    ) -> (Vec<CurvePoint>, Estimate) {
        let own = misses(problem, held_out);
        let columns = self.sizes.len() + 2;
        // A row a burst: wrong at each size, wrong by the head, samples.
        let table: Vec<f64> = self
            .groups
            .iter()
            .zip(self.wrong.chunks_exact(self.sizes.len()))
            .flat_map(|(group, wrong)| {
                let own = own[group.clone()].iter().filter(|wrong| **wrong).count();
                wrong.iter().copied().chain([own as f64, group.len() as f64])
            })
            .collect();
        let rows: Vec<&[f64]> = table.chunks_exact(columns).collect();
        let add =
            |sums: &mut [f64], row: &[f64]| sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        let mut sums = vec![0.0; columns];
        rows.iter().for_each(|row| add(&mut sums, row));
        let figures = |sums: &mut [f64]| self.figures(sums, problem);
        let values = figures(&mut sums);
        let mut draws = vec![Vec::with_capacity(bootstrap); columns - 1];
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..bootstrap {
            sums.fill(0.0);
            (0..rows.len()).for_each(|_| add(&mut sums, rows[random.usize(..rows.len())]));
            figures(&mut sums).into_iter().zip(&mut draws).for_each(|(value, draws)| draws.push(value));
        }
        let mut estimates = values.into_iter().zip(&mut draws).map(|(value, draws)| {
            let (low, high) = percentiles(draws).unwrap_or((value, value));
            let floor = wilson(value, rows.len() as f64);
            Estimate { value, low: low.min(floor.0).min(value), high: high.max(floor.1).max(value) }
        });
        let points = self
            .sizes
            .iter()
            .zip(&mut estimates)
            .map(|(&(samples, bursts), accuracy)| CurvePoint { samples, bursts, accuracy })
            .collect();
        let doubled = estimates.next().unwrap_or(Estimate { value: 0.0, low: 0.0, high: 1.0 });
        (points, doubled)
    }

    /// Accuracy at each size, and at twice the last, from sums over bursts.
    fn figures(&self, sums: &mut [f64], problem: &Problem) -> Vec<f64> {
        let (wrong, [own, all]) = sums.split_at_mut(self.sizes.len()) else { return Vec::new() };
        // The folds' heads saw a part of the bursts.
        let whole = |wrong: &mut f64, all: f64| {
            let error = careful(*wrong / all.max(1.0), self.groups.len() as f64);
            *wrong = all * grown(error, problem.part(), problem.classes());
        };
        let all = *all;
        wrong.last_mut().into_iter().chain([&mut *own]).for_each(|wrong| whole(wrong, all));
        let own = *own;
        let mut figures: Vec<f64> = wrong.iter().map(|wrong| 1.0 - wrong / all.max(1.0)).collect();
        let last = self.sizes.len().saturating_sub(LAST);
        let points: Vec<(f64, f64)> = self.sizes[last..]
            .iter()
            .zip(&wrong[last..])
            // Half an error more, or a size without any would be infinitely good.
            .map(|(&(samples, _), wrong)| ((samples as f64).ln(), ((wrong + 0.5) / (all + 1.0)).ln()))
            .collect();
        // A curve that seems to rise is noise: more labels never hurt.
        figures.push(1.0 - own / all.max(1.0) * 2f64.powf(slope(&points).min(0.0)));
        figures
    }
}

/// Least squares; 0 for a single point.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / n, sum.1 + point.1 / n));
    let (mut square, mut product) = (0.0, 0.0);
    for (x, y) in points {
        square += (x - mean.0).powi(2);
        product += (x - mean.0) * (y - mean.1);
    }
    if square > 0.0 { product / square } else { 0.0 }
}

/// Which samples these scores `[n, K]` get wrong.
fn misses(problem: &Problem, scores: &[f64]) -> Vec<bool> {
    scores
        .chunks_exact(problem.classes())
        .zip(&problem.labels)
        .map(|(row, &label)| largest(row) != label)
        .collect()
}

/// Two halves of the bursts, alike in classes: groups with the quarter (0…3) of the half that they lie in. Every class
/// that has two bursts is in both, and in quarter 0 of both.
fn deal(problem: &Problem, seed: u64) -> [Vec<(usize, usize)>; 2] {
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); problem.classes()];
    for (at, group) in problem.groups.iter().enumerate() {
        of_class[problem.labels[group.start]].push(at);
    }
    let mut halves = [Vec::new(), Vec::new()];
    for (class, mut groups) in of_class.into_iter().enumerate() {
        groups.sort_by_key(|&group| mix(group as u64 ^ mix(seed)));
        let size = groups.len().div_ceil(2);
        for (at, group) in groups.into_iter().enumerate() {
            // The odd one of each class goes to another half than that of the class before.
            halves[(at + class) % 2].push((group, 4 * (at / 2) / size));
        }
    }
    halves
}

/// The samples of some groups, rising.
fn samples_of(problem: &Problem, groups: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut groups: Vec<usize> = groups.collect();
    groups.sort_unstable();
    groups.into_iter().flat_map(|group| problem.groups[group].clone()).collect()
}
