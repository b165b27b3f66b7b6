//! Loops over numbers one by one and over windows, written once for every kind of vector.

use graft_simd::{Isa, Kernel, Lanes};

use super::buffer::BLOCK;
use super::end::End;
use super::tile::finish;

/// `end(a + b)` of numbers, or of products, whole blocks of them.
pub(super) struct Combine<'a, const PRODUCT: bool> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    pub(super) out: &'a mut [f32],
    pub(super) end: End,
}

impl<const PRODUCT: bool> Kernel for Combine<'_, PRODUCT> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (a, b, out, length) = (self.a.as_ptr(), self.b.as_ptr(), self.out.as_mut_ptr(), self.out.len());
        assert!(self.a.len() >= length && self.b.len() >= length && length.is_multiple_of(BLOCK));
        for at in (0..length).step_by(L::WIDTH) {
            // SAFETY: all three have whole blocks up to `length`, as asserted; the instructions are the caller's promise.
            unsafe {
                let (a, b) = (L::load(a.add(at)), L::load(b.add(at)));
                finish(self.end, if PRODUCT { a.mul(b) } else { a.add(b) }).store(out.add(at));
            }
        }
    }
}

/// `end(scale·a + shift)` of whole blocks of numbers, with factors and summands of a block's channels.
pub(super) struct Affine<'a> {
    pub(super) a: *const f32,
    pub(super) scale: &'a [f32; BLOCK],
    pub(super) shift: &'a [f32; BLOCK],
    /// May be `a`.
    pub(super) out: *mut f32,
    pub(super) length: usize,
    pub(super) end: End,
}

impl Kernel for Affine<'_> {
    type Output = ();

    /// # Safety
    /// `a` is valid for `length` reads and `out` for as many writes, whole blocks.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for at in (0..self.length).step_by(L::WIDTH) {
            let lane = at % BLOCK;
            // SAFETY: the caller's.
            unsafe {
                let (scale, shift) =
                    (L::load(self.scale.as_ptr().add(lane)), L::load(self.shift.as_ptr().add(lane)));
                finish(self.end, shift.add_product(L::load(self.a.add(at)), scale)).store(self.out.add(at));
            }
        }
    }
}

/// `end` of every number, in place.
pub(super) fn apply(isa: Isa, values: &mut [f32], end: End) {
    if end == End::NOTHING {
        return;
    }
    let length = values.len() / BLOCK * BLOCK;
    let at = values.as_mut_ptr();
    let kernel = Affine { a: at, scale: &[1.0; BLOCK], shift: &[0.0; BLOCK], out: at, length, end };
    // SAFETY: whole blocks of the slice, each read before it is written.
    unsafe { isa.run(kernel) }
    values[length..].iter_mut().for_each(|value| *value = end.of(*value));
}

/// `scale·byte + shift` of every pixel's three bytes, as three planes. As many as the shorter of both has.
pub(crate) fn planes(
    isa: Isa,
    pixels: &[[u8; 3]],
    scale: [f32; 3],
    shift: [f32; 3],
    planes: [&mut [f32]; 3],
) {
    // SAFETY: nothing but the instructions is asked for.
    unsafe { isa.run(Planes { pixels, scale, shift, planes }) }
}

struct Planes<'a> {
    pixels: &'a [[u8; 3]],
    scale: [f32; 3],
    shift: [f32; 3],
    planes: [&'a mut [f32]; 3],
}

impl Kernel for Planes<'_> {
    type Output = ();

    // Left to the compiler, which knows how to take threes apart with these instructions. Product and sum are rounded
    // each, so that all kinds of processors give the same numbers.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { pixels, scale, shift, planes: [red, green, blue] } = self;
        for (((pixel, red), green), blue) in pixels.iter().zip(red).zip(green).zip(blue) {
            *red = f32::from(pixel[0]) * scale[0] + shift[0];
            *green = f32::from(pixel[1]) * scale[1] + shift[1];
            *blue = f32::from(pixel[2]) * scale[2] + shift[2];
        }
    }
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

/// The largest numbers of a window, or the sums, times its factor.
pub(super) struct Pool<const LARGEST: bool>(pub(super) Window);

impl<const LARGEST: bool> Kernel for Pool<LARGEST> {
    type Output = ();

    /// # Safety
    /// The window's pointers are good for its rows and columns of blocks, and for one block of output.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let job = self.0;
        for lane in (0..BLOCK).step_by(L::WIDTH) {
            // SAFETY: the caller's.
            unsafe {
                let mut value = L::splat(if LARGEST { f32::NEG_INFINITY } else { 0.0 });
                for y in 0..job.rows {
                    for x in 0..job.columns {
                        let from = L::load(job.input.add(y * job.input_row + x * BLOCK + lane));
                        value = if LARGEST { from.at_least(value) } else { value.add(from) };
                    }
                }
                value.mul(L::splat(job.factor)).store(job.out.add(lane));
            }
        }
    }
}
