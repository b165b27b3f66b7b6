//! AVX-512F: sixteen lanes.

use std::arch::x86_64::{
    __m512, _MM_HINT_T1, _mm_prefetch, _mm256_loadu_si256, _mm512_cvtph_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_reduce_add_ps, _mm512_set1_ps, _mm512_storeu_ps,
};

use half::f16;

use super::lanes::{Lanes, Number};
use super::tiles;

#[derive(Clone, Copy)]
struct Avx512(__m512);

// SAFETY of every block below: the features are the caller's promise (`Lanes`), pointers as well.
impl Lanes for Avx512 {
    const COUNT: usize = 16;
    const MANY: bool = true;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) })
    }

    #[inline(always)]
    fn prefetch<N>(from: *const N) {
        // SAFETY: nothing is read; every x86-64 CPU has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
}

/// Whether this CPU can run what is here.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f") && super::avx2::available()
}

/// # Safety
/// [`available`], and as [`tiles::scores`].
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
pub(super) unsafe fn scores<N: Number>(x: tiles::Tall<N>, w: tiles::View, width: usize, out: tiles::ViewMut) {
    // SAFETY: the caller's promise.
    unsafe { tiles::scores::<Avx512, N>(x, w, width, out) }
}

/// # Safety
/// [`available`], and as [`tiles::gather`].
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
pub(super) unsafe fn gather<N: Number>(x: tiles::Tall<N>, r: tiles::View, width: usize, out: tiles::ViewMut) {
    // SAFETY: the caller's promise.
    unsafe { tiles::gather::<Avx512, N>(x, r, width, out) }
}

/// # Safety
/// [`available`], and as [`tiles::dot`].
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
pub(super) unsafe fn dot(a: *const f32, b: *const f32, count: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { tiles::dot::<Avx512>(a, b, count) }
}

/// # Safety
/// [`available`], and as [`tiles::add_scaled`].
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
pub(super) unsafe fn add_scaled(to: *mut f32, factor: f32, from: *const f32, count: usize) {
    // SAFETY: the caller's promise.
    unsafe { tiles::add_scaled::<Avx512>(to, factor, from, count) }
}

/// # Safety
/// [`available`].
#[target_feature(enable = "avx512f,avx2,fma,f16c")]
pub(super) unsafe fn spin(rounds: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { tiles::spin::<Avx512>(rounds) }
}
