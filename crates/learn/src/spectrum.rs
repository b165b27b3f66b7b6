//! The leading directions of the embeddings' scatter, and the curvature of a softmax objective that follows from them:
//! a preconditioner that costs a few passes over a few hundred rows.
//!
//! With the curvature `h` of a typical sample the Hessian of one column is about `h·Σaᵀa/n + λI`. A factor of that
//! matrix at the wrong `h` is worse than none; in the form `U·diag(e)·Uᵀ + bulk·(I − U·Uᵀ)` it can be divided by at any
//! `h`, and `h` is known from every pass. `U` comes from randomised subspace iteration (Halko, Martinsson & Tropp 2011).

use super::cancel::Proceed;
use super::matmul::fused::{Columns, add_combined, add_scaled, pass, project};
use super::objective::{BIAS, Samples};
use super::orthonormal::orthonormalise;
use super::snapshot::LearnError;
use graft_simd::Isa;

/// Directions that are kept, of problems with few and with many numbers a column.
const RANKS: [usize; 2] = [16, 32];
/// Samples times columns from which on a problem has many; below an eighth of it no spectrum is worth its cost.
const MANY: usize = 4000;
/// Rows that they are found on, for each.
const ROWS: usize = 8;
/// Iterations; one is too few, a third changed nothing.
const ITERATIONS: usize = 2;

/// `Σ aᵀa / n ≈ U·diag(values)·Uᵀ + bulk·(I − U·Uᵀ)` of centred, scaled embeddings, whose trace is 1.
pub(crate) struct Spectrum {
    /// Orthonormal, `[rank, width]`.
    basis: Columns,
    values: Vec<f64>,
    bulk: f64,
    columns: usize,
}

impl Spectrum {
    /// None where a problem is so small that it is solved faster without.
    ///
    /// # Errors
    /// Those of `proceed`, which is asked between pieces of work.
    pub(crate) fn of(samples: &Samples, proceed: Proceed) -> Result<Option<Self>, LearnError> {
        let (n, width) = (samples.order.len(), samples.width);
        let size = n * samples.columns();
        if size < MANY / 8 {
            return Ok(None);
        }
        let rank = RANKS[usize::from(size >= MANY)];
        let order: Vec<u32> = samples.order.iter().copied().step_by(n.div_ceil(ROWS * rank)).collect();
        let rank = rank.min(width).min(order.len().saturating_sub(1));
        let isa = Isa::detect();
        let mut random = fastrand::Rng::with_seed(1);
        let mut basis = Columns::zero(rank, width);
        for at in 0..rank {
            basis.column_mut(at).fill_with(|| random.f32() - 0.5);
        }
        let mut values = Vec::new();
        for _ in 0..ITERATIONS {
            proceed()?;
            basis = scatter(isa, samples, &order, &basis);
            proceed()?;
            values = orthonormalise(isa, &mut basis, proceed)?;
        }
        let rest = (1.0 - values.iter().sum::<f64>()).max(0.0);
        // What is left is spread over as many directions as there are samples to see it: those of one class for the
        // curvature of its column. With fewer classes that is no limit.
        let seen = (width.min(order.len()) - rank).min(n / samples.classes);
        Ok(Some(Self { basis, values, bulk: rest / seen.max(1) as f64, columns: samples.columns() }))
    }

    /// Divides a direction `[columns, width]`, biases behind, by the curvature `h·scatter + λ`.
    pub(crate) fn divide(&self, isa: Isa, direction: &mut [f32], h: f64, lambda: f64) {
        let (weights, biases) = direction.split_at_mut(self.columns * self.basis.width);
        let plain = 1.0 / (h * self.bulk + lambda);
        let mut columns = Columns::zero(self.columns, self.basis.width);
        for (at, from) in weights.chunks_exact(self.basis.width).enumerate() {
            columns.column_mut(at).copy_from_slice(from);
        }
        let mut factors = project(isa, &self.basis, &columns);
        for (row, value) in factors.chunks_exact_mut(self.columns).zip(&self.values) {
            let more = (1.0 / (h * value + lambda) / plain - 1.0) as f32;
            row.iter_mut().for_each(|factor| *factor *= more);
        }
        add_combined(isa, &mut columns, &factors, &self.basis);
        for (at, to) in weights.chunks_exact_mut(self.basis.width).enumerate() {
            to.iter_mut().zip(columns.column(at)).for_each(|(to, from)| *to = plain as f32 * from);
        }
        biases.iter_mut().for_each(|v| *v *= (1.0 / (h * BIAS * BIAS)) as f32);
    }
}

