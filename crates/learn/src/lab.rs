//! What `graft-lab` times and nothing of the product calls: the softmax solve by itself, with scikit-learn's objective,
//! one pass over the samples by three means, and how fast memory is read. It stands here because it is made of
//! the solver's own parts; a binary that does not name it is linked without it. The caller holds the clock.

use std::rc::Rc;

use super::lbfgs::{Lbfgs, Status, Stop};
use super::matmul::fused::{self, Columns, Rows};
use super::matmul::{Matrix, MatrixMut, multiply};
use super::objective::{BIAS, Point, Samples, columns, evaluate, residual};
use super::problem;
use super::reduced::Reduced;
use super::snapshot::{LearnError, Snapshot};
use super::softmax::penalised;
use super::spectrum::Spectrum;
use super::workers::Workers;
use graft_simd::Isa;

/// What one softmax solve gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// `[columns, width]`: one column for two classes, else one a class.
    pub weight: Vec<f32>,
    /// `[columns]`.
    pub bias: Vec<f32>,
    /// `Σ loss + ½·penalty·‖W‖²` at the end.
    pub objective: f64,
    /// Passes over the snapshot.
    pub passes: usize,
}

/// Minimises `Σ loss + ½·penalty·‖W‖²` (bias free, samples of equal weight) to about `gap` of its value; `penalty` is
/// `1/C` of scikit-learn. Two classes have one column.
///
/// # Errors
/// As [`Snapshot::check`]; [`LearnError::NotEnough`] with fewer than two classes.
pub fn logistic(
    snapshot: &Snapshot,
    penalty: f64,
    gap: f64,
    workers: &dyn Workers,
) -> Result<Logistic, LearnError> {
    snapshot.check()?;
    if snapshot.classes < 2 || snapshot.is_empty() {
        return Err(LearnError::NotEnough { samples: snapshot.len(), classes: snapshot.classes });
    }
    let (n, width) = (snapshot.len(), snapshot.width);
    let order: Vec<u32> = (0..n as u32).collect();
    let labels: Vec<usize> = snapshot.labels.iter().map(|&label| label as usize).collect();
    let weights = vec![1.0; n];
    let (centre, square) = problem::centre(snapshot, &order, &weights, &mut || Ok(()))?;
    let scale = (1.0 / square.sqrt()) as f32;
    let full = Samples {
        rows: Rows::Half(&snapshot.embeddings),
        width,
        order: &order,
        labels: &labels,
        weights: &weights,
        classes: snapshot.classes,
        centre: &centre,
        scale,
    };
    let columns = columns(snapshot.classes);
    let reduced = Reduced::of(&full, 1, &mut || Ok(()))?;
    let samples = reduced.as_ref().map_or(full, |reduced| reduced.samples(&full));
    let lambda = penalty / n as f64 * f64::from(scale) * f64::from(scale);
    let scatter = Spectrum::of(&samples, &mut || Ok(()))?.map(|scatter| (Rc::new(scatter), lambda));
    let stop = Stop { norm: 0.0, part: gap, steps: 3000 };
    let mut solver = Lbfgs::new(vec![0.0; columns * (samples.width + 1)], scatter, stop);
    let mut passes = 0;
    while solver.status() == Status::Running {
        let point = Point { x: solver.point(), held_out: &(0..0), centre: &[] };
        for sums in evaluate(&samples, &[point], workers, &mut || Ok(()))? {
            let found = penalised(sums, solver.point(), &samples, n as f64, lambda);
            solver.tell(found);
        }
        passes += 1;
    }
    let mut objective = solver.value() * n as f64;
    let mut x = solver.into_best();
    if let Some(reduced) = reduced {
        let biases = x.split_off(columns * n);
        x = reduced.expand(&full, &x);
        x.extend(biases);
        // What is told is what the head for the embeddings themselves has.
        for sums in
            evaluate(&full, &[Point { x: &x, held_out: &(0..0), centre: &[] }], workers, &mut || Ok(()))?
        {
            objective = penalised(sums, &x, &full, n as f64, lambda).value * n as f64;
        }
        passes += 1;
    }
    let weight: Vec<f32> = x[..columns * width].iter().map(|&v| (v * f64::from(scale)) as f32).collect();
    let bias = weight.chunks_exact(width).zip(&x[columns * width..]);
    let bias = bias.map(|(own, &bias)| (BIAS * bias - full.shift(own)) as f32).collect();
    Ok(Logistic { weight, bias, objective, passes })
}

