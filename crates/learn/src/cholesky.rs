//! Blocked Cholesky factorisation and triangular inverse in f64, with the bulk of the work in matrix products.

use super::cancel::Proceed;
use super::matmul::{Matrix, MatrixMut, add_gram_lower, multiply, multiply_in_pieces};
use super::snapshot::LearnError;

/// Rows per block: the unblocked part costs `n²·BLOCK/2`, little beside `n³/3` for the sizes that matter.
const BLOCK: usize = 64;
/// Columns per product with a triangle, so that about half of the square above its diagonal is never computed.
const PANEL: usize = 128;

/// Factors the symmetric positive definite `a [n, n]` as `L·Lᵀ`, in place: the lower triangle is read and written, what lies
/// above the diagonal stays as it is. A pivot below `floor` is raised to it, so a matrix that is singular by rounding
/// still gives a finite factor. `proceed` is asked between pieces of work.
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
        if end < n {
            add_gram_lower(-1.0, Matrix::new(&panel, n - end, size), &mut below[end..], n, proceed)?;
        }
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

/// The inverse of the lower triangular `l [n, n]`, in its place; `proceed` and what lies above the diagonal as in [`factor`].
pub(crate) fn invert_lower(l: &mut [f64], n: usize, proceed: Proceed) -> Result<(), LearnError> {
    for start in (0..n).step_by(BLOCK) {
        let size = BLOCK.min(n - start);
        let (done, rest) = l.split_at_mut(start * n);
        // What this block takes from the factor, before the inverse comes into its place.
        let rows: Vec<f64> = rest.chunks(n).take(size).flat_map(|row| &row[..start]).copied().collect();
        invert_diagonal(rest, n, start, size);
        let diagonal = lower_square(&rest[start..], size, n);
        for first in (0..start).step_by(PANEL) {
            let width = PANEL.min(start - first);
            let after = first + width;
            let mut product = vec![0.0; size * width];
            let square = lower_square(&done[first * n + first..], width, n);
            let left = Matrix::strided(&rows[first..], size, width, start);
            multiply(
                1.0,
                left,
                Matrix::new(&square, width, width),
                0.0,
                MatrixMut::new(&mut product, size, width),
            );
            if after < start {
                let left = Matrix::strided(&rows[after..], size, start - after, start);
                let right = Matrix::strided(&done[after * n + first..], start - after, width, n);
                multiply_in_pieces(
                    1.0,
                    left,
                    right,
                    1.0,
                    MatrixMut::new(&mut product, size, width),
                    proceed,
                )?;
            }
            let out = MatrixMut::strided(&mut rest[first..], size, width, n);
            multiply(-1.0, Matrix::new(&diagonal, size, size), Matrix::new(&product, size, width), 0.0, out);
        }
    }
    Ok(())
}

fn invert_diagonal(l: &mut [f64], n: usize, start: usize, size: usize) {
    for i in 0..size {
        let (above, row) = l.split_at_mut(i * n);
        let pivot = 1.0 / row[start + i];
        // From left to right: an entry of the factor is read for the last time where it is written.
        for j in 0..i {
            let sum: f64 = (j..i).map(|p| row[start + p] * above[p * n + start + j]).sum();
            row[start + j] = -pivot * sum;
        }
        row[start + i] = pivot;
    }
}

/// A copy `[size, size]` of a square on the diagonal, with zeros above it; rows of `from` start every `n` elements.
pub(crate) fn lower_square(from: &[f64], size: usize, n: usize) -> Vec<f64> {
    let mut square = vec![0.0; size * size];
    for (row, (to, from)) in square.chunks_exact_mut(size.max(1)).zip(from.chunks(n.max(1))).enumerate() {
        to[..=row].copy_from_slice(&from[..=row]);
    }
    square
}

/// `A·Lᵀ`, `[m, n]`, for `a [m, n]` and the lower triangle of `l [n, n]`.
pub(crate) fn times_transposed(
    a: &[f64],
    l: &[f64],
    n: usize,
    proceed: Proceed,
) -> Result<Vec<f64>, LearnError> {
    let m = a.len() / n.max(1);
    let mut out = vec![0.0; a.len()];
    for start in (0..n).step_by(PANEL) {
        let width = PANEL.min(n - start);
        let square = lower_square(&l[start * n + start..], width, n);
        let square = Matrix::new(&square, width, width).transposed();
        let own = Matrix::strided(&a[start..], m, width, n);
        multiply_in_pieces(
            1.0,
            own,
            square,
            0.0,
            MatrixMut::strided(&mut out[start..], m, width, n),
            proceed,
        )?;
        if start > 0 {
            let left = Matrix::strided(a, m, start, n);
            let right = Matrix::strided(&l[start * n..], width, start, n).transposed();
            multiply_in_pieces(
                1.0,
                left,
                right,
                1.0,
                MatrixMut::strided(&mut out[start..], m, width, n),
                proceed,
            )?;
        }
    }
    Ok(out)
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
    solve_transposed(l, n, b, columns);
}

