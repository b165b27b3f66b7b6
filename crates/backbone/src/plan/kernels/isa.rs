//! For each kind of processor, the loops of `tile.rs` with its instructions switched on.

use super::lanes::Lanes;
use super::tile::{ConvRows, DepthRows, Window, conv_tile, depth_tile, each, finish};
use super::{BLOCK, End};

/// Two inputs, output, floats, what is done to each.
type Combine = unsafe fn(*const f32, *const f32, *mut f32, usize, End);
/// Input, factors, summands, output, floats, what is done to each.
type Affine = unsafe fn(*const f32, *const f32, *const f32, *mut f32, usize, End);

/// Pixels of three bytes, factors, summands, red, green, blue.
type Planes = unsafe fn(&[[u8; 3]], [f32; 3], [f32; 3], [&mut [f32]; 3]);

/// The functions of one kind of processor. What each may be given is said at its caller in `mod.rs`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Functions {
    pub(super) name: &'static str,
    /// Floats of a vector.
    pub(super) width: usize,
    /// Output channels of a panel, from the most to the least.
    pub(super) panels: &'static [usize],
    /// Widths of a tile of pixels, from the most to the least; the last is 1.
    pub(super) tiles: &'static [usize],
    /// By the panel's place in `panels` and the step's in [`STEPS`].
    pub(super) conv: &'static [[unsafe fn(&ConvRows); STEPS.len()]],
    /// By kernel 3, 5 or 7 and stride 1 or 2.
    pub(super) depthwise: [[unsafe fn(&DepthRows); 2]; 3],
    /// Sums, products, of whole blocks.
    pub(super) combine: [Combine; 2],
    /// With factors and summands of a block's channels, of whole blocks.
    pub(super) affine: Affine,
    /// Takes a picture's bytes apart into planes of numbers.
    pub(super) planes: Planes,
    /// Rounds of [`BUSY`] multiplications with addition of vectors in registers.
    pub(super) busy: unsafe fn(usize) -> f32,
    /// Sum, largest of a window.
    pub(super) window: [unsafe fn(&Window); 2],
}

/// Floats between neighbouring pixels that convolutions know: planes of one channel at stride 1, 2 and 4, and blocks
/// at stride 1 and 2.
pub(super) const STEPS: [usize; 5] = [1, 2, 4, BLOCK, 2 * BLOCK];

/// Sums that `busy` keeps apart: enough for two units that take four steps each.
pub(super) const BUSY: usize = 14;

