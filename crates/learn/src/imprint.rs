//! Imprinted weights: the normalised, centred mean embedding of each class (Qi et al. 2018). Instant, and sensible
//! from one sample a class on; the solvers overtake it at a handful.

use std::ops::Range;

use super::linear::Linear;
use super::problem::Problem;

/// Class sums of centred embeddings.
struct Sums {
    /// `[classes, width]`.
    sums: Vec<f64>,
    counts: Vec<usize>,
}

impl Sums {
    fn add(&mut self, row: &[f32], class: usize, sign: f64) {
        let width = row.len();
        for (sum, &value) in self.sums[class * width..(class + 1) * width].iter_mut().zip(row) {
            *sum += sign * f64::from(value);
        }
        if sign > 0.0 {
            self.counts[class] += 1;
        } else {
            self.counts[class] = self.counts[class].saturating_sub(1);
        }
    }

    fn without(&self, problem: &Problem, part: &Range<usize>) -> Linear {
        let mut rest = Self { sums: self.sums.clone(), counts: self.counts.clone() };
        let mut row = vec![0.0f32; problem.width()];
        for i in part.clone() {
            problem.rows(i..i + 1, &mut row);
            rest.add(&row, problem.labels[i], -1.0);
        }
        rest.linear()
    }

    fn linear(&self) -> Linear {
        let classes = self.counts.len();
        let width = self.sums.len() / classes.max(1);
        let mut means = self.sums.clone();
        let known = self.counts.iter().filter(|&&count| count > 0).count().max(1);
        let mut centre = vec![0.0; width];
        for (row, &count) in means.chunks_exact_mut(width).zip(&self.counts) {
            row.iter_mut().for_each(|value| *value /= count.max(1) as f64);
            centre.iter_mut().zip(&*row).for_each(|(centre, value)| *centre += value / known as f64);
        }
        let mut head = Linear { weight: means, bias: vec![0.0; classes] };
        for ((row, bias), &count) in head.weight.chunks_exact_mut(width).zip(&mut head.bias).zip(&self.counts)
        {
            if count == 0 {
                // A class whose every sample is held out is not known to this head.
                row.fill(0.0);
                *bias = -1.0;
                continue;
            }
            row.iter_mut().zip(&centre).for_each(|(value, centre)| *value -= centre);
            let norm = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            if norm > 1e-12 {
                row.iter_mut().for_each(|value| *value /= norm);
            } else {
                row.fill(0.0);
            }
            *bias = -row.iter().zip(&centre).map(|(value, centre)| value * centre).sum::<f64>();
        }
        head
    }
}

fn sums(problem: &Problem) -> Sums {
    let mut sums =
        Sums { sums: vec![0.0; problem.classes() * problem.width()], counts: vec![0; problem.classes()] };
    let mut row = vec![0.0f32; problem.width()];
    for i in 0..problem.len() {
        problem.rows(i..i + 1, &mut row);
        sums.add(&row, problem.labels[i], 1.0);
    }
    sums
}

/// The head of all samples.
pub(crate) fn fit(problem: &Problem) -> Linear {
    sums(problem).linear()
}

/// The head of all other samples, for each part.
pub(crate) fn without(problem: &Problem, parts: &[Range<usize>]) -> Vec<Linear> {
    let sums = sums(problem);
    parts.iter().map(|part| sums.without(problem, part)).collect()
}

/// Scores `[n, K]` of each sample by the head of all other parts.
pub(crate) fn held_out(problem: &Problem, parts: &[Range<usize>]) -> Vec<f64> {
    let (width, classes) = (problem.width(), problem.classes());
    let sums = sums(problem);
    let mut row = vec![0.0f32; width];
    let mut scores = vec![0.0; problem.len() * classes];
    for part in parts {
        let head = sums.without(problem, part);
        for i in part.clone() {
            problem.rows(i..i + 1, &mut row);
            for (class, weight) in head.weight.chunks_exact(width).enumerate() {
                let score: f64 = weight.iter().zip(&row).map(|(w, &v)| w * f64::from(v)).sum();
                scores[i * classes + class] = score + head.bias[class];
            }
        }
    }
    scores
}
