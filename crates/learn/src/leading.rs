//! The leading directions of the embeddings' scatter, and the coordinates of each sample along them.
//!
//! Randomised range finder with one subspace iteration (Halko, Martinsson & Tropp 2011, algorithms 4.1 and 4.4) on two
//! samples a direction: signed sums of samples `B₀ [r, d]` (a sparse sketch, Clarkson & Woodruff 2013), `C = A·B₀ᵀ`,
//! `B = Qᵀ·A` with orthonormal `Q` from `C`, and orthonormal `U` from `B`. Where the spread of the samples falls so steeply
//! that f32 holds nothing of the last columns of `C`, `Q` has what rounding made up there: orthogonal to the longest
//! directions and else random, which finds the rest of the spread as a sketch without an iteration does.
//! Labels are not looked at, so a burst that is held out has no more to do with its own judgement than an embedding
//! without a label.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::cancel::Proceed;
use super::matmul::fused::{BLOCK, Columns, Rows, add_combined, add_scaled, scores, stride};
use super::matmul::{Matrix, MatrixMut, Real, multiply_in_pieces};
use super::objective::Samples;
use super::orthonormal::{are_orthonormal, orthonormalise};
use super::snapshot::LearnError;
use graft_simd::Isa;

/// Least and most directions.
const RANKS: [usize; 2] = [208, 512];
/// Samples for each direction, between the two.
const SAMPLES: usize = 5;
/// Samples that a direction is found on.
const SEEN: usize = 2;

/// Directions for this many samples.
pub(crate) fn rank(samples: usize) -> usize {
    (samples / SAMPLES).next_multiple_of(8).clamp(RANKS[0], RANKS[1])
}

/// Leading directions and coordinates.
pub(crate) struct Leading {
    /// Orthonormal but for directions that are not there, `[rank, width]`.
    basis: Columns,
    /// `[n, rank]`, in the order of the samples.
    rows: Vec<f16>,
}

impl Leading {
    /// None where rounding spoilt the directions or coordinates.
    ///
    /// # Errors
    /// Those of `proceed`, which is asked between pieces of work.
    pub(crate) fn of(samples: &Samples, rank: usize, proceed: Proceed) -> Result<Option<Self>, LearnError> {
        let n = samples.order.len();
        let step = (n / (SEEN * rank)).max(1);
        let seen: Vec<u32> = samples.order.iter().copied().step_by(step).collect();
        let basis = directions(&Samples { order: &seen, ..*samples }, rank, proceed)?;
        let mut rows = vec![f16::ZERO; n * rank];
        along(samples, &basis, proceed, &mut |first, products| {
            rows[first * rank..][..products.len()].convert_from_f32_slice(products);
        })?;
        let leading = Self { basis, rows };
        Ok(leading.is_sound().then_some(leading))
    }

    /// Whether products are kept: finite coordinates along orthonormal directions. f16 ends at 65504, which no sample
    /// of a mean square norm of 1 reaches before there are billions.
    fn is_sound(&self) -> bool {
        are_orthonormal(Isa::detect(), &self.basis) && self.rows.iter().all(|value| value.is_finite())
    }

    pub(crate) fn rank(&self) -> usize {
        self.basis.count
    }

    /// The coordinates of each sample, `[n, rank]`.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows::Half(&self.rows)
    }

    /// Weights `[columns, rank]` that were fitted here, for the embeddings themselves: `[columns, width]`.
    pub(crate) fn expand(&self, weights: &[f64]) -> Vec<f64> {
        let rank = self.rank();
        let mut out = Columns::zero(weights.len() / rank, self.basis.width);
        let across = (0..rank).flat_map(|at| weights.iter().skip(at).step_by(rank));
        let factors: Vec<f32> = across.map(|&weight| weight as f32).collect();
        add_combined(Isa::detect(), &mut out, &factors, &self.basis);
        (0..out.count).flat_map(|at| out.column(at).iter().map(|&value| f64::from(value))).collect()
    }
}

/// `A·Bᵀ` for `B [rank, width]`, in blocks: the first sample of each, and `[block, rank]`. Embeddings are read as they
/// are stored, the centre is taken from their products.
fn along(
    samples: &Samples,
    basis: &Columns,
    proceed: Proceed,
    put: &mut dyn FnMut(usize, &[f32]),
) -> Result<(), LearnError> {
    let isa = Isa::detect();
    proceed()?;
    let shifts: Vec<f32> = (0..basis.count).map(|at| samples.shift(basis.column(at)) as f32).collect();
    let block = (f32::PIECE / (basis.count * basis.width)).max(1).next_multiple_of(BLOCK);
    let mut products = vec![0.0f32; block * basis.count];
    for (at, order) in samples.order.chunks(block).enumerate() {
        proceed()?;
        let products = &mut products[..order.len() * basis.count];
        scores(isa, samples.rows, order, basis, products);
        for row in products.chunks_exact_mut(basis.count) {
            row.iter_mut().zip(&shifts).for_each(|(value, shift)| *value = (*value - shift) * samples.scale);
        }
        put(at * block, products);
    }
    Ok(())
}

