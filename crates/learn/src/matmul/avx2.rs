//! AVX2 + FMA + F16C: eight lanes.

use std::arch::x86_64::{
    __m256, _MM_HINT_T1, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_loadu_si128, _mm_movehl_ps, _mm_prefetch,
    _mm_shuffle_ps, _mm256_castps256_ps128, _mm256_cvtph_ps, _mm256_extractf128_ps, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps,
};

use half::f16;

use super::lanes::{Lanes, Number};
use super::tiles;

#[derive(Clone, Copy)]
struct Avx2(__m256);

// SAFETY of every block below: the features are the caller's promise (`Lanes`), pointers as well.
impl Lanes for Avx2 {
    const COUNT: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        Self(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) })
    }

    #[inline(always)]
    fn prefetch<N>(from: *const N) {
        // SAFETY: nothing is read; every x86-64 CPU has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

/// Whether this CPU can run what is here.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// # Safety
/// [`available`], and as [`tiles::scores`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn scores<N: Number>(x: tiles::Tall<N>, w: tiles::View, width: usize, out: tiles::ViewMut) {
    // SAFETY: the caller's promise.
    unsafe { tiles::scores::<Avx2, N>(x, w, width, out) }
}

/// # Safety
/// [`available`], and as [`tiles::gather`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn gather<N: Number>(x: tiles::Tall<N>, r: tiles::View, width: usize, out: tiles::ViewMut) {
    // SAFETY: the caller's promise.
    unsafe { tiles::gather::<Avx2, N>(x, r, width, out) }
}

/// Widens f16 to f32.
///
/// # Safety
/// [`available`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn widen(from: &[f16], to: &mut [f32]) {
    let (from8, to8) = (from.chunks_exact(8), to.chunks_exact_mut(8));
    let tail = from8.remainder();
    for (from, to) in from8.zip(to8) {
        // SAFETY: both are eight long.
        unsafe { Avx2::load_half(from.as_ptr()).store(to.as_mut_ptr()) }
    }
    let done = from.len() - tail.len();
    for (to, from) in to[done..].iter_mut().zip(tail) {
        *to = from.to_f32();
    }
}

/// # Safety
/// [`available`], and as [`tiles::dot`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn dot(a: *const f32, b: *const f32, count: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { tiles::dot::<Avx2>(a, b, count) }
}

/// # Safety
/// [`available`], and as [`tiles::add_scaled`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn add_scaled(to: *mut f32, factor: f32, from: *const f32, count: usize) {
    // SAFETY: the caller's promise.
    unsafe { tiles::add_scaled::<Avx2>(to, factor, from, count) }
}

/// # Safety
/// [`available`].
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn spin(rounds: usize) -> f32 {
    // SAFETY: the caller's promise.
    unsafe { tiles::spin::<Avx2>(rounds) }
}
