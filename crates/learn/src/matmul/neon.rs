//! NEON: four lanes. The conversion from f16 is part of the base instruction set.

use std::arch::aarch64::{float32x4_t, vaddvq_f32, vdupq_n_f32, vfmaq_f32, vld1_u16, vld1q_f32, vst1q_f32};
use std::arch::asm;

use half::f16;

use super::lanes::{Lanes, Number};
use super::tiles;

#[derive(Clone, Copy)]
struct Neon(float32x4_t);

// SAFETY of every block below: NEON is part of every aarch64 CPU that this is built for; pointers are the caller's.
impl Lanes for Neon {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        let wide: float32x4_t;
        // The intrinsic for it needs a type that is not stable yet. The load is left to the compiler, which counts its
        // address into it.
        unsafe {
            asm!(
                "fcvtl {wide:v}.4s, {half:v}.4h",
                half = in(vreg) vld1_u16(from.cast()),
                wide = lateout(vreg) wide,
                options(nomem, nostack, preserves_flags, pure),
            );
        }
        Self(wide)
    }

    #[inline(always)]
    fn prefetch<N>(from: *const N) {
        // SAFETY: nothing is read, and an address that is not there does no harm.
        unsafe { asm!("prfm pldl2keep, [{}]", in(reg) from, options(nostack, preserves_flags, readonly)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(unsafe { vfmaq_f32(self.0, a.0, b.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { vaddvq_f32(self.0) }
    }
}

/// # Safety
/// As [`tiles::scores`].
pub(super) unsafe fn scores<N: Number>(x: tiles::Tall<N>, w: tiles::View, width: usize, out: tiles::ViewMut) {
    // SAFETY: the caller's promise.
    unsafe { tiles::scores::<Neon, N>(x, w, width, out) }
}

/// # Safety
/// As [`tiles::gather`].
pub(super) unsafe fn gather<N: Number>(x: tiles::Tall<N>, r: tiles::View, width: usize, out: tiles::ViewMut) {
    // SAFETY: the caller's promise.
    unsafe { tiles::gather::<Neon, N>(x, r, width, out) }
}

/// Widens f16 to f32.
pub(super) fn widen(from: &[f16], to: &mut [f32]) {
    let (from4, to4) = (from.chunks_exact(4), to.chunks_exact_mut(4));
    let tail = from4.remainder();
    for (from, to) in from4.zip(to4) {
        // SAFETY: reads four f16, writes four f32, both borrowed for it.
        unsafe { Neon::load_half(from.as_ptr()).store(to.as_mut_ptr()) }
    }
    let done = from.len() - tail.len();
    for (to, from) in to[done..].iter_mut().zip(tail) {
        *to = from.to_f32();
    }
}

/// # Safety
/// As [`tiles::dot`].
pub(super) unsafe fn dot(a: *const f32, b: *const f32, count: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { tiles::dot::<Neon>(a, b, count) }
}

/// # Safety
/// As [`tiles::add_scaled`].
pub(super) unsafe fn add_scaled(to: *mut f32, factor: f32, from: *const f32, count: usize) {
    // SAFETY: the caller's promise.
    unsafe { tiles::add_scaled::<Neon>(to, factor, from, count) }
}

/// # Safety
/// As [`tiles::spin`].
pub(super) unsafe fn spin(rounds: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { tiles::spin::<Neon>(rounds) }
}
