//! Multinomial logistic regression with L2 on centred embeddings, classes balanced.
//!
//! `f(W, b) = Σ w·(logsumexp(z) − z_y) / Σ w + ½·λ‖W‖²`, `z = W·a + b`, the bias not penalised. Several problems
//! (the folds of one λ) are solved in lockstep: one pass over the embeddings serves them all.

use std::ops::Range;

use super::lbfgs::{Lbfgs, Status};
use super::linear::Linear;
use super::matmul::{Matrix, MatrixMut, multiply};
use super::problem::Problem;
use super::snapshot::LearnError;

/// Rows per block of a pass: many, as the weights are packed anew for each.
const ROWS: usize = 1024;
/// Columns (classes × problems) that one pass serves.
const COLUMNS: usize = 64;

/// How far a solution is driven.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precision {
    /// How far above its minimum the objective may end, in nats. By strong convexity a gradient norm of
    /// `√(2·λ·gap)` is enough.
    pub gap: f64,
    /// Most steps.
    pub steps: usize,
}

/// One fit: the samples it does not see, and where it starts.
pub(crate) struct Task {
    pub held_out: Range<usize>,
    pub start: Linear,
}

/// Solves every task at one λ; asks `proceed` before each pass.
pub(crate) fn fit(
    problem: &Problem,
    lambda: f64,
    tasks: Vec<Task>,
    precision: Precision,
    proceed: &mut dyn FnMut() -> Result<(), LearnError>,
) -> Result<Vec<Linear>, LearnError> {
    let classes = problem.classes();
    let mut out = Vec::with_capacity(tasks.len());
    let batch = (COLUMNS / classes).max(1);
    let mut tasks = tasks.into_iter().peekable();
    while tasks.peek().is_some() {
        let (ranges, mut solvers): (Vec<Range<usize>>, Vec<Lbfgs>) = tasks
            .by_ref()
            .take(batch)
            .map(|task| {
                let mut x = task.start.to_columns(classes);
                x.extend(task.start.bias);
                (task.held_out, Lbfgs::new(x, (2.0 * lambda * precision.gap).sqrt(), precision.steps))
            })
            .unzip();
        loop {
            let active: Vec<usize> =
                (0..solvers.len()).filter(|&at| solvers[at].status() == Status::Running).collect();
            if active.is_empty() {
                break;
            }
            proceed()?;
            let points: Vec<&[f64]> = active.iter().map(|&at| solvers[at].point()).collect();
            let held_out: Vec<&Range<usize>> = active.iter().map(|&at| &ranges[at]).collect();
            let found = evaluate(problem, lambda, &points, &held_out);
            for (at, (f, gradient)) in active.into_iter().zip(found) {
                solvers[at].tell(f, gradient);
            }
        }
        out.extend(solvers.into_iter().map(|solver| linear(&solver.into_best(), classes)));
    }
    Ok(out)
}

/// From the solver's layout: `[width, classes]`, then the bias.
fn linear(x: &[f64], classes: usize) -> Linear {
    let mut linear = Linear::from_columns(x, x.len() / classes - 1, classes, 1.0);
    linear.centre();
    linear
}

