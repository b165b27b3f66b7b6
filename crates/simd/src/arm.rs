//! NEON: four lanes. The conversion from binary16 is part of the base instruction set.

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddq_s32, vaddvq_f32, vcvtnq_s32_f32, vdivq_f32, vdupq_n_f32, vdupq_n_s32,
    vfmaq_f32, vld1_u16, vld1q_f32, vmaxq_f32, vminq_f32, vmulq_f32, vreinterpretq_f32_s32, vrndnq_f32,
    vshlq_n_s32, vst1q_f32,
};
use std::arch::asm;

use super::instructions::Instructions;
use super::lanes::{Kernel, Lanes};

/// Four lanes.
#[derive(Clone, Copy)]
pub(super) struct Neon(float32x4_t);

// SAFETY of every block below: NEON is part of every aarch64 CPU that this is built for; pointers are the caller's.
impl Lanes for Neon {
    const INSTRUCTIONS: Instructions = Instructions::Neon;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        let wide: float32x4_t;
        // The intrinsic for it needs a type that is not stable yet. The load is left to the compiler, which counts its
        // address into it.
        unsafe {
            asm!(
                "fcvtl {wide:v}.4s, {half:v}.4h",
                half = in(vreg) vld1_u16(from),
                wide = lateout(vreg) wide,
                options(nomem, nostack, preserves_flags, pure),
            );
        }
        Self(wide)
    }

    #[inline(always)]
    fn prefetch<T>(from: *const T) {
        // SAFETY: nothing is read, and an address that is not there does no harm.
        unsafe { asm!("prfm pldl2keep, [{}]", in(reg) from, options(nostack, preserves_flags, readonly)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn divide(self, by: Self) -> Self {
        Self(unsafe { vdivq_f32(self.0, by.0) })
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(unsafe { vfmaq_f32(self.0, a.0, b.0) })
    }

    // NEON's minimum and maximum give NaN when either is.
    #[inline(always)]
    unsafe fn at_least(self, low: Self) -> Self {
        Self(unsafe { vmaxq_f32(self.0, low.0) })
    }

    #[inline(always)]
    unsafe fn at_most(self, high: Self) -> Self {
        Self(unsafe { vminq_f32(self.0, high.0) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(unsafe { vrndnq_f32(self.0) })
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        unsafe {
            let biased = vaddq_s32(vcvtnq_s32_f32(self.0), vdupq_n_s32(127));
            Self(vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased)))
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { vaddvq_f32(self.0) }
    }
}

/// No instructions have to be switched on, so that it can be part of its caller, by whose name a disassembly shows it.
///
/// # Safety
/// What the kernel asks of its caller.
#[inline(always)]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise; every aarch64 CPU has these instructions.
    unsafe { kernel.run::<Neon>() }
}
