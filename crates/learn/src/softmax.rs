//! Multinomial logistic regression with L2 on centred embeddings, classes balanced (see [`super::objective`]).
//! Several fits (the folds of one λ) go in lockstep: one pass over the embeddings serves them all.

use std::ops::Range;
use std::rc::Rc;

use super::cancel::Proceed;
use super::cholesky::dot;
use super::lbfgs::{Found, Lbfgs, Status, Stop};
use super::linear::Linear;
use super::matmul::fused::{Columns, add_scaled, scores};
use super::objective::{BIAS, Point, Samples, Sums, evaluate, offset_of};
use super::snapshot::LearnError;
use super::spectrum::Spectrum;
use super::workers::Workers;
use graft_simd::Isa;

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

/// The samples that a task does not see, and the centre of the others.
type Unseen = (Range<usize>, Vec<f32>);

/// Solves every task at one λ; asks `proceed` before each piece of work.
pub(crate) fn fit(
    samples: &Samples,
    scatter: Option<&Rc<Spectrum>>,
    lambda: f64,
    tasks: Vec<Task>,
    precision: Precision,
    workers: &dyn Workers,
    proceed: Proceed,
) -> Result<Vec<Linear>, LearnError> {
    let centres: Vec<Vec<f32>> = tasks.iter().map(|task| centre_without(samples, &task.held_out)).collect();
    // With one column for two classes, `‖W‖²` of the two is half of that of their difference.
    let lambda = if samples.columns() == 1 { 0.5 * lambda } else { lambda };
    let mut out = Vec::with_capacity(tasks.len());
    let batch = (COLUMNS / samples.columns()).max(1);
    let all: f64 = samples.weights.iter().sum();
    let mut tasks = tasks.into_iter().zip(centres).peekable();
    while tasks.peek().is_some() {
        let (seen, mut solvers): (Vec<Unseen>, Vec<Lbfgs>) = tasks
            .by_ref()
            .take(batch)
            .map(|(task, centre)| {
                let stop =
                    Stop { norm: (2.0 * lambda * precision.gap).sqrt(), part: 0.0, steps: precision.steps };
                let scatter = scatter.map(|scatter| (scatter.clone(), lambda));
                let start = to_vector(&task.start, &centre);
                ((task.held_out, centre), Lbfgs::new(start, scatter, stop))
            })
            .unzip();
        loop {
            let active: Vec<usize> =
                (0..solvers.len()).filter(|&at| solvers[at].status() == Status::Running).collect();
            if active.is_empty() {
                break;
            }
            let point = |at: usize| {
                let (held_out, centre) = &seen[at];
                Point { x: solvers[at].point(), held_out, centre }
            };
            let points: Vec<Point> = active.iter().map(|&at| point(at)).collect();
            let found = evaluate(samples, &points, workers, proceed)?;
            for (at, sums) in active.into_iter().zip(found) {
                let total = all - samples.weights[seen[at].0.clone()].iter().sum::<f64>();
                let found = penalised(sums, solvers[at].point(), samples, total, lambda);
                solvers[at].tell(found);
            }
        }
        let ends = solvers.into_iter().zip(&seen);
        out.extend(ends.map(|(solver, (_, centre))| from_vector(&solver.into_best(), samples, centre)));
    }
    Ok(out)
}

/// The objective from sums over samples of this total weight: their mean, and `½·λ‖W‖²`.
pub(crate) fn penalised(sums: Sums, x: &[f64], samples: &Samples, total: f64, lambda: f64) -> Found {
    // A fold that holds everything leaves nothing to learn from: only the penalty remains.
    let share = 1.0 / total.max(f64::MIN_POSITIVE);
    let Sums { loss, bend, mut gradient } = sums;
    let weights = &x[..samples.columns() * samples.width];
    gradient.iter_mut().for_each(|g| *g *= share);
    gradient.iter_mut().zip(weights).for_each(|(g, x)| *g += lambda * x);
    Found {
        value: share * loss + 0.5 * lambda * dot(weights, weights),
        gradient,
        curvature: share * bend / samples.classes as f64,
    }
}

