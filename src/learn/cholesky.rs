//! Blocked Cholesky factorisation and triangular inverse in f64, with the bulk of the work in matrix products.

use super::matmul::{Matrix, MatrixMut, multiply, multiply_in_pieces};
use super::problem::Proceed;
use super::snapshot::LearnError;

/// Rows per block: the unblocked part costs `n²·BLOCK/2`, little beside `n³/3` for the sizes that matter.
const BLOCK: usize = 64;
/// Columns per trailing product, so that about half of the square above the diagonal is never computed.
const PANEL: usize = 256;

/// Factors the symmetric positive definite `a [n, n]` (lower triangle read) as `L·Lᵀ`, in place; the upper triangle
/// is set to zero. A pivot below `floor` is raised to it, so a matrix that is singular by rounding still gives a
/// finite factor. `proceed` is asked between pieces of work.
pub(crate) fn factor(a: &mut [f64], n: usize, floor: f64, proceed: Proceed) -> Result<(), LearnError> {
    let floor = floor.max(f64::MIN_POSITIVE);
    let mut panel = Vec::new();
    for start in (0..n).step_by(BLOCK) {
        let size = BLOCK.min(n - start);
        let end = start + size;
        factor_diagonal(a, n, start, end, floor);
        // The panel below the block: rows solved against the block's own factor.
        let (top, below) = a.split_at_mut(end * n);
        panel.clear();
        for row in below.chunks_exact_mut(n) {
            for j in start..end {
                let sum = dot(&row[start..j], &top[j * n + start..j * n + j]);
                row[j] = (row[j] - sum) / top[j * n + j];
            }
            panel.extend_from_slice(&row[start..end]);
        }
        let rest = n - end;
        for first in (0..rest).step_by(PANEL) {
            let width = PANEL.min(rest - first);
            let left = Matrix::new(&panel[first * size..], rest - first, size);
            let right = Matrix::new(&panel[first * size..], width, size).transposed();
            let trailing = &mut below[first * n + end + first..];
            let out = MatrixMut::strided(trailing, rest - first, width, n);
            multiply_in_pieces(-1.0, left, right, 1.0, out, proceed)?;
        }
    }
    for row in 0..n {
        a[row * n + row + 1..(row + 1) * n].fill(0.0);
    }
    Ok(())
}

fn factor_diagonal(a: &mut [f64], n: usize, start: usize, end: usize, floor: f64) {
    for i in start..end {
        let (above, this) = a.split_at_mut(i * n);
        for j in start..i {
            let sum = dot(&this[start..j], &above[j * n + start..j * n + j]);
            this[j] = (this[j] - sum) / above[j * n + j];
        }
        let pivot = this[i] - dot(&this[start..i], &this[start..i]);
        // `max` also turns a NaN pivot into the floor.
        this[i] = pivot.max(floor).sqrt();
    }
}

/// The inverse of the lower triangular `l [n, n]`, lower triangular itself; `proceed` as in [`factor`].
pub(crate) fn invert_lower(l: &[f64], n: usize, proceed: Proceed) -> Result<Vec<f64>, LearnError> {
    let mut inverse = vec![0.0; n * n];
    let mut product = Vec::new();
    for start in (0..n).step_by(BLOCK) {
        let size = BLOCK.min(n - start);
        let end = start + size;
        let (done, rest) = inverse.split_at_mut(start * n);
        invert_diagonal(l, rest, n, start, size);
        let diagonal: Vec<f64> =
            (0..size).flat_map(|row| rest[row * n + start..row * n + end].to_vec()).collect();
        for first in (0..start).step_by(PANEL) {
            // Rows of the finished inverse above `first` are zero in these columns.
            let width = PANEL.min(start - first);
            product.clear();
            product.resize(size * width, 0.0);
            let left = Matrix::strided(&l[start * n + first..], size, start - first, n);
            let right = Matrix::strided(&done[first * n + first..], start - first, width, n);
            multiply_in_pieces(1.0, left, right, 0.0, MatrixMut::new(&mut product, size, width), proceed)?;
            let out = MatrixMut::strided(&mut rest[first..], size, width, n);
            let (diagonal, product) =
                (Matrix::new(&diagonal, size, size), Matrix::new(&product, size, width));
            multiply(-1.0, diagonal, product, 0.0, out);
        }
    }
    Ok(inverse)
}