/// One loss and gradient of softmax over all samples, with one column a class, by different means.
pub struct Pass<'a> {
    snapshot: &'a Snapshot,
    order: Vec<u32>,
    /// Embeddings in f32, `[samples, width]`, for the two that cannot read f16.
    single: Vec<f32>,
    weights: Columns,
    isa: Isa,
}

impl<'a> Pass<'a> {
    /// At some weights that are not zero.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let mut weights = Columns::zero(snapshot.classes, snapshot.width);
        for at in 0..snapshot.classes {
            weights.column_mut(at).fill_with(|| 0.02 * (random.f32() - 0.5));
        }
        let single = snapshot.embeddings.iter().map(|value| value.to_f32()).collect();
        let order = (0..snapshot.len() as u32).collect();
        Self { snapshot, order, single, weights, isa: Isa::detect() }
    }

    /// Multiplications and additions of one pass.
    pub fn flops(&self) -> f64 {
        4.0 * (self.snapshot.len() * self.snapshot.width * self.snapshot.classes) as f64
    }

    /// By the kernels of this crate, from f16.
    pub fn fused(&self) -> (f64, Vec<f32>) {
        let mut gradient = Columns::zero(self.weights.count, self.weights.width);
        let mut loss = 0.0;
        let rows = Rows::Half(&self.snapshot.embeddings);
        let room = &mut Vec::new();
        fused::pass(self.isa, rows, &self.order, &self.weights, &mut gradient, room, &mut |first, scores| {
            loss += self.residuals(first, scores);
        });
        let columns = (0..gradient.count).flat_map(|at| gradient.column(at).to_vec());
        (loss, columns.collect())
    }

    /// By two products of `matrixmultiply`, from f32.
    pub fn product(&self) -> (f64, Vec<f32>) {
        let (n, width, classes) = (self.snapshot.len(), self.snapshot.width, self.snapshot.classes);
        let x = Matrix::new(&self.single, n, width);
        let w = Matrix::strided(&self.weights.values, classes, width, fused::stride(width));
        let (mut scores, mut gradient) = (vec![0.0; n * classes], vec![0.0; classes * width]);
        multiply(1.0, x, w.transposed(), 0.0, MatrixMut::new(&mut scores, n, classes));
        let loss = self.residuals(0, &mut scores);
        let r = Matrix::new(&scores, n, classes);
        multiply(1.0, r.transposed(), x, 0.0, MatrixMut::new(&mut gradient, classes, width));
        (loss, gradient)
    }

    /// By loops as anybody would write them, from f32.
    pub fn naive(&self) -> (f64, Vec<f32>) {
        let (width, classes) = (self.snapshot.width, self.snapshot.classes);
        let (mut loss, mut gradient) = (0.0, vec![0.0; classes * width]);
        let mut scores = vec![0.0; classes];
        for (i, row) in self.single.chunks_exact(width).enumerate() {
            for (class, score) in scores.iter_mut().enumerate() {
                *score = 0.0;
                for (x, w) in row.iter().zip(self.weights.column(class)) {
                    *score += x * w;
                }
            }
            loss += self.residuals(i, &mut scores);
            for (score, own) in scores.iter().zip(gradient.chunks_exact_mut(width)) {
                for (to, x) in own.iter_mut().zip(row) {
                    *to += score * x;
                }
            }
        }
        (loss, gradient)
    }

    fn residuals(&self, first: usize, scores: &mut [f32]) -> f64 {
        let labels = self.snapshot.labels[first..].iter();
        let rows = scores.chunks_exact_mut(self.snapshot.classes.max(1)).zip(labels);
        rows.map(|(scores, &label)| residual(scores, label as usize, 1.0).0).sum()
    }
}

/// Reads every number once.
pub fn sweep(values: &[f32]) -> f32 {
    fused::dot(Isa::detect(), values, values)
}

/// A ridge head in closed form at one λ, a multiple of the mean square norm: what linear discriminant analysis is
/// compared with.
///
/// # Errors
/// As [`super::train`].
pub fn ridge(snapshot: &Snapshot, lambda: f64) -> Result<Vec<f32>, LearnError> {
    let problem = problem::Problem::new(snapshot, 2, 0, &mut || Ok(()))?;
    let mut ridge = super::ridge::Ridge::new(&problem, &mut || Ok(()))?;
    ridge.solve(lambda, &mut || Ok(()))?;
    let (weight, _) = ridge.linear().unfold(&problem);
    Ok(weight)
}