/// The weighted mean `[width]` of the centred, scaled embeddings without a part; empty where nothing is held out, since
/// their sum over all samples is zero.
fn centre_without(samples: &Samples, held_out: &Range<usize>) -> Vec<f32> {
    if held_out.is_empty() {
        return Vec::new();
    }
    let isa = Isa::detect();
    let (mut row, mut sum) = (vec![0.0f32; samples.width], vec![0.0f32; samples.width]);
    for i in held_out.clone() {
        samples.centred(i..i + 1, &mut row);
        add_scaled(isa, &mut sum, samples.weights[i] as f32, &row);
    }
    let weight = |weights: &[f64]| weights.iter().sum::<f64>();
    let rest = weight(samples.weights) - weight(&samples.weights[held_out.clone()]);
    let share = -1.0 / rest.max(f64::MIN_POSITIVE);
    sum.iter_mut().for_each(|value| *value = (share * f64::from(*value)) as f32);
    sum
}

/// The solver's layout: weights, then biases about this centre; for two classes the second less the first.
fn to_vector(linear: &Linear, centre: &[f32]) -> Vec<f64> {
    let width = linear.weight.len() / linear.bias.len().max(1);
    let (weights, biases) = if let [first, second] = linear.bias[..] {
        let (low, high) = linear.weight.split_at(width);
        (high.iter().zip(low).map(|(high, low)| high - low).collect(), vec![second - first])
    } else {
        (linear.weight.clone(), linear.bias.clone())
    };
    let about = |(bias, column): (f64, &[f64])| (bias + offset_of(column, centre)) / BIAS;
    let biases: Vec<f64> = biases.into_iter().zip(weights.chunks_exact(width.max(1))).map(about).collect();
    weights.into_iter().chain(biases).collect()
}

fn from_vector(x: &[f64], samples: &Samples, centre: &[f32]) -> Linear {
    let (width, classes) = (samples.width, samples.classes);
    let (weight, bias) = x.split_at(width * samples.columns());
    let about = |(bias, column): (&f64, &[f64])| BIAS * bias - offset_of(column, centre);
    let bias: Vec<f64> = bias.iter().zip(weight.chunks_exact(width)).map(about).collect();
    if classes == 2 {
        let half = |sign: f64| weight.iter().map(move |v| sign * 0.5 * v);
        return Linear {
            weight: half(-1.0).chain(half(1.0)).collect(),
            bias: vec![-0.5 * bias[0], 0.5 * bias[0]],
        };
    }
    let mut linear = Linear { weight: weight.to_vec(), bias };
    linear.centre();
    linear
}

/// Scores of the held-out samples of each part by the head trained without it, `[n, K]`.
pub(crate) fn held_out(samples: &Samples, parts: &[Range<usize>], heads: &[Linear]) -> Vec<f64> {
    let (width, classes) = (samples.width, samples.classes);
    let mut out = vec![0.0; samples.order.len() * classes];
    let mut columns = Columns::zero(classes, width);
    let mut found = Vec::new();
    for (part, head) in parts.iter().zip(heads) {
        let mut offsets = head.bias.clone();
        for (class, offset) in offsets.iter_mut().enumerate() {
            let from = &head.weight[class * width..(class + 1) * width];
            let to = columns.column_mut(class);
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from as f32 * samples.scale);
            *offset -= samples.shift(to);
        }
        found.resize(part.len() * classes, 0.0f32);
        scores(Isa::detect(), samples.rows, &samples.order[part.clone()], &columns, &mut found);
        for (at, &score) in found.iter().enumerate() {
            out[part.start * classes + at] = f64::from(score) + offsets[at % classes];
        }
    }
    out
}
