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

use super::cholesky::{factor, invert_lower, solve, solve_inverse};
use super::linear::Linear;
use super::matmul::{Matrix, MatrixMut, add_gram_lower, multiply, multiply_in_pieces};
use super::problem::{Problem, Proceed};
use super::snapshot::LearnError;

/// The constant feature, squared, as a multiple of the mean square norm of an embedding (which is 1).
pub(crate) const CONSTANT: f64 = 10.0;
/// Rows per block of a pass over the snapshot.
const ROWS: usize = 256;

/// A ridge problem ready to be solved for any λ.
pub(crate) struct Ridge<'p, 'a> {
    problem: &'p Problem<'a>,
    /// `√w`-weighted targets, `[n, K]`.
    targets: Vec<f64>,
    form: Form,
}

enum Form {
    /// Lower triangle of `K [n, n]`.
    Dual(Vec<f64>),
    /// Lower triangle of `G [d+1, d+1]`, and `Q [d+1, K]`.
    Primal(Vec<f64>, Vec<f64>),
}

/// The solution at one λ: the inverse Cholesky factor and the coefficients, `α [n, K]` or `V [d+1, K]`.
pub(crate) struct Solved {
    lambda: f64,
    inverse: Vec<f64>,
    coefficients: Vec<f64>,
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
        let mut ridge = Self { problem, targets, form: Form::Dual(Vec::new()) };
        ridge.form = if n <= problem.width() {
            let a = ridge.weighted_rows(0..n);
            let mut gram = vec![0.0; n * n];
            add_gram_lower(Matrix::new(&a, n, ridge.dimension()), &mut gram, proceed)?;
            Form::Dual(gram)
        } else {
            let (gram, moments) = ridge.gram(&(0..n), proceed)?;
            Form::Primal(gram, moments)
        };
        Ok(ridge)
    }

    /// Embedding width with the constant feature.
    fn dimension(&self) -> usize {
        self.problem.width() + 1
    }

    /// `√w·[a, √c]` of a range, `[range, d+1]`.
    fn weighted_rows(&self, range: Range<usize>) -> Vec<f64> {
        let width = self.problem.width();
        let mut single = vec![0.0f32; range.len() * width];
        self.problem.rows(range.clone(), &mut single);
        let mut out = Vec::with_capacity(range.len() * (width + 1));
        for (row, i) in single.chunks_exact(width).zip(range) {
            let root = self.problem.weights[i].sqrt();
            out.extend(row.iter().map(|&value| root * f64::from(value)));
            out.push(root * CONSTANT.sqrt());
        }
        out
    }

    /// `Σ w·a·aᵀ` (lower triangle) and `Σ w·a·yᵀ` over a range.
    fn gram(&self, range: &Range<usize>, proceed: Proceed) -> Result<(Vec<f64>, Vec<f64>), LearnError> {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        let mut gram = vec![0.0; dimension * dimension];
        let mut moments = vec![0.0; dimension * classes];
        for start in range.clone().step_by(ROWS) {
            let end = (start + ROWS).min(range.end);
            let rows = self.weighted_rows(start..end);
            let a = Matrix::new(&rows, end - start, dimension).transposed();
            add_gram_lower(a, &mut gram, proceed)?;
            let y = Matrix::new(&self.targets[start * classes..end * classes], end - start, classes);
            multiply(1.0, a, y, 1.0, MatrixMut::new(&mut moments, dimension, classes));
        }
        Ok((gram, moments))
    }

    /// Whether this is the form for fewer samples than dimensions, where residuals cost no more than the solution.
    pub(crate) fn is_dual(&self) -> bool {
        matches!(self.form, Form::Dual(_))
    }

    /// Solves for one λ, a multiple of the mean square norm of an embedding.
    pub(crate) fn solve(&self, lambda: f64, proceed: Proceed) -> Result<Solved, LearnError> {
        let classes = self.problem.classes();
        let (matrix, right, size) = match &self.form {
            Form::Dual(gram) => (gram, &self.targets, self.problem.len()),
            Form::Primal(gram, moments) => (gram, moments, self.dimension()),
        };
        // The sum over n samples of a mean square norm of 1 is n.
        let lambda = lambda * self.problem.len() as f64;
        let factored = shifted(matrix.clone(), size, lambda, proceed)?;
        let inverse = invert_lower(&factored, size, proceed)?;
        drop(factored);
        let coefficients = solve_inverse(&inverse, size, right, classes);
        Ok(Solved { lambda, inverse, coefficients })
    }

    /// The head of a solution.
    pub(crate) fn linear(&self, solved: &Solved) -> Linear {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        let mut values = vec![0.0; dimension * classes];
        match &self.form {
            Form::Primal(..) => values.copy_from_slice(&solved.coefficients),
            Form::Dual(_) => {
                for start in (0..self.problem.len()).step_by(ROWS) {
                    let end = (start + ROWS).min(self.problem.len());
                    let rows = self.weighted_rows(start..end);
                    let alpha = &solved.coefficients[start * classes..end * classes];
                    multiply(
                        1.0,
                        Matrix::new(&rows, end - start, dimension).transposed(),
                        Matrix::new(alpha, end - start, classes),
                        1.0,
                        MatrixMut::new(&mut values, dimension, classes),
                    );
                }
            }
        }
        Linear::from_columns(&values, self.problem.width(), classes, CONSTANT.sqrt())
    }

    /// Scores of the samples in `parts`, each by the head that never saw its part: `[n, K]`, other rows zero.
    /// Parts are groups or folds (or any other disjoint ranges), in rising order.
    pub(crate) fn held_out(
        &self,
        solved: &Solved,
        parts: &[Range<usize>],
        proceed: Proceed,
    ) -> Result<Vec<f64>, LearnError> {
        let classes = self.problem.classes();
        let mut scores = vec![0.0; self.problem.len() * classes];
        match &self.form {
            Form::Dual(_) => {
                for part in parts {
                    let residual = self.dual_residual(solved, part, proceed)?;
                    self.write(part, &residual, &mut scores);
                }
            }
            Form::Primal(gram, moments) => self.primal(solved, gram, moments, parts, &mut scores, proceed)?,
        }
        Ok(scores)
    }

    /// `(P_BB)⁻¹·α_B`: weighted residuals without B.
    fn dual_residual(
        &self,
        solved: &Solved,
        part: &Range<usize>,
        proceed: Proceed,
    ) -> Result<Vec<f64>, LearnError> {
        let (n, classes, size) = (self.problem.len(), self.problem.classes(), part.len());
        // Columns of the inverse factor; it is lower triangular, rows above the part are zero there.
        let columns =
            Matrix::strided(&solved.inverse[part.start * n + part.start..], n - part.start, size, n);
        let mut block = vec![0.0; size * size];
        let to = MatrixMut::new(&mut block, size, size);
        multiply_in_pieces(1.0, columns.transposed(), columns, 0.0, to, proceed)?;
        let mut residual = solved.coefficients[part.start * classes..part.end * classes].to_vec();
        factor(&mut block, size, 0.0, proceed)?;
        solve(&block, size, &mut residual, classes);
        Ok(residual)
    }

    fn primal(
        &self,
        solved: &Solved,
        gram: &[f64],
        moments: &[f64],
        parts: &[Range<usize>],
        scores: &mut [f64],
        proceed: Proceed,
    ) -> Result<(), LearnError> {
        let dimension = self.dimension();
        let mut at = 0;
        while at < parts.len() {
            if parts[at].len() > (dimension / 2).max(ROWS) {
                let residual = self.without(solved, gram, moments, &parts[at], proceed)?;
                self.write(&parts[at], &residual, scores);
                at += 1;
                continue;
            }
            // Small parts share one product with the inverse factor.
            let start = at;
            let mut rows = 0;
            while at < parts.len() && (at == start || rows + parts[at].len() <= ROWS) {
                rows += parts[at].len();
                at += 1;
            }
            self.woodbury(solved, &parts[start..at], scores, proceed)?;
        }
        Ok(())
    }

    /// `(I − H_BB)⁻¹(y − ŷ)_B` for some small parts.
    fn woodbury(
        &self,
        solved: &Solved,
        parts: &[Range<usize>],
        scores: &mut [f64],
        proceed: Proceed,
    ) -> Result<(), LearnError> {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        let size = parts.iter().map(Range::len).sum();
        let rows: Vec<f64> = parts.iter().flat_map(|part| self.weighted_rows(part.clone())).collect();
        let mut projected = vec![0.0; size * dimension];
        let inverse = Matrix::new(&solved.inverse, dimension, dimension);
        let a = Matrix::new(&rows, size, dimension);
        let to = MatrixMut::new(&mut projected, size, dimension);
        multiply_in_pieces(1.0, a, inverse.transposed(), 0.0, to, proceed)?;
        let mut residuals: Vec<f64> = parts
            .iter()
            .flat_map(|part| &self.targets[part.start * classes..part.end * classes])
            .copied()
            .collect();
        let v = Matrix::new(&solved.coefficients, dimension, classes);
        multiply(-1.0, a, v, 1.0, MatrixMut::new(&mut residuals, size, classes));
        let mut to = 0;
        for part in parts {
            let size = part.len();
            let from = to;
            to += size;
            let z = Matrix::new(&projected[from * dimension..to * dimension], size, dimension);
            let mut block = vec![0.0; size * size];
            let square = MatrixMut::new(&mut block, size, size);
            multiply_in_pieces(-1.0, z, z.transposed(), 0.0, square, proceed)?;
            for i in 0..size {
                block[i * size + i] += 1.0;
            }
            let residual = &mut residuals[from * classes..to * classes];
            factor(&mut block, size, 0.0, proceed)?;
            solve(&block, size, residual, classes);
            self.write(part, residual, scores);
        }
        Ok(())
    }

    /// Weighted residuals on a large part by solving without it.
    fn without(
        &self,
        solved: &Solved,
        gram: &[f64],
        moments: &[f64],
        part: &Range<usize>,
        proceed: Proceed,
    ) -> Result<Vec<f64>, LearnError> {
        let (dimension, classes) = (self.dimension(), self.problem.classes());
        // The part's own sums become those of all others, in place: they are the largest thing of a round.
        let (mut rest, mut v) = self.gram(part, proceed)?;
        rest.iter_mut().zip(gram).for_each(|(rest, all)| *rest = all - *rest);
        v.iter_mut().zip(moments).for_each(|(rest, all)| *rest = all - *rest);
        solve(&shifted(rest, dimension, solved.lambda, proceed)?, dimension, &mut v, classes);
        let mut residual = self.targets[part.start * classes..part.end * classes].to_vec();
        for start in part.clone().step_by(ROWS) {
            let end = (start + ROWS).min(part.end);
            let rows = self.weighted_rows(start..end);
            let out = &mut residual[(start - part.start) * classes..(end - part.start) * classes];
            let a = Matrix::new(&rows, end - start, dimension);
            multiply(
                -1.0,
                a,
                Matrix::new(&v, dimension, classes),
                1.0,
                MatrixMut::new(out, end - start, classes),
            );
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

/// The Cholesky factor of `matrix + λI`.
fn shifted(mut matrix: Vec<f64>, size: usize, lambda: f64, proceed: Proceed) -> Result<Vec<f64>, LearnError> {
    for i in 0..size {
        matrix[i * size + i] += lambda;
    }
    factor(&mut matrix, size, lambda * 1e-3, proceed)?;
    Ok(matrix)
}
