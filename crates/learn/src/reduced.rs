//! Few samples in few numbers. A head that is trained on `n` embeddings with an L2 penalty is a mixture of them, so `n`
//! coordinates hold all it can use: with `A·Aᵀ = L·Lᵀ`, the rows of `L [n, n]` have the same products as the embeddings
//! `A [n, d]`, and any fit `U` on some of them gives the same scores to all as `U·L⁻¹·A`, at the same penalty.

use super::cancel::Proceed;
use super::cholesky::{factor, solve_transposed};
use super::matmul::fused::{Rows, stride};
use super::matmul::{Matrix, MatrixMut, add_gram_lower, multiply};
use super::objective::Samples;
use super::snapshot::LearnError;

/// Pivots below this part of the mean square norm are raised to it: directions that rounding made up.
const FLOOR: f64 = 1e-6;
/// Passes that a fit takes, about.
const PASSES: usize = 30;
/// Multiplications a coordinate and pass of the solver itself, in passes over one sample.
const SOLVER: usize = 25;

/// Embeddings in as many coordinates as there are samples.
pub(crate) struct Reduced {
    /// `L [n, n]`; zeros above the diagonal.
    root: Vec<f64>,
    /// `[n, n]`, rows [`stride`] apart.
    rows: Vec<f32>,
    order: Vec<u32>,
    centre: Vec<f32>,
}

impl Reduced {
    /// None where `fits` heads would not be trained the faster for it.
    ///
    /// # Errors
    /// Those of `proceed`, which is asked between pieces of work.
    pub(crate) fn of(samples: &Samples, fits: usize, proceed: Proceed) -> Result<Option<Self>, LearnError> {
        let (n, width) = (samples.order.len(), samples.width);
        let saved = 2 * PASSES * (n + SOLVER) * samples.columns() * fits * width.saturating_sub(n);
        if n > width / 2 || saved < n * n * (width + n) {
            return Ok(None);
        }
        Self::new(samples, proceed).map(Some)
    }

    /// # Errors
    /// As [`Reduced::of`].
    pub(crate) fn new(samples: &Samples, proceed: Proceed) -> Result<Self, LearnError> {
        let (n, width) = (samples.order.len(), samples.width);
        let mut own = Vec::with_capacity(n * width);
        let mut row = vec![0.0f32; width];
        for at in 0..n {
            samples.centred(at..at + 1, &mut row);
            own.extend(row.iter().map(|&value| f64::from(value)));
        }
        // In f64: where one sample is longer than the others, rounding in f32 is larger than the floor of the pivots,
        // and a factor whose pivots are raised from below zero grows without bound.
        let mut root = vec![0.0; n * n];
        add_gram_lower(1.0, Matrix::new(&own, n, width), &mut root, n, proceed)?;
        drop(own);
        factor(&mut root, n, FLOOR, proceed)?;
        let mut rows = vec![0.0; n * stride(n)];
        for (to, from) in rows.chunks_exact_mut(stride(n)).zip(root.chunks_exact(n)) {
            to.iter_mut().zip(from).for_each(|(to, &value)| *to = value as f32);
        }
        Ok(Self { root, rows, order: (0..n as u32).collect(), centre: vec![0.0; n] })
    }

    /// The coordinates of each sample, `[n, n]`.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::Single(&self.rows)
    }

    /// What softmax fits instead of `samples`.
    pub(crate) fn samples<'a>(&'a self, samples: &Samples<'a>) -> Samples<'a> {
        Samples {
            rows: Rows::Single(&self.rows),
            width: self.order.len(),
            order: &self.order,
            centre: &self.centre,
            scale: 1.0,
            ..*samples
        }
    }

    /// Weights `[columns, n]` that were fitted here, for the embeddings themselves: `[columns, d]`.
    pub(crate) fn expand(&self, samples: &Samples, weights: &[f64]) -> Vec<f64> {
        /// Embeddings that are widened at a time.
        const BLOCK: usize = 64;
        let (n, width) = (self.order.len(), samples.width);
        let columns = weights.len() / n.max(1);
        let mut mixture: Vec<f64> = (0..n).flat_map(|i| weights.iter().skip(i).step_by(n).copied()).collect();
        solve_transposed(&self.root, n, &mut mixture, columns);
        let mut out = vec![0.0; columns * width];
        let mut single = vec![0.0f32; BLOCK * width];
        for start in (0..n).step_by(BLOCK) {
            let end = (start + BLOCK).min(n);
            let single = &mut single[..(end - start) * width];
            samples.centred(start..end, single);
            let rows: Vec<f64> = single.iter().map(|&value| f64::from(value)).collect();
            let mixture = Matrix::new(&mixture[start * columns..end * columns], end - start, columns);
            let rows = Matrix::new(&rows, end - start, width);
            multiply(1.0, mixture.transposed(), rows, 1.0, MatrixMut::new(&mut out, columns, width));
        }
        out
    }
}
