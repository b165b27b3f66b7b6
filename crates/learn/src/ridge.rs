//! Class-balanced ridge regression with exact leave-one-burst-out, in f64.
//!
//! With `A [n, d+1]` the centred, scaled embeddings and a constant feature `√c`, `S = diag(√w)` and targets
//! `Y [n, K]` (one-hot minus `1/K`), the head minimises `‖S(A·V − Y)‖² + λ‖V‖²`. `c = 10` times the mean square norm
//! leaves the bias all but unpenalised. Two forms of the same solution:
//! * `n ≤ d`, dual: `K = S·A·Aᵀ·S`, `P = (K + λI)⁻¹`, `α = P·S·Y`; without burst B the residual on B is
//!   `P_BB⁻¹·α_B` (Rifkin & Lippert 2007, in blocks).
//! * `n > d`, primal: `M = Aᵀ·S²·A + λI`; without B the residual is `(I − H_BB)⁻¹(y − ŷ)_B`, `H_BB = A_B·M⁻¹·A_Bᵀ`
//!   (Woodbury), or for a burst wider than half the embedding, `M` down-dated and solved anew.
//!
//! Both keep weights and centre of the whole snapshot fixed while a burst is out. All of it is f64: in f32 with
//! `n < d` the diagonal of `I − H` is rounding noise and the residuals come out as if every sample were seen.

use std::ops::Range;

use super::cancel::Proceed;
use super::cholesky::{dot, factor, invert_lower, lower_square, solve, solve_inverse, times_transposed};
use super::linear::Linear;
use super::matmul::{Matrix, MatrixMut, add_gram_lower, mirror_lower, multiply};
use super::problem::Problem;
use super::snapshot::LearnError;

/// The constant feature, squared, as a multiple of the mean square norm of an embedding (which is 1).
pub(crate) const CONSTANT: f64 = 10.0;
/// Rows per block of a pass over the snapshot.
const ROWS: usize = 192;
/// Numbers of the samples of small parts that share one product with the inverse factor.
const SHARED: usize = 100_000;
/// Bursts up to this many samples are too small for a matrix product to be worth its preparations.
const NARROW: usize = 24;

/// A ridge problem, to be solved for any λ, one after the other.
pub(crate) struct Ridge<'p, 'a> {
    problem: &'p Problem<'a>,
    /// `√w`-weighted targets, `[n, K]`.
    targets: Vec<f64>,
    /// `Q [d+1, K]`; none in the dual form, whose right side are the targets.
    moments: Option<Vec<f64>>,
    /// `[n, n]` or `[d+1, d+1]`, the largest thing of a round. Above the diagonal: `K` or `G`; on and below it: what was
    /// made of them for the λ that was solved for last.
    square: Vec<f64>,
    /// The diagonal of `K` or `G`.
    diagonal: Vec<f64>,
    solved: Solved,
}

/// The solution at one λ.
#[derive(Clone, Default)]
pub(crate) struct Solved {
    /// As added to the diagonal.
    lambda: f64,
    /// `α [n, K]` or `V [d+1, K]`.
    coefficients: Vec<f64>,
    /// The lower triangle of the square is the inverse Cholesky factor.
    inverse: bool,
}

impl<'p, 'a> Ridge<'p, 'a> {
    pub(crate) fn new(problem: &'p Problem<'a>, proceed: Proceed) -> Result<Self, LearnError> {
        let (n, classes) = (problem.len(), problem.classes());
        let mut targets = vec![-1.0 / classes as f64; n * classes];
        for (i, &label) in problem.labels.iter().enumerate() {
            targets[i * classes + label] += 1.0;
            let root = problem.weights[i].sqrt();
            targets[i * classes..(i + 1) * classes].iter_mut().for_each(|target| *target *= root);
        }
        let dual = n <= problem.width();
        let size = if dual { n } else { problem.width() + 1 };
        let mut ridge = Self {
            problem,
            targets,
            moments: None,
            square: vec![0.0; size * size],
            diagonal: Vec::new(),
            solved: Solved::default(),
        };
        if dual {
            let a = ridge.weighted_rows(0..n);
            add_gram_lower(1.0, Matrix::new(&a, n, ridge.dimension()), &mut ridge.square, n, proceed)?;
        } else {
            let mut moments = vec![0.0; size * classes];
            ridge.add_sums(1.0, 0..n, &mut moments, proceed)?;
            ridge.moments = Some(moments);
        }
        mirror_lower(&mut ridge.square, size);
        ridge.diagonal = ridge.square.iter().step_by(size + 1).copied().collect();
        Ok(ridge)
    }

    /// Embedding width with the constant feature.
    fn dimension(&self) -> usize {
        self.problem.width() + 1
    }

    /// `√w·[a, √c]` of a range, `[range, d+1]`.
    fn weighted_rows(&self, range: Range<usize>) -> Vec<f64> {
        let mut row = vec![0.0f32; self.problem.width()];
        let mut out = Vec::with_capacity(range.len() * self.dimension());
        for i in range {
            self.problem.rows(i..i + 1, &mut row);
            let root = self.problem.weights[i].sqrt();
            out.extend(row.iter().map(|&value| root * f64::from(value)));
            out.push(root * CONSTANT.sqrt());
        }
        out
    }

