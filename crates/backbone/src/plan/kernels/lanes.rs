//! One vector of f32 as the kernels see it, and the four kinds there are.

/// A vector of [`Lanes::WIDTH`] floats; 16 is a multiple of it.
///
/// # Safety
/// Every method needs the instructions of its kind to be there, and pointers good for `WIDTH` floats.
pub(super) trait Lanes: Copy {
    /// Floats in it.
    const WIDTH: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self + a·b`, rounded once where the processor can.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// The larger of both; a NaN in `self` stays.
    unsafe fn at_least(self, low: Self) -> Self;
    /// The smaller of both; a NaN in `self` stays.
    unsafe fn at_most(self, high: Self) -> Self;
    /// To the nearest whole number, ties to even.
    unsafe fn round(self) -> Self;
    unsafe fn divide(self, by: Self) -> Self;
    /// 2 to the power of whole numbers in −126…127.
    unsafe fn power_of_two(self) -> Self;
}

/// Writes one implementation out of single calls.
macro_rules! lanes {
    ($name:ident, $inner:ty, $width:literal,
     splat $splat:expr, add $add:expr, mul $mul:expr, fma $fma:expr,
     max $max:expr, min $min:expr, round $round:expr, div $div:expr, pow $pow:expr) => {
        #[derive(Clone, Copy)]
        #[repr(C, packed)]
        pub(in super::super) struct $name($inner);

        // The portable kind needs no `unsafe` for some of it.
        #[allow(unused_unsafe)]
        impl Lanes for $name {
            const WIDTH: usize = $width;
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                unsafe { Self($splat(value)) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { *from.cast() }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { *to.cast() = self }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                unsafe { Self($add(self.0, other.0)) }
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                unsafe { Self($mul(self.0, other.0)) }
            }
            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                unsafe { Self($fma(self.0, a.0, b.0)) }
            }
            #[inline(always)]
            unsafe fn at_least(self, low: Self) -> Self {
                unsafe { Self($max(self.0, low.0)) }
            }
            #[inline(always)]
            unsafe fn at_most(self, high: Self) -> Self {
                unsafe { Self($min(self.0, high.0)) }
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                unsafe { Self($round(self.0)) }
            }
            #[inline(always)]
            unsafe fn divide(self, by: Self) -> Self {
                unsafe { Self($div(self.0, by.0)) }
            }
            #[inline(always)]
            unsafe fn power_of_two(self) -> Self {
                unsafe { Self($pow(self.0)) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    // The x86 minimum and maximum give their second operand when one is NaN: the value goes second.
    lanes!(Avx512, __m512, 16,
        splat _mm512_set1_ps, add _mm512_add_ps,
        mul _mm512_mul_ps, fma |c, a, b| _mm512_fmadd_ps(a, b, c),
        max |x, low| _mm512_max_ps(low, x), min |x, high| _mm512_min_ps(high, x),
        round _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>, div _mm512_div_ps,
        pow |x| _mm512_castsi512_ps(_mm512_slli_epi32::<23>(
            _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(127)))));
    lanes!(Avx2, __m256, 8,
        splat _mm256_set1_ps, add _mm256_add_ps,
        mul _mm256_mul_ps, fma |c, a, b| _mm256_fmadd_ps(a, b, c),
        max |x, low| _mm256_max_ps(low, x), min |x, high| _mm256_min_ps(high, x),
        round _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>, div _mm256_div_ps,
        pow |x| _mm256_castsi256_ps(_mm256_slli_epi32::<23>(
            _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(127)))));
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use super::Lanes;
    use std::arch::aarch64::*;

    // NEON's minimum and maximum give NaN when either is.
    lanes!(Neon, float32x4_t, 4,
        splat vdupq_n_f32, add vaddq_f32, mul vmulq_f32,
        fma |c, a, b| vfmaq_f32(c, a, b), max vmaxq_f32, min vminq_f32, round vrndnq_f32,
        div vdivq_f32,
        pow |x| vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(127)))));
}

pub(super) mod portable {
    use super::Lanes;

    type Eight = [f32; 8];

    fn each(a: Eight, b: Eight, f: impl Fn(f32, f32) -> f32) -> Eight {
        std::array::from_fn(|i| f(a[i], b[i]))
    }

    // A comparison that is false for NaN keeps the value.
    lanes!(Portable, Eight, 8,
        splat |x| [x; 8], add |a, b| each(a, b, |x, y| x + y), mul |a, b| each(a, b, |x, y| x * y),
        fma |c, a, b| each(c, each(a, b, |x, y| x * y), |x, y| x + y),
        max |a, b| each(a, b, |x, low| if x < low { low } else { x }),
        min |a, b| each(a, b, |x, high| if x > high { high } else { x }),
        round |a: Eight| a.map(f32::round_ties_even), div |a, b| each(a, b, |x, y| x / y),
        pow |a: Eight| a.map(|x| f32::from_bits(((x as i32 + 127) as u32) << 23)));
}
