//! Four lanes that any compiler can vectorise.

use super::instructions::Instructions;
use super::lanes::{Kernel, Lanes};

/// Four lanes of any CPU.
#[derive(Clone, Copy, Debug)]
pub struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl Lanes for Portable {
    const INSTRUCTIONS: Instructions = Instructions::Portable;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const u16) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { from.cast::<[u16; 4]>().read_unaligned() }.map(half_to_single))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn divide(self, by: Self) -> Self {
        self.with(by, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // Not `mul_add`: without an FMA unit that is a call.
        self.with(a.with(b, |a, b| a * b), |sum, product| sum + product)
    }

    // Comparisons that are false for NaN, so that it stays.
    #[inline(always)]
    unsafe fn at_least(self, low: Self) -> Self {
        self.with(low, |value, low| if value < low { low } else { value })
    }

    #[inline(always)]
    unsafe fn at_most(self, high: Self) -> Self {
        self.with(high, |value, high| if value > high { high } else { value })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(self.0.map(f32::round_ties_even))
    }

    #[inline(always)]
    unsafe fn power_of_two(self) -> Self {
        Self(self.0.map(|power| f32::from_bits(((power as i32 + 127) as u32) << 23)))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
}

/// # Safety
/// What the kernel asks of its caller.
#[inline(never)]
pub(super) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise; every CPU has these instructions.
    unsafe { kernel.run::<Portable>() }
}

/// The number with these 16 bits (IEEE 754 binary16), exactly. Without branches, so that it vectorises.
#[inline(always)]
pub const fn half_to_single(bits: u16) -> f32 {
    /// 2 to the power of the difference of both exponents' biases.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    // Ten bits of fraction stand where the first of 23 do. The product also puts the exponents of subnormal numbers
    // right; an exponent of all ones, infinity or NaN, stays all ones.
    let magnitude = f32::from_bits(((bits & 0x7fff) as u32) << 13) * REBIAS;
    let ones = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | ones | (((bits & 0x8000) as u32) << 16))
}
