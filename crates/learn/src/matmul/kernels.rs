//! The loops of `tiles.rs` as kernels, which run with the instructions that the CPU has.

use graft_simd::{Kernel, Lanes};
use half::f16;

use super::tiles::{self, Number, Tall, View, ViewMut};

/// [`tiles::scores`], which says what its caller promises.
pub(super) struct Scores<N> {
    pub(super) x: Tall<N>,
    pub(super) w: View,
    pub(super) width: usize,
    pub(super) out: ViewMut,
}

impl<N: Number> Kernel for Scores<N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's promise.
        unsafe { tiles::scores::<L, N>(self.x, self.w, self.width, self.out) }
    }
}

/// [`tiles::gather`], which says what its caller promises.
pub(super) struct Gather<N> {
    pub(super) x: Tall<N>,
    pub(super) r: View,
    pub(super) width: usize,
    pub(super) out: ViewMut,
}

impl<N: Number> Kernel for Gather<N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's promise.
        unsafe { tiles::gather::<L, N>(self.x, self.r, self.width, self.out) }
    }
}

/// [`tiles::dot`] over as many numbers as both have.
pub(super) struct Dot<'a>(pub(super) &'a [f32], pub(super) &'a [f32]);

impl Kernel for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) -> f32 {
        let count = self.0.len().min(self.1.len());
        // SAFETY: both hold `count` numbers; the instructions are the caller's promise.
        unsafe { tiles::dot::<L>(self.0.as_ptr(), self.1.as_ptr(), count) }
    }
}

/// [`tiles::add_scaled`] over as many numbers as both have.
pub(super) struct AddScaled<'a> {
    pub(super) to: &'a mut [f32],
    pub(super) factor: f32,
    pub(super) from: &'a [f32],
}

impl Kernel for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let count = self.to.len().min(self.from.len());
        // SAFETY: both hold `count` numbers, and one is a unique borrow; the instructions are the caller's promise.
        unsafe { tiles::add_scaled::<L>(self.to.as_mut_ptr(), self.factor, self.from.as_ptr(), count) }
    }
}

/// Converts as many f16 to f32 as both have.
pub(super) struct Widen<'a> {
    pub(super) from: &'a [f16],
    pub(super) to: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (from, to) = (self.from.chunks_exact(L::WIDTH), self.to.chunks_exact_mut(L::WIDTH));
        let rest = from.remainder();
        let done = self.from.len() - rest.len();
        for (from, to) in from.zip(to) {
            // SAFETY: both are `WIDTH` long, and an f16 is its 16 bits; the instructions are the caller's promise.
            unsafe { L::load_half(from.as_ptr().cast()).store(to.as_mut_ptr()) }
        }
        for (to, from) in self.to[done..].iter_mut().zip(rest) {
            *to = from.to_f32();
        }
    }
}
