//! Depthwise convolutions: each channel by itself.

use graft_simd::Isa;

use super::buffer::{BLOCK, Buffer};
use super::conv::{Filter, Weights};
use super::end::End;
use super::grid::Grid;
use super::spans::{self, Span};
use super::tile::{self, DepthRows, tiling};

/// A depthwise convolution 3×3, 5×5 or 7×7 at stride 1 or 2 for fixed grids of blocks.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    isa: Isa,
    /// 3, 5 or 7.
    kernel: usize,
    /// 1 or 2.
    stride: usize,
    /// `[blocks, taps, BLOCK]`
    weights: Buffer,
    /// `[blocks, BLOCK]`
    bias: Buffer,
    taps: usize,
    spans: Vec<Span>,
    input: Grid,
    /// From the start of a block to the first number read.
    first: usize,
    output: Grid,
    end: End,
    /// Floats of a block of the input that it may read, from `first` on.
    reach: usize,
}

impl Depthwise {
    /// Is a filter one that it can be?
    pub(crate) fn knows(filter: &Filter) -> bool {
        matches!(filter.kernel, [3, 3] | [5, 5] | [7, 7])
            && matches!(filter.stride, [1, 1] | [2, 2])
            && filter.dilation == [1, 1]
    }

    /// Packs the weights, one filter for each channel. `None` for other kernels and strides, and for a halo too small.
    pub(crate) fn new(
        isa: Isa,
        filter: &Filter,
        weights: &Weights,
        input: &Grid,
        output: &Grid,
        end: End,
    ) -> Option<Self> {
        if !Self::knows(filter) || input.block != BLOCK {
            return None;
        }
        let taps = filter.kernel[0] * filter.kernel[1];
        let mut packed = Buffer::zeros(output.blocks() * taps * BLOCK);
        for (channel, own) in weights.values.chunks_exact(taps).enumerate() {
            let start = channel / BLOCK * taps * BLOCK + channel % BLOCK;
            packed[start..]
                .iter_mut()
                .step_by(BLOCK)
                .zip(own)
                .for_each(|(to, weight)| *to = weight * weights.scale[channel]);
        }
        let mut lanes = Buffer::zeros(output.blocks() * BLOCK);
        lanes[..weights.bias.len()].copy_from_slice(weights.bias);
        let up = input.halo.top.checked_sub(filter.pad[0])?;
        let left = input.halo.left.checked_sub(filter.pad[1])?;
        let rows = (output.height - 1) * filter.stride[0] + filter.kernel[0] - 1;
        let columns = (output.width - 1) * filter.stride[1] + filter.kernel[1];
        Some(Self {
            isa,
            kernel: filter.kernel[0],
            stride: filter.stride[0],
            weights: packed,
            bias: lanes,
            taps,
            spans: spans::cut(output.width, tiling(isa.instructions()).tiles),
            input: *input,
            first: up * input.row() + left * BLOCK,
            output: *output,
            end,
            reach: rows * input.row() + columns * BLOCK,
        })
    }

    /// Height and width of the filter.
    pub(crate) fn kernel(&self) -> [usize; 2] {
        [self.kernel; 2]
    }

    /// Computes one block of channels; both slices start at it.
    ///
    /// # Panics
    /// When a slice is shorter than its grid says.
    pub(crate) fn run(&self, block: usize, input: &[f32], out: &mut [f32]) {
        assert!(input.len() >= self.first + self.reach, "a convolution past its input");
        assert!(out.len() >= self.output.plane(), "a convolution past its output");
        let job = DepthRows {
            spans: &self.spans,
            rows: self.output.height,
            input: input[self.first..].as_ptr(),
            input_row: self.input.row(),
            weights: self.weights[block * self.taps * BLOCK..].as_ptr(),
            bias: self.bias[block * BLOCK..].as_ptr(),
            out: out[self.output.origin()..].as_mut_ptr(),
            out_row: self.output.row(),
            end: self.end,
        };
        // SAFETY: the last number read is `reach` from the first, as the rows and spans that the loops walk end at the
        // output's; the weights have a whole block of `taps` rows. Writes stay within one plane of the output, which is
        // a unique borrow. The spans were cut by the tiling of these instructions.
        unsafe { tile::depthwise(self.isa, self.kernel, self.stride, &job) }
    }
}
