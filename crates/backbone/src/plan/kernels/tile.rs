//! The inner loops, written once for every kind of vector. Everything here is inlined into the functions of
//! `isa.rs`, which switch the instructions on.

use super::lanes::Lanes;
use super::{BLOCK, End, Run, Span};

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

/// Rows of a depthwise convolution for `V::WIDTH` channels of one block.
#[derive(Clone, Copy)]
pub(super) struct DepthRows<'a> {
    pub(super) spans: &'a [Span],
    pub(super) rows: usize,
    pub(super) input: *const f32,
    /// From one row of the input to the next.
    pub(super) input_row: usize,
    /// `[taps, BLOCK]`
    pub(super) weights: *const f32,
    /// `[BLOCK]`
    pub(super) bias: *const f32,
    pub(super) out: *mut f32,
    pub(super) out_row: usize,
    pub(super) end: End,
}

/// A window of a block's plane that becomes one pixel.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) input: *const f32,
    pub(super) input_row: usize,
    pub(super) out: *mut f32,
    pub(super) factor: f32,
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

pub(super) use each;

/// `M` neighbouring pixels × `N` vectors of output channels; neighbours in the input are `STEP` floats apart.
#[inline(always)]
pub(super) unsafe fn conv_tile<V: Lanes, const M: usize, const N: usize, const STEP: usize>(
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
pub(super) unsafe fn depth_tile<V: Lanes, const M: usize, const K: usize, const STRIDE: usize>(
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
