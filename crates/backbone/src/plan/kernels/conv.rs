//! Convolutions as sums over runs of the input: pointwise, dense and grouped ones alike.

use std::ops::Range;

use graft_simd::{Isa, Pointer, for_each, thread_count};

use super::buffer::{BLOCK, Buffer};
use super::end::End;
use super::grid::Grid;
use super::spans::{self, Span};
use super::tile::{self, ConvRows, Run, STEPS, tiling};

/// Pieces of a convolution that a thread gets, if it has so many: who is done early takes one more.
const PIECES: usize = 4;

/// Where a filter looks; pairs are vertical, horizontal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Above and to the left.
    pub(crate) pad: [usize; 2],
}

impl Filter {
    /// Do the kernels know its stride, where `block` channels of the input lie side by side?
    pub(crate) fn is_known(&self, block: usize) -> bool {
        STEPS.contains(&(self.stride[1] * block))
    }
}

/// A filter's numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weights<'a> {
    /// `[output channels, input channels ∕ groups, kernel, kernel]`
    pub(crate) values: &'a [f32],
    /// `[output channels]`: factors of the above.
    pub(crate) scale: &'a [f32],
    /// `[output channels]`
    pub(crate) bias: &'a [f32],
    pub(crate) groups: usize,
}

/// Output channels that are computed together.
#[derive(Clone, Debug)]
struct Panel {
    block: usize,
    /// Vectors of output channels that it has.
    vectors: usize,
    weights: usize,
    runs: Range<usize>,
}

/// A convolution with its weights packed for one kind of processor and for fixed grids.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    isa: Isa,
    kernel: [usize; 2],
    step: usize,
    panels: Vec<Panel>,
    runs: Vec<Run>,
    weights: Buffer,
    bias: Buffer,
    spans: Vec<Span>,
    rows: usize,
    input_row: usize,
    output: Grid,
    residual: Option<Grid>,
    end: End,
    /// Floats of the input that it may read.
    reach: usize,
}

/// One number that a filter reads: input channel, place among the weights of an output channel, offset from where the first
/// output pixel's window starts.
struct Tap {
    channel: usize,
    index: usize,
    offset: usize,
}

impl Conv {
    /// Packs the weights. `None` where the stride is not one that the kernels know, or the input's halo is too small.
    pub(crate) fn new(
        isa: Isa,
        filter: &Filter,
        weights: &Weights,
        input: &Grid,
        output: &Grid,
        residual: Option<&Grid>,
        end: End,
    ) -> Option<Self> {
        let step = STEPS.iter().position(|&step| step == filter.stride[1] * input.block)?;
        let (inputs, outputs) = (input.channels / weights.groups, output.channels / weights.groups);
        let taps = filter.kernel[0] * filter.kernel[1];
        let (tiling, lanes) = (tiling(isa.instructions()), isa.instructions().lanes());
        let (mut panels, mut runs, mut length) = (Vec::<Panel>::new(), Vec::new(), 0);
        let mut seen: Vec<Vec<Tap>> = Vec::new();
        let mut block = 0;
        while block < output.blocks() {
            // A panel that spans groups multiplies with zeros: narrow ones waste less.
            let fits = |vectors: &&usize| block * BLOCK + *vectors * lanes <= output.blocks() * BLOCK;
            let vectors = match weights.groups {
                1 => *tiling.panels.iter().find(fits)?,
                _ => *tiling.panels.last()?,
            };
            let width = vectors * lanes;
            if weights.groups > 1 || block == 0 {
                let channels = block * BLOCK..(block * BLOCK + width).min(output.channels);
                let groups = channels.start / outputs..(channels.end - 1) / outputs + 1;
                seen.push(read(filter, input, inputs, groups.start * inputs..groups.end * inputs)?);
            }
            let last = seen.last()?;
            let own = match panels.last() {
                Some(last) if weights.groups == 1 => last.runs.clone(),
                _ => join(last, &mut runs),
            };
            panels.push(Panel { block, vectors, weights: length, runs: own });
            length += last.len() * width;
            block += width / BLOCK;
        }
        let mut packed = Buffer::zeros(length);
        for (at, Panel { block, vectors, weights: start, .. }) in panels.iter().enumerate() {
            let (first, width) = (block * BLOCK, vectors * lanes);
            let seen = if weights.groups > 1 { &seen[at] } else { &seen[0] };
            // A block of input channels at a time, so that what is read and what is written stays in the cache.
            let pieces = packed[*start..].chunks_mut(BLOCK * taps * width);
            for (seen, to) in seen.chunks(BLOCK * taps).zip(pieces) {
                for out in first..(first + width).min(output.channels) {
                    let own = &weights.values[out * inputs * taps..][..inputs * taps];
                    for (tap, to) in seen.iter().zip(to[out - first..].iter_mut().step_by(width)) {
                        if weights.groups == 1 || out / outputs == tap.channel / inputs {
                            *to = own[tap.index] * weights.scale[out];
                        }
                    }
                }
            }
        }
        // Without neighbours and gaps the whole plane is one row.
        let flat = taps == 1
            && filter.stride == [1, 1]
            && [Some(input), Some(output), residual].iter().flatten().all(|grid| grid.is_dense());
        let (rows, width) =
            if flat { (1, output.height * output.width) } else { (output.height, output.width) };
        let input_row = filter.stride[0] * input.row();
        let far = runs.iter().map(|run| (run.offset + run.length) as usize).max()?;
        let mut bias = weights.bias.to_vec();
        bias.resize(output.blocks() * BLOCK, 0.0);
        Some(Self {
            isa,
            kernel: filter.kernel,
            step,
            panels,
            runs,
            weights: packed,
            bias: Buffer::of(&bias),
            spans: spans::cut(width, tiling.tiles),
            rows,
            input_row,
            output: *output,
            residual: residual.copied(),
            end,
            reach: (rows - 1) * input_row + (width - 1) * STEPS[step] + far,
        })
    }

