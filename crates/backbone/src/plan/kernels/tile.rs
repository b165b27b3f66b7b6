//! The inner loops of convolutions, written once for every kind of vector.

use graft_simd::{Instructions, Isa, Kernel, Lanes};

use super::buffer::BLOCK;
use super::end::End;
use super::spans::Span;

/// Floats between neighbouring pixels that convolutions know: planes of one channel at stride 1, 2 and 4, and blocks
/// at stride 1 and 2.
pub(super) const STEPS: [usize; 5] = [1, 2, 4, BLOCK, 2 * BLOCK];

/// Sizes of what is computed together, so that its sums fit the registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// Vectors of output channels that a panel has, from the most to the least.
    pub(super) panels: &'static [usize],
    /// Pixels, from the most to the least; the last is 1.
    pub(super) tiles: &'static [usize],
}

/// That of some instructions.
pub(super) const fn tiling(instructions: Instructions) -> Tiling {
    match instructions {
        Instructions::Avx512 => Tiling { panels: &[2, 1], tiles: &[14, 8, 7, 4, 1] },
        Instructions::Avx2 => Tiling { panels: &[2], tiles: &[6, 5, 4, 3, 2, 1] },
        Instructions::Neon => Tiling { panels: &[4], tiles: &[6, 4, 2, 1] },
        Instructions::Portable => Tiling { panels: &[4], tiles: &[4, 1] },
    }
}

/// Whether a size is among those.
const fn has(sizes: &[usize], size: usize) -> bool {
    let mut at = 0;
    while at < sizes.len() {
        if sizes[at] == size {
            return true;
        }
        at += 1;
    }
    false
}

/// Numbers of the input that lie side by side and meet weights that do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// Rows of a convolution for one panel of output channels; all strides in floats.
#[derive(Clone, Copy)]
pub(super) struct ConvRows<'a> {
    pub(super) runs: &'a [Run],
    pub(super) spans: &'a [Span],
    pub(super) rows: usize,
    pub(super) input: *const f32,
    pub(super) input_row: usize,
    /// `[products, panel]`, in the order of the runs.
    pub(super) weights: *const f32,
    /// `[panel]`
    pub(super) bias: *const f32,
    pub(super) out: *mut f32,
    pub(super) out_row: usize,
    pub(super) out_block: usize,
    /// Null without one.
    pub(super) residual: *const f32,
    pub(super) residual_row: usize,
    pub(super) residual_block: usize,
    pub(super) end: End,
}

/// Rows of a depthwise convolution for one block of channels; all strides in floats.
#[derive(Clone, Copy)]
pub(super) struct DepthRows<'a> {
    pub(super) spans: &'a [Span],
    pub(super) rows: usize,
    pub(super) input: *const f32,
    pub(super) input_row: usize,
    /// `[taps, BLOCK]`
    pub(super) weights: *const f32,
    /// `[BLOCK]`
    pub(super) bias: *const f32,
    pub(super) out: *mut f32,
    pub(super) out_row: usize,
    pub(super) end: End,
}

/// What is done to a finished sum.
#[inline(always)]
pub(super) unsafe fn finish<V: Lanes>(end: End, value: V) -> V {
    unsafe {
        match end {
            End::Clamp { low, high } => value.at_least(V::splat(low)).at_most(V::splat(high)),
            End::HardSwish { slope, offset, high } => {
                let gate = V::splat(offset).add_product(value, V::splat(slope));
                value.mul(gate.at_least(V::splat(0.0)).at_most(V::splat(high)))
            }
            End::Sigmoid => sigmoid(value),
            End::Silu => value.mul(sigmoid(value)),
            End::Quantise { inverse, least, most, scale } => {
                let steps = value.mul(V::splat(inverse)).round();
                steps.at_least(V::splat(least)).at_most(V::splat(most)).mul(V::splat(scale))
            }
        }
    }
}

/// 1 ∕ (1 + e⁻ˣ). The exponential is 2ⁿ·2ᶠ with f in −½…½ and 2ᶠ = e^(f·ln 2) by its Taylor series, whose first term
/// left out is below 2·10⁻⁸.
#[inline(always)]
unsafe fn sigmoid<V: Lanes>(value: V) -> V {
    const TERMS: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    unsafe {
        let power = value.mul(V::splat(-std::f32::consts::LOG2_E));
        let power = power.at_least(V::splat(-126.0)).at_most(V::splat(126.0));
        let whole = power.round();
        let part = power.add_product(whole, V::splat(-1.0)).mul(V::splat(std::f32::consts::LN_2));
        let mut series = V::splat(TERMS[0]);
        for term in &TERMS[1..] {
            series = V::splat(*term).add_product(series, part);
        }
        let one = V::splat(1.0);
        one.divide(one.add_product(series, whole.power_of_two()))
    }
}

