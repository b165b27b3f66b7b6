//! AVX2 and AVX-512: eight and sixteen lanes.

use std::arch::x86_64::*;

use super::instructions::Instructions;
use super::lanes::{Kernel, Lanes};

/// Rounds to the nearest whole number, ties to even, and raises no flag.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// Writes one implementation out of single calls.
macro_rules! lanes {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $instructions:ident,
     splat $splat:expr, load $load:expr, load_half $load_half:expr, store $store:expr,
     add $add:expr, mul $mul:expr, divide $divide:expr, add_product $add_product:expr,
     larger $larger:expr, smaller $smaller:expr, round $round:expr, power_of_two $power:expr, sum $sum:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name($inner);

        // SAFETY of every block below: the instructions are the caller's promise (`Lanes`), and pointers as well.
        impl Lanes for $name {
            const INSTRUCTIONS: Instructions = Instructions::$instructions;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                Self(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn load_half(from: *const u16) -> Self {
                Self(unsafe { $load_half(from) })
            }

            #[inline(always)]
            fn prefetch<T>(from: *const T) {
                // SAFETY: nothing is read; every x86-64 CPU has the instruction.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Self(unsafe { $mul(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn divide(self, by: Self) -> Self {
                Self(unsafe { $divide(self.0, by.0) })
            }

            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                Self(unsafe { $add_product(a.0, b.0, self.0) })
            }

            // The instructions give their second operand when one is NaN: the value goes second.
            #[inline(always)]
            unsafe fn at_least(self, low: Self) -> Self {
                Self(unsafe { $larger(low.0, self.0) })
            }

            #[inline(always)]
            unsafe fn at_most(self, high: Self) -> Self {
                Self(unsafe { $smaller(high.0, self.0) })
            }

            #[inline(always)]
            unsafe fn round(self) -> Self {
                Self(unsafe { $round(self.0) })
            }

            #[inline(always)]
            unsafe fn power_of_two(self) -> Self {
                Self(unsafe { $power(self.0) })
            }

            #[inline(always)]
            unsafe fn sum(self) -> f32 {
                unsafe { $sum(self.0) }
            }
        }
    };
}

lanes!(
    /// Sixteen lanes.
    Avx512, __m512, Avx512,
    splat _mm512_set1_ps, load _mm512_loadu_ps,
    load_half load_half_16,
    store _mm512_storeu_ps, add _mm512_add_ps, mul _mm512_mul_ps, divide _mm512_div_ps,
    add_product _mm512_fmadd_ps, larger _mm512_max_ps, smaller _mm512_min_ps,
    round _mm512_roundscale_ps::<NEAREST>,
    power_of_two power_of_two_16,
    sum _mm512_reduce_add_ps
);
lanes!(
    /// Eight lanes.
    Avx2, __m256, Avx2,
    splat _mm256_set1_ps, load _mm256_loadu_ps,
    load_half load_half_8,
    store _mm256_storeu_ps, add _mm256_add_ps, mul _mm256_mul_ps, divide _mm256_div_ps,
    add_product _mm256_fmadd_ps, larger _mm256_max_ps, smaller _mm256_min_ps,
    round _mm256_round_ps::<NEAREST>,
    power_of_two power_of_two_8, sum sum_8
);

// Functions and no closures: those would not inherit the CPU features.

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_half_16(from: *const u16) -> __m512 {
    // SAFETY: the caller's promise, as of all here that is given a pointer.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(from.cast()) })
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn load_half_8(from: *const u16) -> __m256 {
    // SAFETY: the caller's promise.
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(from.cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn power_of_two_16(power: __m512) -> __m512 {
    let biased = _mm512_add_epi32(_mm512_cvtps_epi32(power), _mm512_set1_epi32(127));
    _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
}

#[inline]
#[target_feature(enable = "avx2")]
fn power_of_two_8(power: __m256) -> __m256 {
    let biased = _mm256_add_epi32(_mm256_cvtps_epi32(power), _mm256_set1_epi32(127));
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum_8(all: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// # Safety
/// The CPU has [`Instructions::Avx512`]; and what the kernel asks of its caller.
#[target_feature(enable = "avx512f,avx512vl,avx2,fma,f16c")]
pub(super) unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512>() }
}

/// # Safety
/// The CPU has [`Instructions::Avx2`]; and what the kernel asks of its caller.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx2>() }
}