/// `Σ a·(aᵀu) / n` for each column `u`.
fn scatter(isa: Isa, samples: &Samples, order: &[u32], basis: &Columns) -> Columns {
    let mut product = Columns::zero(basis.count, basis.width);
    let mut sums = vec![0.0f32; basis.count];
    let shifts: Vec<f32> = (0..basis.count).map(|at| samples.shift(basis.column(at)) as f32).collect();
    pass(isa, samples.rows, order, basis, &mut product, &mut Vec::new(), &mut |_, scores| {
        for row in scores.chunks_exact_mut(shifts.len().max(1)) {
            for ((score, shift), sum) in row.iter_mut().zip(&shifts).zip(&mut sums) {
                *score -= shift;
                *sum += *score;
            }
        }
    });
    let share = samples.scale * samples.scale / order.len().max(1) as f32;
    for (at, &sum) in sums.iter().enumerate() {
        add_scaled(isa, product.column_mut(at), -sum, samples.centre);
        product.column_mut(at).iter_mut().for_each(|v| *v *= share);
    }
    product
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::matmul::fused::Rows;

    /// Rows along a few axes of falling length, around a centre that is not zero.
    #[test]
    fn the_longest_axes_are_found_and_divided_by() {
        let (n, width) = (400usize, 60usize);
        let mut random = fastrand::Rng::with_seed(3);
        let centre = vec![2.0f32; width];
        let lengths: Vec<f32> = (0..width).map(|at| 1.6f32.powi(-(at as i32))).collect();
        let total: f32 = lengths.iter().map(|l| l * l / 3.0).sum();
        let embeddings: Vec<f16> = (0..n)
            .flat_map(|_| {
                lengths
                    .iter()
                    .map(|l| f16::from_f32(2.0 + l * (2.0 * random.f32() - 1.0)))
                    .collect::<Vec<_>>()
            })
            .collect();
        let order: Vec<u32> = (0..n as u32).collect();
        let (labels, weights) = (vec![0; n], vec![1.0; n]);
        let samples = Samples {
            rows: Rows::Half(&embeddings),
            width,
            order: &order,
            labels: &labels,
            weights: &weights,
            classes: 3,
            centre: &centre,
            scale: 1.0 / total.sqrt(),
        };
        let spectrum = Spectrum::of(&samples, &mut || Ok(())).unwrap().unwrap();
        for (at, length) in lengths[..3].iter().enumerate() {
            let want = f64::from(length * length / 3.0 / total);
            let found = spectrum.values.iter().map(|v| (v / want - 1.0).abs()).fold(f64::INFINITY, f64::min);
            // A few hundred rows tell a variance to some tenths.
            assert!(found < 0.35, "axis {at}: {want} among {:?}", &spectrum.values[..6]);
        }
        // Along the first axis the curvature is that axis' own, in a flat direction it is the bulk.
        let mut direction = vec![0.0f32; 3 * (width + 1)];
        (direction[0], direction[width - 1]) = (1.0, 1.0);
        spectrum.divide(Isa::detect(), &mut direction, 0.5, 1e-3);
        let first = f64::from(lengths[0] * lengths[0] / 3.0 / total);
        assert!((f64::from(direction[0]) * (0.5 * first + 1e-3) - 1.0).abs() < 0.35, "{}", direction[0]);
        assert!(direction[width - 1] > 100.0, "{}", direction[width - 1]);
    }
}