    /// Adds `sign·Σ w·a·aᵀ` to the lower triangle, and `sign·Σ w·a·yᵀ` to `moments`, over a range.
    fn add_sums(
        &mut self,
        sign: f64,
        range: Range<usize>,
        moments: &mut [f64],
        proceed: Proceed,
    ) -> Result<(), LearnError> {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        for start in range.clone().step_by(ROWS) {
            let end = (start + ROWS).min(range.end);
            let rows = self.weighted_rows(start..end);
            let a = Matrix::new(&rows, end - start, dimension).transposed();
            add_gram_lower(sign, a, &mut self.square, dimension, proceed)?;
            let y = Matrix::new(&self.targets[start * classes..end * classes], end - start, classes);
            multiply(sign, a, y, 1.0, MatrixMut::new(moments, dimension, classes));
        }
        Ok(())
    }

    /// Whether this is the form for fewer samples than dimensions, where residuals cost no more than the solution.
    pub(crate) fn is_dual(&self) -> bool {
        self.moments.is_none()
    }

    /// Solves for one λ, a multiple of the mean square norm of an embedding.
    pub(crate) fn solve(&mut self, lambda: f64, proceed: Proceed) -> Result<(), LearnError> {
        // The sum over n samples of a mean square norm of 1 is n.
        self.solved.lambda = lambda * self.problem.len() as f64;
        self.invert(proceed)?;
        let right = self.moments.as_ref().unwrap_or(&self.targets);
        self.solved.coefficients =
            solve_inverse(&self.square, self.diagonal.len(), right, self.problem.classes());
        Ok(())
    }

    /// The solution at hand, to come back to.
    pub(crate) fn solution(&self) -> Solved {
        self.solved.clone()
    }

    /// Comes back to a solution; its factor is made anew where it is asked for.
    pub(crate) fn resume(&mut self, solution: Solved) {
        self.solved = Solved { inverse: false, ..solution };
    }

    /// Sets the lower triangle to that of `K + λI` or `G + λI`.
    fn shift(&mut self) {
        // In tiles: a whole column would miss the cache at every element.
        const TILE: usize = 32;
        let size = self.diagonal.len();
        for top in (0..size).step_by(TILE) {
            for left in (0..=top).step_by(TILE) {
                for i in top..(top + TILE).min(size) {
                    for j in left..(left + TILE).min(i) {
                        self.square[i * size + j] = self.square[j * size + i];
                    }
                }
            }
        }
        for (i, value) in self.diagonal.iter().enumerate() {
            self.square[i * size + i] = value + self.solved.lambda;
        }
        self.solved.inverse = false;
    }

    /// Factors the lower triangle. The λ bounds its pivots from below, but for rounding.
    fn factor(&mut self, proceed: Proceed) -> Result<(), LearnError> {
        factor(&mut self.square, self.diagonal.len(), self.solved.lambda * 1e-3, proceed)
    }

    /// Makes the lower triangle the inverse factor.
    fn invert(&mut self, proceed: Proceed) -> Result<(), LearnError> {
        self.shift();
        self.factor(proceed)?;
        invert_lower(&mut self.square, self.diagonal.len(), proceed)?;
        self.solved.inverse = true;
        Ok(())
    }

    /// The head of the solution.
    pub(crate) fn linear(&self) -> Linear {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        if !self.is_dual() {
            let columns = &self.solved.coefficients;
            return Linear::from_columns(columns, self.problem.width(), classes, CONSTANT.sqrt());
        }
        let mut values = vec![0.0; dimension * classes];
        for start in (0..self.problem.len()).step_by(ROWS) {
            let end = (start + ROWS).min(self.problem.len());
            let rows = self.weighted_rows(start..end);
            let alpha = &self.solved.coefficients[start * classes..end * classes];
            multiply(
                1.0,
                Matrix::new(&rows, end - start, dimension).transposed(),
                Matrix::new(alpha, end - start, classes),
                1.0,
                MatrixMut::new(&mut values, dimension, classes),
            );
        }
        Linear::from_columns(&values, self.problem.width(), classes, CONSTANT.sqrt())
    }

    /// Scores of the samples in `parts`, each by the head that never saw its part: `[n, K]`, other rows zero.
    /// Parts are groups or folds (or any other disjoint ranges), in rising order.
    pub(crate) fn held_out(
        &mut self,
        parts: &[Range<usize>],
        proceed: Proceed,
    ) -> Result<Vec<f64>, LearnError> {
        let mut scores = vec![0.0; self.problem.len() * self.problem.classes()];
        if self.is_dual() {
            if !self.solved.inverse {
                self.invert(proceed)?;
            }
            for part in parts {
                let residual = self.dual_residual(part, proceed)?;
                self.write(part, &residual, &mut scores);
            }
            return Ok(scores);
        }
        let bound = (self.dimension() / 2).max(ROWS);
        let (small, large): (Vec<_>, Vec<_>) = parts.iter().cloned().partition(|part| part.len() <= bound);
        if !small.is_empty() && !self.solved.inverse {
            self.invert(proceed)?;
        }
        let shared = (SHARED / self.dimension()).max(ROWS / 2);
        let mut at = 0;
        while at < small.len() {
            let start = at;
            let mut rows = 0;
            while at < small.len() && (at == start || rows + small[at].len() <= shared) {
                rows += small[at].len();
                at += 1;
            }
            self.woodbury(&small[start..at], &mut scores, proceed)?;
        }
        for part in &large {
            let residual = self.without(part, proceed)?;
            self.write(part, &residual, &mut scores);
        }
        Ok(scores)
    }