    /// Height and width of the filter.
    pub(crate) fn kernel(&self) -> [usize; 2] {
        self.kernel
    }

    /// How many panels of output channels there are.
    pub(crate) fn panels(&self) -> usize {
        self.panels.len()
    }

    /// The blocks of output channels that a panel makes.
    pub(crate) fn blocks(&self, panel: usize) -> Range<usize> {
        let Panel { block, vectors, .. } = self.panels[panel];
        block..block + vectors * self.isa.instructions().lanes() / BLOCK
    }

    /// Computes all panels, `out` and `residual` from their first block on; the threads of a pool share them.
    ///
    /// # Panics
    /// When a slice is shorter than its grid says.
    pub(crate) fn run(&self, input: &[f32], out: &mut [f32], residual: Option<&[f32]>) {
        let residual = residual.zip(self.residual);
        assert!(input.len() >= self.reach, "a convolution past its input");
        assert!(out.len() >= self.output.len(), "a convolution past its output");
        assert!(residual.is_none_or(|(from, grid)| from.len() >= grid.len()), "past the residual");
        let (panels, threads) = (self.panels.len(), thread_count());
        let bands = if threads == 1 { 1 } else { (PIECES * threads).div_ceil(panels).min(self.most_bands()) };
        let out = Pointer::new(out);
        for_each(panels * bands, |piece| {
            let (panel, band) = (piece / bands, piece % bands);
            let first = self.panels[panel].block;
            let residual = residual.map(|(from, grid)| &from[first * grid.plane()..]);
            // SAFETY: all three slices are long enough for every panel, as asserted, and `out` is a unique borrow. Panels are
            // blocks of their own and bands pixels of their own, and each piece is computed once: no two threads write to
            // one place.
            unsafe { self.band(panel, band, bands, input, out.at(first * self.output.plane()), residual) }
        });
    }

    /// Computes one panel; `out` starts at its first block. Not for convolutions with a residual.
    ///
    /// # Panics
    /// When a slice is shorter than its grid says, or there is a residual.
    pub(crate) fn run_panel(&self, panel: usize, input: &[f32], out: &mut [f32]) {
        let blocks = self.blocks(panel).len();
        assert!(self.residual.is_none(), "a residual is missing");
        assert!(input.len() >= self.reach, "a convolution past its input");
        assert!(out.len() >= blocks * self.output.plane(), "a convolution past its output");
        // SAFETY: both slices are long enough, as asserted; `out` is a unique borrow.
        unsafe { self.band(panel, 0, 1, input, out.as_mut_ptr(), None) }
    }