/// Values and gradients of several problems in one pass.
fn evaluate(
    problem: &Problem,
    lambda: f64,
    points: &[&[f64]],
    held_out: &[&Range<usize>],
) -> Vec<(f64, Vec<f64>)> {
    let (width, classes) = (problem.width(), problem.classes());
    let columns = points.len() * classes;
    let mut weights = vec![0.0f32; width * columns];
    for (at, x) in points.iter().enumerate() {
        for (row, own) in weights.chunks_exact_mut(columns).zip(x.chunks_exact(classes)) {
            let row = &mut row[at * classes..(at + 1) * classes];
            row.iter_mut().zip(own).for_each(|(weight, &value)| *weight = value as f32);
        }
    }
    let mut gradient = vec![0.0f32; width * columns];
    let mut scores = vec![0.0f32; ROWS.min(problem.len()) * columns];
    let mut losses = vec![0.0f64; points.len()];
    let mut totals = vec![0.0f64; points.len()];
    let mut bias_gradient = vec![0.0f64; columns];
    problem.blocks(ROWS, |block| {
        let size = block.range.len();
        let scores = &mut scores[..size * columns];
        let a = Matrix::strided(block.turned, width, size, block.stride).transposed();
        let w = Matrix::new(&weights, width, columns);
        multiply(1.0, a, w, 0.0, MatrixMut::new(scores, size, columns));
        for (i, scores) in block.range.zip(scores.chunks_exact_mut(columns)) {
            let weight = problem.weights[i];
            for (at, scores) in scores.chunks_exact_mut(classes).enumerate() {
                if held_out[at].contains(&i) {
                    scores.fill(0.0);
                    continue;
                }
                let bias = &points[at][width * classes..];
                losses[at] += weight * residual(scores, bias, problem.labels[i], weight);
                totals[at] += weight;
                for (sum, &r) in bias_gradient[at * classes..].iter_mut().zip(scores.iter()) {
                    *sum += f64::from(r);
                }
            }
        }
        let a = Matrix::new(block.rows, size, width).transposed();
        multiply(
            1.0,
            a,
            Matrix::new(scores, size, columns),
            1.0,
            MatrixMut::new(&mut gradient, width, columns),
        );
    });
    let mut out = Vec::with_capacity(points.len());
    for (at, x) in points.iter().enumerate() {
        // A fold that holds everything leaves nothing to learn from: only the penalty remains.
        let total = totals[at].max(f64::MIN_POSITIVE);
        let penalty: f64 = x[..width * classes].iter().map(|v| v * v).sum();
        let mut g = Vec::with_capacity(x.len());
        for (row, own) in gradient.chunks_exact(columns).zip(x.chunks_exact(classes)) {
            let row = &row[at * classes..(at + 1) * classes];
            g.extend(row.iter().zip(own).map(|(&g, &v)| f64::from(g) / total + lambda * v));
        }
        g.extend(bias_gradient[at * classes..(at + 1) * classes].iter().map(|sum| sum / total));
        out.push((losses[at] / total + 0.5 * lambda * penalty, g));
    }
    out
}

/// Turns scores without bias into `weight·(softmax − one-hot)` in place; returns the cross-entropy.
fn residual(scores: &mut [f32], bias: &[f64], label: usize, weight: f64) -> f64 {
    let mut largest = f32::NEG_INFINITY;
    for (score, &bias) in scores.iter_mut().zip(bias) {
        *score += bias as f32;
        largest = largest.max(*score);
    }
    let own = f64::from(scores[label] - largest);
    let mut sum = 0.0f32;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    let factor = weight as f32 / sum;
    scores.iter_mut().for_each(|score| *score *= factor);
    scores[label] -= weight as f32;
    f64::from(sum).ln() - own
}

/// Scores of the held-out samples of each part by the head trained without it, `[n, K]`.
pub(crate) fn held_out(problem: &Problem, parts: &[Range<usize>], heads: &[Linear]) -> Vec<f64> {
    let (width, classes) = (problem.width(), problem.classes());
    let mut out = vec![0.0; problem.len() * classes];
    let mut rows = vec![0.0f32; ROWS * width];
    for (part, head) in parts.iter().zip(heads) {
        let weight: Vec<f32> = head.weight.iter().map(|&v| v as f32).collect();
        let mut scores = vec![0.0f32; ROWS * classes];
        for start in part.clone().step_by(ROWS) {
            let end = (start + ROWS).min(part.end);
            let size = end - start;
            problem.rows(start..end, &mut rows[..size * width]);
            let a = Matrix::new(&rows[..size * width], size, width);
            let w = Matrix::new(&weight, classes, width).transposed();
            multiply(1.0, a, w, 0.0, MatrixMut::new(&mut scores[..size * classes], size, classes));
            for (at, &score) in scores[..size * classes].iter().enumerate() {
                out[start * classes + at] = f64::from(score) + head.bias[at % classes];
            }
        }
    }
    out
}
