//! Few samples in few numbers. A head that is trained on `n` embeddings with an L2 penalty is a mixture of them, so `n`
//! coordinates hold all it can use: with `A·Aᵀ = L·Lᵀ`, the rows of `L [n, n]` have the same products as the embeddings
//! `A [n, d]`, and any fit on some of them gives the same scores to all. Worth it where `n` is well below `d`.

use super::cholesky::factor;
use super::matmul::fused::{Rows, stride};
use super::matmul::{Matrix, add_gram_lower};
use super::objective::Samples;
use super::problem::{Problem, Proceed};
use super::snapshot::LearnError;

/// Pivots below this part of the mean square norm are raised to it: directions that rounding made up.
const FLOOR: f64 = 1e-6;

/// Embeddings of a problem in as many coordinates as there are samples.
pub(crate) struct Reduced {
    /// `[n, n]`, rows [`stride`] apart.
    rows: Vec<f32>,
    order: Vec<u32>,
    centre: Vec<f32>,
}

impl Reduced {
    /// None where it would not save at least half.
    ///
    /// # Errors
    /// Those of `proceed`, which is asked between pieces of work.
    pub(crate) fn of(problem: &Problem, proceed: Proceed) -> Result<Option<Self>, LearnError> {
        let (n, width) = (problem.len(), problem.width());
        if n > width / 2 {
            return Ok(None);
        }
        let mut own = vec![0.0f32; n * width];
        problem.rows(0..n, &mut own);
        let mut gram = vec![0.0f32; n * n];
        add_gram_lower(1.0, Matrix::new(&own, n, width), &mut gram, n, proceed)?;
        let mut root: Vec<f64> = gram.into_iter().map(f64::from).collect();
        factor(&mut root, n, FLOOR, proceed)?;
        let mut rows = vec![0.0; n * stride(n)];
        for (to, from) in rows.chunks_exact_mut(stride(n)).zip(root.chunks_exact(n)) {
            to.iter_mut().zip(from).for_each(|(to, &value)| *to = value as f32);
        }
        Ok(Some(Self { rows, order: (0..n as u32).collect(), centre: vec![0.0; n] }))
    }

    /// What softmax fits.
    pub(crate) fn samples<'a>(&'a self, problem: &'a Problem) -> Samples<'a> {
        Samples {
            rows: Rows::Single(&self.rows),
            width: self.order.len(),
            order: &self.order,
            centre: &self.centre,
            scale: 1.0,
            ..problem.samples()
        }
    }
}