    /// A panel can be cut into so many bands: of rows, or of spans where there is but one row. The last two spans may overlap
    /// and stay together.
    fn most_bands(&self) -> usize {
        if self.rows > 1 { self.rows } else { self.spans.len().saturating_sub(1).max(1) }
    }

    /// Computes one of `bands` parts of a panel; `out` and `residual` start at its first block.
    ///
    /// # Safety
    /// `input` has `reach` numbers, `residual` and the memory at `out` as many as their grids have for the panel's blocks;
    /// nobody else uses those that the band writes.
    unsafe fn band(
        &self,
        panel: usize,
        band: usize,
        bands: usize,
        input: &[f32],
        out: *mut f32,
        residual: Option<&[f32]>,
    ) {
        let Panel { block, vectors, weights, ref runs } = self.panels[panel];
        let part = |all: usize| all * band / bands..all * (band + 1) / bands;
        let (rows, spans) = if self.rows > 1 {
            (part(self.rows), 0..self.spans.len())
        } else {
            let spans = part(self.spans.len() - 1);
            (0..1, spans.start..if band + 1 == bands { self.spans.len() } else { spans.end })
        };
        let residual = residual.zip(self.residual);
        let first = |grid: &Grid| grid.origin() + rows.start * grid.row();
        // SAFETY: reads of the input end at `reach`, which `new`
        // computed from the runs, rows and spans of which these are a part; weights and bias were packed for these
        // runs and panels. Writes stay within the panel's planes of the output grid, since rows and spans end at its
        // height and width; the residual has the same pixels.
        unsafe {
            let job = ConvRows {
                runs: &self.runs[runs.clone()],
                spans: &self.spans[spans],
                rows: rows.len(),
                input: input[rows.start * self.input_row..].as_ptr(),
                input_row: self.input_row,
                weights: self.weights[weights..].as_ptr(),
                bias: self.bias[block * BLOCK..].as_ptr(),
                out: out.add(first(&self.output)),
                out_row: self.output.row(),
                out_block: self.output.plane(),
                residual: residual.map_or(std::ptr::null(), |(from, grid)| from[first(&grid)..].as_ptr()),
                residual_row: residual.map_or(0, |(_, grid)| grid.row()),
                residual_block: residual.map_or(0, |(_, grid)| grid.plane()),
                end: self.end,
            };
            tile::conv(self.isa, vectors, self.step, &job);
        }
    }
}

/// What the filter reads of some input channels, `inputs` a group, in the order of memory. `None` when it looks beyond the halo.
fn read(filter: &Filter, input: &Grid, inputs: usize, channels: Range<usize>) -> Option<Vec<Tap>> {
    let size = filter.kernel[0] * filter.kernel[1];
    let mut taps = Vec::new();
    let mut first = channels.start;
    while first < channels.end {
        let last = (first / input.block * input.block + input.block).min(channels.end);
        for y in 0..filter.kernel[0] {
            let row = (input.halo.top + y * filter.dilation[0]).checked_sub(filter.pad[0])?;
            for x in 0..filter.kernel[1] {
                let column = (input.halo.left + x * filter.dilation[1]).checked_sub(filter.pad[1])?;
                for channel in first..last {
                    let at = channel / input.block * input.plane() + row * input.row();
                    let offset = at + column * input.block + channel % input.block;
                    let index = channel % inputs * size + y * filter.kernel[1] + x;
                    taps.push(Tap { channel, index, offset });
                }
            }
        }
        first = last;
    }
    Some(taps)
}

/// Joins what lies side by side, and says which runs that made.
fn join(taps: &[Tap], runs: &mut Vec<Run>) -> Range<usize> {
    let start = runs.len();
    for tap in taps {
        match runs[start..].last_mut() {
            Some(run) if (run.offset + run.length) as usize == tap.offset => run.length += 1,
            _ => runs.push(Run { offset: tap.offset as u32, length: 1 }),
        }
    }
    start..runs.len()
}