    /// `(P_BB)⁻¹·α_B`: weighted residuals without B.
    fn dual_residual(&self, part: &Range<usize>, proceed: Proceed) -> Result<Vec<f64>, LearnError> {
        let (n, classes, size) = (self.problem.len(), self.problem.classes(), part.len());
        // Columns of the inverse factor: the triangle on the diagonal, and what lies below it.
        let top = lower_square(&self.square[part.start * n + part.start..], size, n);
        let mut block = vec![0.0; size * size];
        add_gram_lower(1.0, Matrix::new(&top, size, size).transposed(), &mut block, size, proceed)?;
        if part.end < n {
            let below = &self.square[part.end * n + part.start..];
            let below = Matrix::strided(below, n - part.end, size, n);
            add_gram_lower(1.0, below.transposed(), &mut block, size, proceed)?;
        }
        let mut residual = self.solved.coefficients[part.start * classes..part.end * classes].to_vec();
        factor(&mut block, size, 0.0, proceed)?;
        solve(&block, size, &mut residual, classes);
        Ok(residual)
    }

    /// `(I − H_BB)⁻¹(y − ŷ)_B` for some small parts.
    fn woodbury(
        &self,
        parts: &[Range<usize>],
        scores: &mut [f64],
        proceed: Proceed,
    ) -> Result<(), LearnError> {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        let size = parts.iter().map(Range::len).sum();
        let rows: Vec<f64> = parts.iter().flat_map(|part| self.weighted_rows(part.clone())).collect();
        let projected = times_transposed(&rows, &self.square, dimension, proceed)?;
        let mut residuals: Vec<f64> = parts
            .iter()
            .flat_map(|part| &self.targets[part.start * classes..part.end * classes])
            .copied()
            .collect();
        let v = Matrix::new(&self.solved.coefficients, dimension, classes);
        let a = Matrix::new(&rows, size, dimension);
        multiply(-1.0, a, v, 1.0, MatrixMut::new(&mut residuals, size, classes));
        let mut to = 0;
        for part in parts {
            let size = part.len();
            let from = to;
            to += size;
            let z = &projected[from * dimension..to * dimension];
            let mut block = vec![0.0; size * size];
            block.iter_mut().step_by(size + 1).for_each(|one| *one = 1.0);
            if size <= NARROW {
                for (i, j) in (0..size).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                    let row = |at: usize| &z[at * dimension..(at + 1) * dimension];
                    block[i * size + j] -= dot(row(i), row(j));
                }
            } else {
                add_gram_lower(-1.0, Matrix::new(z, size, dimension), &mut block, size, proceed)?;
            }
            let residual = &mut residuals[from * classes..to * classes];
            factor(&mut block, size, 0.0, proceed)?;
            solve(&block, size, residual, classes);
            self.write(part, residual, scores);
        }
        Ok(())
    }

    /// Weighted residuals on a large part by solving without it. The inverse factor is gone afterwards.
    fn without(&mut self, part: &Range<usize>, proceed: Proceed) -> Result<Vec<f64>, LearnError> {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        self.shift();
        let mut v = self.moments.clone().unwrap_or_default();
        self.add_sums(-1.0, part.clone(), &mut v, proceed)?;
        self.factor(proceed)?;
        solve(&self.square, dimension, &mut v, classes);
        let mut residual = self.targets[part.start * classes..part.end * classes].to_vec();
        for start in part.clone().step_by(ROWS) {
            let end = (start + ROWS).min(part.end);
            let rows = self.weighted_rows(start..end);
            let out = &mut residual[(start - part.start) * classes..(end - part.start) * classes];
            let a = Matrix::new(&rows, end - start, dimension);
            let out = MatrixMut::new(out, end - start, classes);
            multiply(-1.0, a, Matrix::new(&v, dimension, classes), 1.0, out);
        }
        Ok(residual)
    }

    /// Scores `ŷ = y − r/√w` of one part.
    fn write(&self, part: &Range<usize>, residual: &[f64], scores: &mut [f64]) {
        let classes = self.problem.classes();
        for (at, i) in part.clone().enumerate() {
            let root = self.problem.weights[i].sqrt();
            for class in 0..classes {
                let target = self.targets[i * classes + class];
                scores[i * classes + class] = (target - residual[at * classes + class]) / root;
            }
        }
    }
}
