//! What is done number by number, and windows.

use super::tile::Window;
use super::{BLOCK, End, Filter, Grid, Isa, each_chunk};

/// Calls `each(block, a, b, out)` for every stretch of pixels without a gap: where it starts in both inputs, and the
/// output's numbers. `b` may be absent. The threads of the team share the blocks.
fn stretches(
    a: &Grid,
    b: Option<&Grid>,
    (out, grid): (&mut [f32], &Grid),
    each: impl Fn(usize, usize, usize, &mut [f32]) + Sync,
) {
    let other = b.unwrap_or(grid);
    let flat = a.is_dense() && other.is_dense() && grid.is_dense();
    let (rows, width) = if flat { (1, grid.height * grid.width) } else { (grid.height, grid.width) };
    each_chunk(&mut out[..grid.len()], grid.plane(), |block, plane| {
        for y in 0..rows {
            let at = |grid: &Grid| grid.origin() + y * grid.row();
            let from = |grid: &Grid| block * grid.plane() + at(grid);
            each(block, from(a), from(other), &mut plane[at(grid)..][..width * BLOCK]);
        }
    });
}

impl Isa {
    /// `end` of every number, in place.
    pub(super) fn end(self, values: &mut [f32], end: End) {
        if end == End::NOTHING {
            return;
        }
        let whole = values.len() / BLOCK * BLOCK;
        let (ones, zeros, at) = ([1.0; BLOCK], [0.0; BLOCK], values.as_mut_ptr());
        // SAFETY: whole blocks of the slice, each read before it is written; the instructions are there.
        unsafe { (self.0.affine)(at, ones.as_ptr(), zeros.as_ptr(), at, whole, end) }
        values[whole..].iter_mut().for_each(|value| *value = end.of(*value));
    }

    /// `end(a + b)`, or of the product; all grids show the same pixels.
    ///
    /// # Panics
    /// When a slice is shorter than its grid says.
    pub(in super::super) fn combine(
        self,
        product: bool,
        a: (&[f32], &Grid),
        b: (&[f32], &Grid),
        out: (&mut [f32], &Grid),
        end: End,
    ) {
        let function = self.0.combine[usize::from(product)];
        stretches(a.1, Some(b.1), out, |_, from, other, to| {
            let (from, other) = (&a.0[from..][..to.len()], &b.0[other..][..to.len()]);
            // SAFETY: three slices of this length, whole blocks each; the instructions are there.
            unsafe { function(from.as_ptr(), other.as_ptr(), to.as_mut_ptr(), to.len(), end) }
        });
    }

    /// `end(scale·a + shift)` with one factor and summand for each channel, whole blocks of both.
    ///
    /// # Panics
    /// When a slice is shorter than its grid says.
    pub(in super::super) fn affine(
        self,
        a: (&[f32], &Grid),
        scale: &[f32],
        shift: &[f32],
        out: (&mut [f32], &Grid),
        end: End,
    ) {
        stretches(a.1, None, out, |block, from, _, to| {
            let from = &a.0[from..][..to.len()];
            let lanes = block * BLOCK..(block + 1) * BLOCK;
            let (scale, shift) = (&scale[lanes.clone()], &shift[lanes]);
            // SAFETY: both slices have this length, whole blocks, and there is a factor and a summand for each lane; the
            // instructions are there.
            unsafe {
                (self.0.affine)(
                    from.as_ptr(),
                    scale.as_ptr(),
                    shift.as_ptr(),
                    to.as_mut_ptr(),
                    to.len(),
                    end,
                );
            }
        });
    }

    /// `scale·byte + shift` of every pixel's three bytes, as three planes. As many as the shorter of both has.
    pub(crate) fn planes(
        self,
        pixels: &[[u8; 3]],
        scale: [f32; 3],
        shift: [f32; 3],
        planes: [&mut [f32]; 3],
    ) {
        // SAFETY: the instructions are there; the slices know their lengths.
        unsafe { (self.0.planes)(pixels, scale, shift, planes) }
    }

    /// The largest number, or the sum, of each window times a factor; without one, the mean. What lies beyond the edges
    /// does not count.
    ///
    /// # Panics
    /// When a slice is shorter than its grid says.
    pub(in super::super) fn pool(
        self,
        largest: bool,
        factor: Option<f32>,
        filter: &Filter,
        input: (&[f32], &Grid),
        out: (&mut [f32], &Grid),
    ) {
        let ((from, grid), (to, place)) = (input, out);
        let function = self.0.window[usize::from(largest)];
        each_chunk(&mut to[..place.len()], place.plane(), |block, to| {
            let from = &from[block * grid.plane()..][..grid.plane()];
            for y in 0..place.height {
                let (top, rows) = inside(y, 0, filter, grid.height);
                for x in 0..place.width {
                    let (left, columns) = inside(x, 1, filter, grid.width);
                    let window = &from[grid.origin() + top * grid.row() + left * BLOCK..];
                    assert!(rows * columns > 0 && window.len() >= (rows - 1) * grid.row() + columns * BLOCK);
                    let to = &mut to[place.origin() + y * place.row() + x * BLOCK..][..BLOCK];
                    let job = Window {
                        rows,
                        columns,
                        input: window.as_ptr(),
                        input_row: grid.row(),
                        out: to.as_mut_ptr(),
                        factor: factor.unwrap_or(1.0 / (rows * columns) as f32),
                    };
                    // SAFETY: the window's last block ends inside the slice, as asserted; the output has a whole block; the
                    // instructions are there.
                    unsafe { function(&job) }
                }
            }
        });
    }
}

/// First row (axis 0) or column of the picture under a window, and how many of them.
fn inside(at: usize, axis: usize, filter: &Filter, size: usize) -> (usize, usize) {
    let start = at * filter.stride[axis];
    let first = start.saturating_sub(filter.pad[axis]);
    let end = (start + filter.kernel[axis]).saturating_sub(filter.pad[axis]).min(size);
    (first.min(size), end.saturating_sub(first))
}