/// `U [rank, width]`.
fn directions(samples: &Samples, rank: usize, proceed: Proceed) -> Result<Columns, LearnError> {
    let (n, width) = (samples.order.len(), samples.width);
    let isa = Isa::detect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut rows = vec![0.0f32; n * width];
    let mut basis = Columns::zero(rank, width);
    for first in (0..n).step_by(BLOCK) {
        proceed()?;
        let end = (first + BLOCK).min(n);
        samples.centred(first..end, &mut rows[first * width..end * width]);
        for (at, row) in (first..end).zip(rows[first * width..].chunks_exact(width)) {
            add_scaled(isa, basis.column_mut(at % rank), if random.bool() { 1.0 } else { -1.0 }, row);
        }
    }
    let mut mixtures = Columns::zero(rank, n);
    along(samples, &basis, proceed, &mut |first, products| {
        for at in 0..rank {
            let to = &mut mixtures.column_mut(at)[first..];
            let from = products.iter().skip(at).step_by(rank);
            to.iter_mut().zip(from).for_each(|(to, &value)| *to = value);
        }
    })?;
    orthonormalise(isa, &mut mixtures, proceed)?;
    let mixtures = Matrix::strided(&mixtures.values, rank, n, stride(n));
    let sums = MatrixMut::strided(&mut basis.values, rank, width, stride(width));
    multiply_in_pieces(1.0, mixtures, Matrix::new(&rows, n, width), 0.0, sums, proceed)?;
    orthonormalise(isa, &mut basis, proceed)?;
    Ok(basis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directions_hold_most_of_the_spread_and_are_orthonormal() {
        // Lengths fall by one part in fifty an axis: 32 axes of 300 hold 0.726 of the spread.
        let (n, width, rank) = (600usize, 300usize, 32usize);
        let mut random = fastrand::Rng::with_seed(3);
        let lengths: Vec<f32> = (0..width).map(|at| 0.98f32.powi(at as i32)).collect();
        let embeddings: Vec<f16> = (0..n)
            .flat_map(|_| {
                let row = lengths.iter().map(|l| f16::from_f32(5.0 + l * (2.0 * random.f32() - 1.0)));
                row.collect::<Vec<_>>()
            })
            .collect();
        let order: Vec<u32> = (0..n as u32).rev().collect();
        let (labels, weights, centre) = (vec![0; n], vec![1.0; n], vec![5.0f32; width]);
        let samples = Samples {
            rows: Rows::Half(&embeddings),
            width,
            order: &order,
            labels: &labels,
            weights: &weights,
            classes: 2,
            centre: &centre,
            scale: 0.5,
        };
        let leading = Leading::of(&samples, rank, &mut || Ok(())).unwrap().unwrap();
        let mut own = vec![0.0f32; n * width];
        samples.centred(0..n, &mut own);
        let square = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>();
        let single: Vec<f32> = leading.rows.iter().map(|v| v.to_f32()).collect();
        let part = square(&single) / square(&own);
        assert!((0.55..0.75).contains(&part), "{part}");
        for a in 0..rank {
            for b in 0..=a {
                let product: f32 =
                    leading.basis.column(a).iter().zip(leading.basis.column(b)).map(|(a, b)| a * b).sum();
                let wanted = if a == b { 1.0 } else { 0.0 };
                assert!((product - wanted).abs() < 1e-3, "{a} {b}: {product}");
            }
        }
        // The rows are the products with the directions.
        let product: f32 =
            own[7 * width..8 * width].iter().zip(leading.basis.column(5)).map(|(a, b)| a * b).sum();
        assert!((product - single[7 * rank + 5]).abs() < 2e-3 * (1.0 + product.abs()), "{product}");
    }

    #[test]
    fn fewer_directions_than_asked_for_are_no_harm() {
        let (n, width, rank) = (50usize, 64usize, 16usize);
        let order: Vec<u32> = (0..n as u32).collect();
        let (labels, weights, centre) = (vec![0; n], vec![1.0; n], vec![0.0f32; width]);
        for value in [0.0f32, 1.0] {
            let embeddings = vec![f16::from_f32(value); n * width];
            let rows = Rows::Half(&embeddings);
            let (order, labels, weights, centre) = (&order[..], &labels[..], &weights[..], &centre[..]);
            let samples = Samples { rows, width, order, labels, weights, classes: 2, centre, scale: 1.0 };
            let leading = Leading::of(&samples, rank, &mut || Ok(())).unwrap().unwrap();
            assert!(leading.basis.values.iter().all(|v| v.is_finite() && v.abs() <= 1.01));
            assert!(leading.rows.iter().all(|v| v.is_finite()));
        }
    }
}