macro_rules! isa {
    ($module:ident, $lanes:path, $(#[$feature:meta])?, panels [$($vectors:literal),*], tiles [$($tile:literal),*]) => {
        pub(super) mod $module {
            use super::*;
            use $lanes as V;

            $(#[$feature])?
            unsafe fn conv<const N: usize, const STEP: usize>(job: &ConvRows) {
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
                            match span.width {
                                $($tile => conv_tile::<V, $tile, N, STEP>(job, input, out, residual),)*
                                _ => unreachable!("a span of another processor"),
                            }
                        }
                    }
                }
            }

            $(#[$feature])?
            unsafe fn depthwise<const K: usize, const STRIDE: usize>(job: &DepthRows) {
                for y in 0..job.rows {
                    for span in job.spans {
                        let x = span.start as usize;
                        // SAFETY: the caller's.
                        unsafe {
                            let input = job.input.add(y * STRIDE * job.input_row + x * STRIDE * BLOCK);
                            let out = job.out.add(y * job.out_row + x * BLOCK);
                            match span.width {
                                $($tile => depth_tile::<V, $tile, K, STRIDE>(job, input, out),)*
                                _ => unreachable!("a span of another processor"),
                            }
                        }
                    }
                }
            }

            $(#[$feature])?
            unsafe fn combine<const PRODUCT: bool>(
                a: *const f32,
                b: *const f32,
                out: *mut f32,
                length: usize,
                end: End,
            ) {
                for at in (0..length).step_by(V::WIDTH) {
                    // SAFETY: the caller's.
                    unsafe {
                        let (a, b) = (V::load(a.add(at)), V::load(b.add(at)));
                        finish(end, if PRODUCT { a.mul(b) } else { a.add(b) }).store(out.add(at));
                    }
                }
            }

            $(#[$feature])?
            unsafe fn affine(
                a: *const f32,
                scale: *const f32,
                shift: *const f32,
                out: *mut f32,
                length: usize,
                end: End,
            ) {
                for at in (0..length).step_by(V::WIDTH) {
                    let lane = at % BLOCK;
                    // SAFETY: the caller's.
                    unsafe {
                        let (scale, shift) = (V::load(scale.add(lane)), V::load(shift.add(lane)));
                        finish(end, shift.add_product(V::load(a.add(at)), scale)).store(out.add(at));
                    }
                }
            }

            // Left to the compiler, which knows how to take threes apart with these instructions. Product and sum are rounded
            // each, so that all kinds of processors give the same numbers.
            $(#[$feature])?
            unsafe fn planes(pixels: &[[u8; 3]], scale: [f32; 3], shift: [f32; 3], planes: [&mut [f32]; 3]) {
                let [red, green, blue] = planes;
                for (((pixel, red), green), blue) in pixels.iter().zip(red).zip(green).zip(blue) {
                    *red = f32::from(pixel[0]) * scale[0] + shift[0];
                    *green = f32::from(pixel[1]) * scale[1] + shift[1];
                    *blue = f32::from(pixel[2]) * scale[2] + shift[2];
                }
            }

            $(#[$feature])?
            unsafe fn window<const LARGEST: bool>(job: &Window) {
                for lane in (0..BLOCK).step_by(V::WIDTH) {
                    // SAFETY: the caller's.
                    unsafe {
                        let mut value = V::splat(if LARGEST { f32::NEG_INFINITY } else { 0.0 });
                        for y in 0..job.rows {
                            for x in 0..job.columns {
                                let from = V::load(job.input.add(y * job.input_row + x * BLOCK + lane));
                                value = if LARGEST { from.at_least(value) } else { value.add(from) };
                            }
                        }
                        value.mul(V::splat(job.factor)).store(job.out.add(lane));
                    }
                }
            }

            $(#[$feature])?
            unsafe fn busy(rounds: usize) -> f32 {
                let mut first = [0.0; BLOCK];
                // SAFETY: the caller's; a vector is at most a block.
                unsafe {
                    let (a, b) = (V::splat(std::hint::black_box(0.5)), V::splat(std::hint::black_box(0.25)));
                    let mut sums = [V::splat(0.0); BUSY];
                    for _ in 0..rounds {
                        each!(S < BUSY, { sums[S] = sums[S].add_product(a, b) });
                    }
                    let total = sums.into_iter().fold(V::splat(0.0), |total, sum| total.add(sum));
                    total.store(first.as_mut_ptr());
                }
                first[0]
            }

            pub(in super::super) const FUNCTIONS: Functions = Functions {
                name: stringify!($module),
                width: V::WIDTH,
                panels: &[$($vectors * V::WIDTH),*],
                tiles: &[$($tile),*],
                conv: &[$([
                    conv::<$vectors, { STEPS[0] }>,
                    conv::<$vectors, { STEPS[1] }>,
                    conv::<$vectors, { STEPS[2] }>,
                    conv::<$vectors, { STEPS[3] }>,
                    conv::<$vectors, { STEPS[4] }>,
                ]),*],
                depthwise: [
                    [depthwise::<3, 1>, depthwise::<3, 2>],
                    [depthwise::<5, 1>, depthwise::<5, 2>],
                    [depthwise::<7, 1>, depthwise::<7, 2>],
                ],
                combine: [combine::<false>, combine::<true>],
                affine,
                planes,
                busy,
                window: [window::<false>, window::<true>],
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
isa!(avx512, super::super::lanes::x86::Avx512, #[target_feature(enable = "avx512f,avx512vl,fma,avx2")],
    panels [2, 1], tiles [14, 8, 7, 4, 1]);
#[cfg(target_arch = "x86_64")]
isa!(avx2, super::super::lanes::x86::Avx2, #[target_feature(enable = "avx2,fma")],
    panels [2], tiles [6, 5, 4, 3, 2, 1]);
#[cfg(target_arch = "aarch64")]
isa!(neon, super::super::lanes::arm::Neon, , panels [4], tiles [6, 4, 2, 1]);
isa!(portable, super::super::lanes::portable::Portable, , panels [2], tiles [4, 1]);