fn invert_diagonal(l: &[f64], out: &mut [f64], n: usize, start: usize, size: usize) {
    for i in 0..size {
        let pivot = 1.0 / l[(start + i) * n + start + i];
        for j in 0..i {
            let mut sum = 0.0;
            for p in j..i {
                sum += l[(start + i) * n + start + p] * out[p * n + start + j];
            }
            out[i * n + start + j] = -pivot * sum;
        }
        out[i * n + start + i] = pivot;
    }
}

/// Solves `L·Lᵀ·X = B` in place for `b [n, columns]`, `l [n, n]` from [`factor`].
pub(crate) fn solve(l: &[f64], n: usize, b: &mut [f64], columns: usize) {
    for i in 0..n {
        let (above, this) = b.split_at_mut(i * columns);
        for (j, row) in above.chunks_exact(columns).enumerate() {
            subtract(&mut this[..columns], row, l[i * n + j]);
        }
        scale(&mut this[..columns], 1.0 / l[i * n + i]);
    }
    for i in (0..n).rev() {
        let (this, below) = b[i * columns..n * columns].split_at_mut(columns);
        for (j, row) in below.chunks_exact(columns).enumerate() {
            subtract(this, row, l[(i + 1 + j) * n + i]);
        }
        scale(this, 1.0 / l[i * n + i]);
    }
}

/// `Lᵀ⁻¹·L⁻¹·B` for `b [n, columns]` by the explicit inverse of the factor.
pub(crate) fn solve_inverse(inverse: &[f64], n: usize, b: &[f64], columns: usize) -> Vec<f64> {
    let mut half = vec![0.0; n * columns];
    let mut whole = vec![0.0; n * columns];
    let factor = Matrix::new(inverse, n, n);
    multiply(1.0, factor, Matrix::new(b, n, columns), 0.0, MatrixMut::new(&mut half, n, columns));
    multiply(
        1.0,
        factor.transposed(),
        Matrix::new(&half, n, columns),
        0.0,
        MatrixMut::new(&mut whole, n, columns),
    );
    whole
}

fn subtract(target: &mut [f64], row: &[f64], factor: f64) {
    for (target, value) in target.iter_mut().zip(row) {
        *target -= factor * value;
    }
}

fn scale(target: &mut [f64], factor: f64) {
    for target in target {
        *target *= factor;
    }
}

/// A dot product in four fixed lanes: the same order of additions on every machine.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a4.zip(b4) {
        for lane in 0..4 {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A random positive definite matrix.
    fn definite(n: usize, seed: u64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(seed);
        let x: Vec<f64> = (0..n * n).map(|_| random.f64() - 0.5).collect();
        let mut a = vec![0.0; n * n];
        let view = Matrix::new(&x, n, n);
        multiply(1.0, view, view.transposed(), 0.0, MatrixMut::new(&mut a, n, n));
        for i in 0..n {
            a[i * n + i] += 0.1;
        }
        a
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn factor_inverse_and_solution_agree(n in 0usize..200, columns in 1usize..4, seed in any::<u64>()) {
            let a = definite(n, seed);
            let mut l = a.clone();
            factor(&mut l, n, 1e-12, &mut || Ok(())).unwrap();
            for i in 0..n {
                for j in 0..n {
                    let product = dot(&l[i * n..(i + 1) * n], &l[j * n..(j + 1) * n]);
                    prop_assert!((product - a[i * n + j]).abs() < 1e-10 * n as f64);
                }
            }
            let mut random = fastrand::Rng::with_seed(seed ^ 7);
            let x: Vec<f64> = (0..n * columns).map(|_| random.f64() - 0.5).collect();
            let mut b = vec![0.0; n * columns];
            multiply(1.0, Matrix::new(&a, n, n), Matrix::new(&x, n, columns), 0.0, MatrixMut::new(&mut b, n, columns));
            let inverse = invert_lower(&l, n, &mut || Ok(())).unwrap();
            let through_inverse = solve_inverse(&inverse, n, &b, columns);
            solve(&l, n, &mut b, columns);
            for at in 0..x.len() {
                prop_assert!((b[at] - x[at]).abs() < 1e-8, "{} {}", b[at], x[at]);
                prop_assert!((through_inverse[at] - x[at]).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn a_singular_matrix_gives_a_finite_factor() {
        let mut a = vec![1.0; 9];
        factor(&mut a, 3, 1e-9, &mut || Ok(())).unwrap();
        assert!(a.iter().all(|v| v.is_finite()));
        let mut nan = vec![f64::NAN; 4];
        factor(&mut nan, 2, 1e-9, &mut || Ok(())).unwrap();
        assert!(nan[0].is_finite());
    }
}
