//! How a picture of features lies in memory.

use graft_simd::Isa;

use super::buffer::BLOCK;
use super::elementwise::apply;
use super::end::End;

/// Zeros around a picture: what convolutions with padding read beyond its edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halo {
    pub top: usize,
    pub left: usize,
    pub bottom: usize,
    pub right: usize,
}

impl Halo {
    /// Large enough for both.
    pub fn or(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }
}

/// Features `[blocks, halo + height + halo, halo + width + halo, block]`: `block` channels lie side by side, [`BLOCK`] of them or,
/// in the input, one. Lanes beyond the last channel hold numbers that nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub block: usize,
    pub halo: Halo,
}

impl Grid {
    /// Blocks of [`BLOCK`] channels, without a halo.
    pub fn blocked(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width, block: BLOCK, halo: Halo::default() }
    }

    /// Floats from one row to the next.
    pub fn row(&self) -> usize {
        (self.halo.left + self.width + self.halo.right) * self.block
    }

    /// Floats from one block of channels to the next.
    pub fn plane(&self) -> usize {
        (self.halo.top + self.height + self.halo.bottom) * self.row()
    }

    /// How many blocks of channels there are.
    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.block)
    }

    /// Floats of the whole, halo included.
    #[expect(clippy::len_without_is_empty, reason = "a grid is never empty")]
    pub fn len(&self) -> usize {
        self.blocks() * self.plane()
    }

    /// Where the first pixel of the first block is.
    pub fn origin(&self) -> usize {
        self.halo.top * self.row() + self.halo.left * self.block
    }

    /// Has it no halo, so that its rows follow each other without a gap?
    pub fn is_dense(&self) -> bool {
        self.halo == Halo::default()
    }

    /// Writes zeros around every plane.
    pub fn clear_halo(&self, buffer: &mut [f32]) {
        if self.is_dense() {
            return;
        }
        let row = self.row();
        let (left, right) = (self.halo.left * self.block, self.halo.right * self.block);
        for plane in buffer[..self.len()].chunks_exact_mut(self.plane()) {
            plane[..self.halo.top * row].fill(0.0);
            for line in plane[self.halo.top * row..][..self.height * row].chunks_exact_mut(row) {
                line[..left].fill(0.0);
                line[row - right..].fill(0.0);
            }
            plane[(self.halo.top + self.height) * row..].fill(0.0);
        }
    }

    /// Where each line starts, channel by channel, row by row.
    fn lines(&self) -> impl Iterator<Item = usize> + use<> {
        let (grid, row, plane, origin) = (*self, self.row(), self.plane(), self.origin());
        (0..grid.channels * grid.height).map(move |line| {
            let (channel, y) = (line / grid.height, line % grid.height);
            channel / grid.block * plane + origin + channel % grid.block + y * row
        })
    }

    /// Takes a dense `[channels, height, width]` in, each number with `end` at it.
    pub fn fill(&self, isa: Isa, planar: &[f32], buffer: &mut [f32], end: End) {
        for (start, line) in self.lines().zip(planar.chunks_exact(self.width)) {
            let to = &mut buffer[start..];
            if self.block == 1 {
                to[..self.width].copy_from_slice(line);
                apply(isa, &mut to[..self.width], end);
            } else {
                let to = to.iter_mut().step_by(self.block);
                to.zip(line).for_each(|(to, value)| *to = end.of(*value));
            }
        }
    }

    /// Gives it out as a dense `[channels, height, width]`.
    pub fn empty(&self, buffer: &[f32], planar: &mut [f32]) {
        for (start, line) in self.lines().zip(planar.chunks_exact_mut(self.width)) {
            let from = buffer[start..].iter().step_by(self.block);
            line.iter_mut().zip(from).for_each(|(to, value)| *to = *value);
        }
    }
}