/// Writes a loop out: `sums` has to live in registers, which takes indices that are constants.
macro_rules! each {
    ($at:ident < $count:expr, $body:block) => {
        each!($at, $count, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    ($at:ident, $count:expr, $body:block, $($number:literal)*) => {
        {$(if $number < $count {
            const $at: usize = $number;
            $body
        })*}
    };
}

/// `$body` with the constant `$tile`, the width of a span. Only widths that the instructions have are compiled.
macro_rules! with_tile {
    ($lanes:ident, $width:expr, $tile:ident => $body:expr) => {
        with_tile!($lanes, $width, $tile => $body, 1 2 3 4 5 6 7 8 14)
    };
    ($lanes:ident, $width:expr, $tile:ident => $body:expr, $($number:literal)*) => {
        match $width {
            $($number if const { has(tiling($lanes::INSTRUCTIONS).tiles, $number) } => {
                const $tile: usize = $number;
                $body
            })*
            _ => unreachable!("a span of other instructions"),
        }
    };
}

/// Computes rows of a convolution, with panels of `vectors` vectors and neighbours in the input `STEPS[step]` apart.
///
/// # Safety
/// The pointers of the job are good for what its runs, spans and rows read and write, and nobody else uses what is
/// written. `vectors` and the spans' widths are sizes of the [`tiling`] of these instructions.
pub(super) unsafe fn conv(isa: Isa, vectors: usize, step: usize, job: &ConvRows) {
    // SAFETY: the caller's promise.
    unsafe {
        match vectors {
            1 => conv_panel::<1>(isa, step, job),
            2 => conv_panel::<2>(isa, step, job),
            4 => conv_panel::<4>(isa, step, job),
            _ => unreachable!("a panel that no kernel has"),
        }
    }
}

unsafe fn conv_panel<const N: usize>(isa: Isa, step: usize, job: &ConvRows) {
    // SAFETY: the caller's promise.
    unsafe {
        match step {
            0 => conv_rows::<N, { STEPS[0] }>(isa, job),
            1 => conv_rows::<N, { STEPS[1] }>(isa, job),
            2 => conv_rows::<N, { STEPS[2] }>(isa, job),
            3 => conv_rows::<N, { STEPS[3] }>(isa, job),
            4 => conv_rows::<N, { STEPS[4] }>(isa, job),
            _ => unreachable!("a step that no kernel has"),
        }
    }
}

/// A function of its own, which `cross/loops.py` finds by its name.
#[inline(never)]
unsafe fn conv_rows<const N: usize, const STEP: usize>(isa: Isa, job: &ConvRows) {
    // SAFETY: the caller's promise.
    unsafe { isa.run(Conv::<N, STEP>(job)) }
}

struct Conv<'a, const N: usize, const STEP: usize>(&'a ConvRows<'a>);

impl<const N: usize, const STEP: usize> Kernel for Conv<'_, N, STEP> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        if const { !has(tiling(L::INSTRUCTIONS).panels, N) } {
            unreachable!("a panel of other instructions");
        }
        let job = self.0;
        for y in 0..job.rows {
            for span in job.spans {
                let x = span.start as usize;
                // SAFETY: the caller's.
                unsafe {
                    let input = job.input.add(y * job.input_row + x * STEP);
                    let out = job.out.add(y * job.out_row + x * BLOCK);
                    let residual = match job.residual.is_null() {
                        true => job.residual,
                        false => job.residual.add(y * job.residual_row + x * BLOCK),
                    };
                    with_tile!(L, span.width, M => conv_tile::<L, M, N, STEP>(job, input, out, residual))
                }
            }
        }
    }
}

/// Computes rows of a depthwise convolution, with a kernel of 3, 5 or 7 and a stride of 1 or 2.
///
/// # Safety
/// As [`conv`].
pub(super) unsafe fn depthwise(isa: Isa, kernel: usize, stride: usize, job: &DepthRows) {
    // SAFETY: the caller's promise.
    unsafe {
        match (kernel, stride) {
            (3, 1) => depthwise_rows::<3, 1>(isa, job),
            (3, 2) => depthwise_rows::<3, 2>(isa, job),
            (5, 1) => depthwise_rows::<5, 1>(isa, job),
            (5, 2) => depthwise_rows::<5, 2>(isa, job),
            (7, 1) => depthwise_rows::<7, 1>(isa, job),
            (7, 2) => depthwise_rows::<7, 2>(isa, job),
            _ => unreachable!("a filter that no kernel has"),
        }
    }
}

/// A function of its own, which `cross/loops.py` finds by its name.
#[inline(never)]
unsafe fn depthwise_rows<const K: usize, const STRIDE: usize>(isa: Isa, job: &DepthRows) {
    // SAFETY: the caller's promise.
    unsafe { isa.run(Depthwise::<K, STRIDE>(job)) }
}

