//! What is done number by number, and windows.

use graft_simd::{Isa, for_each_chunk};

use super::buffer::BLOCK;
use super::conv::Filter;
use super::elementwise::{Affine, Combine, Pool, Window};
use super::end::End;
use super::grid::Grid;

/// Calls `body(block, a, b, out)` for every stretch of pixels without a gap: where it starts in both inputs, and the
/// output's numbers. `b` may be absent. The threads of a pool share the blocks.
fn stretches(
    a: &Grid,
    b: Option<&Grid>,
    (out, grid): (&mut [f32], &Grid),
    body: impl Fn(usize, usize, usize, &mut [f32]) + Sync,
) {
    let other = b.unwrap_or(grid);
    let flat = a.is_dense() && other.is_dense() && grid.is_dense();
    let (rows, width) = if flat { (1, grid.height * grid.width) } else { (grid.height, grid.width) };
    for_each_chunk(&mut out[..grid.len()], grid.plane(), |block, plane| {
        for y in 0..rows {
            let at = |grid: &Grid| grid.origin() + y * grid.row();
            let from = |grid: &Grid| block * grid.plane() + at(grid);
            body(block, from(a), from(other), &mut plane[at(grid)..][..width * BLOCK]);
        }
    });
}

/// `end(a + b)`, or of the product; all grids show the same pixels.
///
/// # Panics
/// When a slice is shorter than its grid says.
pub(crate) fn combine(
    isa: Isa,
    product: bool,
    a: (&[f32], &Grid),
    b: (&[f32], &Grid),
    out: (&mut [f32], &Grid),
    end: End,
) {
    stretches(a.1, Some(b.1), out, |_, from, other, out| {
        let (a, b) = (&a.0[from..][..out.len()], &b.0[other..][..out.len()]);
        // SAFETY: nothing but the instructions is asked for.
        unsafe {
            match product {
                false => isa.run(Combine::<false> { a, b, out, end }),
                true => isa.run(Combine::<true> { a, b, out, end }),
            }
        }
    });
}

/// `end(scale·a + shift)` with one factor and summand for each channel, whole blocks of both.
///
/// # Panics
/// When a slice is shorter than its grid says.
pub(crate) fn affine(
    isa: Isa,
    a: (&[f32], &Grid),
    scale: &[f32],
    shift: &[f32],
    out: (&mut [f32], &Grid),
    end: End,
) {
    let (scale, shift) = (scale.as_chunks::<BLOCK>().0, shift.as_chunks::<BLOCK>().0);
    stretches(a.1, None, out, |block, from, _, out| {
        let (scale, shift, length) = (&scale[block], &shift[block], out.len());
        let a = a.0[from..][..length].as_ptr();
        // SAFETY: both slices have this length, whole blocks.
        unsafe { isa.run(Affine { a, scale, shift, out: out.as_mut_ptr(), length, end }) }
    });
}

/// The largest number, or the sum, of each window times a factor; without one, the mean. What lies beyond the edges
/// does not count.
///
/// # Panics
/// When a slice is shorter than its grid says.
pub(crate) fn pool(
    isa: Isa,
    largest: bool,
    factor: Option<f32>,
    filter: &Filter,
    input: (&[f32], &Grid),
    out: (&mut [f32], &Grid),
) {
    let ((from, grid), (to, place)) = (input, out);
    for_each_chunk(&mut to[..place.len()], place.plane(), |block, to| {
        let from = &from[block * grid.plane()..][..grid.plane()];
        for y in 0..place.height {
            let (top, rows) = inside(y, 0, filter, grid.height);
            for x in 0..place.width {
                let (left, columns) = inside(x, 1, filter, grid.width);
                let window = &from[grid.origin() + top * grid.row() + left * BLOCK..];
                assert!(rows * columns > 0 && window.len() >= (rows - 1) * grid.row() + columns * BLOCK);
                let to = &mut to[place.origin() + y * place.row() + x * BLOCK..][..BLOCK];
                let window = Window {
                    rows,
                    columns,
                    input: window.as_ptr(),
                    input_row: grid.row(),
                    out: to.as_mut_ptr(),
                    factor: factor.unwrap_or(1.0 / (rows * columns) as f32),
                };
                // SAFETY: the window's last block ends inside the slice, as asserted; the output has a whole block.
                unsafe {
                    match largest {
                        false => isa.run(Pool::<false>(window)),
                        true => isa.run(Pool::<true>(window)),
                    }
                }
            }
        }
    });
}

/// First row (axis 0) or column of the picture under a window, and how many of them.
fn inside(at: usize, axis: usize, filter: &Filter, size: usize) -> (usize, usize) {
    let start = at * filter.stride[axis];
    let first = start.saturating_sub(filter.pad[axis]);
    let end = (start + filter.kernel[axis]).saturating_sub(filter.pad[axis]).min(size);
    (first.min(size), end.saturating_sub(first))
}