/// Solves `Lᵀ·X = B` in place for `b [n, columns]`.
pub(crate) fn solve_transposed(l: &[f64], n: usize, b: &mut [f64], columns: usize) {
    for i in (0..n).rev() {
        let (this, below) = b[i * columns..n * columns].split_at_mut(columns);
        for (j, row) in below.chunks_exact(columns).enumerate() {
            subtract(this, row, l[(i + 1 + j) * n + i]);
        }
        scale(this, 1.0 / l[i * n + i]);
    }
}

/// `Lᵀ⁻¹·L⁻¹·B` for `b [n, columns]` by the explicit inverse of the factor, of which the lower triangle is read.
pub(crate) fn solve_inverse(inverse: &[f64], n: usize, b: &[f64], columns: usize) -> Vec<f64> {
    let mut half = vec![0.0; n * columns];
    let mut whole = vec![0.0; n * columns];
    for start in (0..n).step_by(PANEL) {
        let width = PANEL.min(n - start);
        let (from, to) = (start * columns, (start + width) * columns);
        let square = lower_square(&inverse[start * n + start..], width, n);
        let square = Matrix::new(&square, width, width);
        let left = Matrix::strided(&inverse[start * n..], width, start, n);
        let out = &mut half[from..to];
        multiply(
            1.0,
            square,
            Matrix::new(&b[from..to], width, columns),
            0.0,
            MatrixMut::new(out, width, columns),
        );
        multiply(1.0, left, Matrix::new(b, start, columns), 1.0, MatrixMut::new(out, width, columns));
        let own = Matrix::new(out, width, columns);
        multiply(1.0, square.transposed(), own, 1.0, MatrixMut::new(&mut whole[from..to], width, columns));
        multiply(1.0, left.transposed(), own, 1.0, MatrixMut::new(&mut whole, start, columns));
    }
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
        fn factor_inverse_and_solution_agree(n in 0usize..330, columns in 1usize..4, seed in any::<u64>()) {
            let a = definite(n, seed);
            let mut l = a.clone();
            factor(&mut l, n, 1e-12, &mut || Ok(())).unwrap();
            let mut inverse = l.clone();
            invert_lower(&mut inverse, n, &mut || Ok(())).unwrap();
            for i in 0..n {
                for j in 0..=i {
                    let product = dot(&l[i * n..=i * n + j], &l[j * n..=j * n + j]);
                    prop_assert!((product - a[i * n + j]).abs() < 1e-10 * n as f64);
                }
                // Above the diagonal is somebody else's.
                let above = i * n + i + 1..(i + 1) * n;
                prop_assert!(l[above.clone()] == a[above.clone()] && inverse[above.clone()] == a[above]);
            }
            let mut random = fastrand::Rng::with_seed(seed ^ 7);
            let x: Vec<f64> = (0..n * columns).map(|_| random.f64() - 0.5).collect();
            let mut b = vec![0.0; n * columns];
            multiply(1.0, Matrix::new(&a, n, n), Matrix::new(&x, n, columns), 0.0, MatrixMut::new(&mut b, n, columns));
            let through_inverse = solve_inverse(&inverse, n, &b, columns);
            solve(&l, n, &mut b, columns);
            for at in 0..x.len() {
                prop_assert!((b[at] - x[at]).abs() < 1e-8, "{} {}", b[at], x[at]);
                prop_assert!((through_inverse[at] - x[at]).abs() < 1e-8);
            }
            let product = times_transposed(&x, &l, n, &mut || Ok(())).unwrap();
            for (row, x) in product.chunks(n.max(1)).zip(x.chunks(n.max(1))) {
                for (at, &value) in row.iter().enumerate() {
                    prop_assert!((value - dot(&x[..=at], &l[at * n..=at * n + at])).abs() < 1e-9);
                }
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
