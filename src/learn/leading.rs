//! The leading directions of the embeddings' scatter, and the coordinates of each sample along them.
//!
//! Randomised range finder with one subspace iteration (Halko, Martinsson & Tropp 2011, algorithms 4.1 and 4.4) on two
//! samples a direction: signed sums of samples `B₀ [r, d]` (a sparse sketch, Clarkson & Woodruff 2013), `C = A·B₀ᵀ`,
//! `B = L⁻¹·Cᵀ·A` with `Cᵀ·C = L·Lᵀ`, and orthonormal `U` from `B` in the same way. Labels are not looked at, so a burst
//! that is held out has no more to do with its own judgement than an embedding without a label.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::cholesky::{factor, invert_lower, lower_square};
use super::matmul::fused::{Isa, Rows, add_scaled};
use super::matmul::{Matrix, MatrixMut, add_gram_lower, multiply, multiply_in_pieces};
use super::objective::Samples;
use super::problem::Proceed;
use super::snapshot::LearnError;

/// Least and most directions.
const RANKS: [usize; 2] = [256, 512];
/// Samples for each direction, between the two.
const SAMPLES: usize = 4;
/// Samples that a direction is found on.
const SEEN: usize = 2;
/// Embeddings that are widened at a time.
const BLOCK: usize = 192;
/// Pivots below this part of the mean are raised to it: directions that rounding made up.
const FLOOR: f64 = 1e-6;

/// Directions for this many samples.
pub(crate) fn rank(samples: usize) -> usize {
    (samples / SAMPLES).next_multiple_of(8).clamp(RANKS[0], RANKS[1])
}

/// Leading directions and coordinates.
pub(crate) struct Leading {
    rank: usize,
    width: usize,
    /// `U [width, rank]`, orthonormal but for directions that are not there.
    basis: Vec<f32>,
    /// `[n, rank]`, in the order of the samples.
    rows: Vec<f16>,
}

impl Leading {
    /// # Errors
    /// Those of `proceed`, which is asked between pieces of work.
    pub(crate) fn of(samples: &Samples, rank: usize, proceed: Proceed) -> Result<Self, LearnError> {
        let (n, width) = (samples.order.len(), samples.width);
        let step = (n / (SEEN * rank)).max(1);
        let seen: Vec<u32> = samples.order.iter().copied().step_by(step).collect();
        let basis = directions(&Samples { order: &seen, ..*samples }, rank, proceed)?;
        let mut rows = vec![f16::ZERO; n * rank];
        let mut part = vec![0.0f32; BLOCK * rank];
        let across = Matrix::new(&basis, width, rank);
        in_blocks(samples, &mut |first, block| {
            let part = &mut part[..block.len() / width * rank];
            let height = block.len() / width;
            let block = Matrix::new(block, height, width);
            multiply_in_pieces(1.0, block, across, 0.0, MatrixMut::new(part, height, rank), proceed)?;
            rows[first * rank..][..part.len()].convert_from_f32_slice(part);
            Ok(())
        })?;
        Ok(Self { rank, width, basis, rows })
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// The coordinates of each sample, `[n, rank]`.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::Half(&self.rows)
    }

    /// Weights `[columns, rank]` that were fitted here, for the embeddings themselves: `[columns, width]`.
    pub(crate) fn expand(&self, weights: &[f64]) -> Vec<f64> {
        let (rank, width) = (self.rank, self.width);
        let columns = weights.len() / rank;
        let single: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        let mut tall = vec![0.0f32; width * columns];
        let single = Matrix::new(&single, columns, rank).transposed();
        let out = MatrixMut::new(&mut tall, width, columns);
        multiply(1.0, Matrix::new(&self.basis, width, rank), single, 0.0, out);
        (0..columns)
            .flat_map(|column| tall.iter().skip(column).step_by(columns).map(|&v| f64::from(v)))
            .collect()
    }
}

/// Centred, scaled embeddings in blocks: the first sample of each, and `[block, width]`.
fn in_blocks(
    samples: &Samples,
    work: &mut dyn FnMut(usize, &[f32]) -> Result<(), LearnError>,
) -> Result<(), LearnError> {
    let n = samples.order.len();
    let mut block = vec![0.0f32; BLOCK.min(n) * samples.width];
    for first in (0..n).step_by(BLOCK) {
        let end = (first + BLOCK).min(n);
        let block = &mut block[..(end - first) * samples.width];
        samples.centred(first..end, block);
        work(first, block)?;
    }
    Ok(())
}

/// `U [width, rank]`.
fn directions(samples: &Samples, rank: usize, proceed: Proceed) -> Result<Vec<f32>, LearnError> {
    let (n, width) = (samples.order.len(), samples.width);
    let isa = Isa::detect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut sketch = vec![0.0f32; rank * width];
    in_blocks(samples, &mut |first, block| {
        proceed()?;
        for (at, row) in block.chunks_exact(width).enumerate() {
            let to = (first + at) % rank * width;
            add_scaled(isa, &mut sketch[to..to + width], if random.bool() { 1.0 } else { -1.0 }, row);
        }
        Ok(())
    })?;
    let mut along = vec![0.0f32; n * rank];
    let across = Matrix::new(&sketch, rank, width).transposed();
    in_blocks(samples, &mut |first, block| {
        let height = block.len() / width;
        let out = MatrixMut::new(&mut along[first * rank..][..height * rank], height, rank);
        multiply_in_pieces(1.0, Matrix::new(block, height, width), across, 0.0, out, proceed)
    })?;
    let along = orthonormal(&along, rank, proceed)?;
    let mut basis = vec![0.0f32; width * rank];
    in_blocks(samples, &mut |first, block| {
        let height = block.len() / width;
        let own = Matrix::new(&along[first * rank..][..height * rank], height, rank);
        let block = Matrix::new(block, height, width).transposed();
        multiply_in_pieces(1.0, block, own, 1.0, MatrixMut::new(&mut basis, width, rank), proceed)
    })?;
    orthonormal(&basis, rank, proceed)
}

/// `B·L⁻ᵀ` of `B [rows, rank]`, with `Bᵀ·B = L·Lᵀ`.
fn orthonormal(b: &[f32], rank: usize, proceed: Proceed) -> Result<Vec<f32>, LearnError> {
    let rows = b.len() / rank;
    let tall = Matrix::new(b, rows, rank);
    let mut gram = vec![0.0f32; rank * rank];
    add_gram_lower(1.0, tall.transposed(), &mut gram, rank, proceed)?;
    let mut root: Vec<f64> = gram.into_iter().map(f64::from).collect();
    let trace: f64 = root.iter().step_by(rank + 1).sum();
    factor(&mut root, rank, FLOOR * trace / rank as f64, proceed)?;
    invert_lower(&mut root, rank, proceed)?;
    let inverse: Vec<f32> = lower_square(&root, rank, rank).into_iter().map(|value| value as f32).collect();
    let inverse = Matrix::new(&inverse, rank, rank).transposed();
    let mut out = vec![0.0f32; rows * rank];
    multiply_in_pieces(1.0, tall, inverse, 0.0, MatrixMut::new(&mut out, rows, rank), proceed)?;
    Ok(out)
}