struct Depthwise<'a, const K: usize, const STRIDE: usize>(&'a DepthRows<'a>);

impl<const K: usize, const STRIDE: usize> Kernel for Depthwise<'_, K, STRIDE> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for lane in (0..BLOCK).step_by(L::WIDTH) {
            let job = self.0;
            // SAFETY: the caller's; a block has this lane.
            let job = unsafe {
                &DepthRows {
                    input: job.input.add(lane),
                    weights: job.weights.add(lane),
                    bias: job.bias.add(lane),
                    out: job.out.add(lane),
                    ..*job
                }
            };
            for y in 0..job.rows {
                for span in job.spans {
                    let x = span.start as usize;
                    // SAFETY: the caller's.
                    unsafe {
                        let input = job.input.add(y * STRIDE * job.input_row + x * STRIDE * BLOCK);
                        let out = job.out.add(y * job.out_row + x * BLOCK);
                        with_tile!(L, span.width, M => depth_tile::<L, M, K, STRIDE>(job, input, out))
                    }
                }
            }
        }
    }
}

/// `M` neighbouring pixels × `N` vectors of output channels; neighbours in the input are `STEP` floats apart.
#[inline(always)]
unsafe fn conv_tile<V: Lanes, const M: usize, const N: usize, const STEP: usize>(
    job: &ConvRows,
    input: *const f32,
    out: *mut f32,
    residual: *const f32,
) {
    unsafe {
        let mut sums = [[V::splat(0.0); N]; M];
        each!(C < N, {
            let bias = V::load(job.bias.add(C * V::WIDTH));
            each!(P < M, { sums[P][C] = bias });
        });
        let mut weights = job.weights;
        for run in job.runs {
            let mut from = input.add(run.offset as usize);
            for _ in 0..run.length {
                let mut row = [V::splat(0.0); N];
                each!(C < N, { row[C] = V::load(weights.add(C * V::WIDTH)) });
                each!(P < M, {
                    let pixel = V::splat(*from.add(P * STEP));
                    each!(C < N, { sums[P][C] = sums[P][C].add_product(pixel, row[C]) });
                });
                from = from.add(1);
                weights = weights.add(N * V::WIDTH);
            }
        }
        if !residual.is_null() {
            each!(C < N, {
                let from = residual.add(C * V::WIDTH / BLOCK * job.residual_block + C * V::WIDTH % BLOCK);
                each!(P < M, { sums[P][C] = sums[P][C].add(V::load(from.add(P * BLOCK))) });
            });
        }
        each!(C < N, {
            let to = out.add(C * V::WIDTH / BLOCK * job.out_block + C * V::WIDTH % BLOCK);
            match job.end {
                End::Clamp { .. } => each!(P < M, { finish(job.end, sums[P][C]).store(to.add(P * BLOCK)) }),
                End::Quantise { .. } => {
                    each!(P < M, { finish(job.end, sums[P][C]).store(to.add(P * BLOCK)) })
                }
                // Rarer ends are not written out: the sums go through memory that is still in the cache.
                _ => {
                    each!(P < M, { sums[P][C].store(to.add(P * BLOCK)) });
                    finish_stored::<V>(job.end, to, M);
                }
            }
        });
    }
}

#[inline(always)]
unsafe fn finish_stored<V: Lanes>(end: End, to: *mut f32, pixels: usize) {
    for pixel in 0..pixels {
        unsafe {
            let at = to.add(pixel * BLOCK);
            finish(end, V::load(at)).store(at);
        }
    }
}

/// `M` neighbouring pixels of a depthwise `K`×`K` convolution.
#[inline(always)]
unsafe fn depth_tile<V: Lanes, const M: usize, const K: usize, const STRIDE: usize>(
    job: &DepthRows,
    input: *const f32,
    out: *mut f32,
) {
    unsafe {
        let mut sums = [V::load(job.bias); M];
        for y in 0..K {
            let from = input.add(y * job.input_row);
            let weights = job.weights.add(y * K * BLOCK);
            each!(X < K, {
                let weight = V::load(weights.add(X * BLOCK));
                each!(P < M, {
                    sums[P] = sums[P].add_product(V::load(from.add((P * STRIDE + X) * BLOCK)), weight);
                });
            });
        }
        match job.end {
            End::Clamp { .. } => each!(P < M, { finish(job.end, sums[P]).store(out.add(P * BLOCK)) }),
            End::Quantise { .. } => each!(P < M, { finish(job.end, sums[P]).store(out.add(P * BLOCK)) }),
            _ => {
                each!(P < M, { sums[P].store(out.add(P * BLOCK)) });
                finish_stored::<V>(job.end, out, M);
            }
        }
    }
}
