//! A vector of f32 as loops see it.

use super::instructions::Instructions;

/// A SIMD register of [`Lanes::WIDTH`] f32. Every method is inlined into a function that enables the CPU features, see
/// [`Kernel`].
///
/// All implementations give the same numbers lane by lane, but for [`Lanes::add_product`], which rounds once or twice.
/// [`Lanes::sum`] adds in an order that depends on the implementation.
pub trait Lanes: Copy {
    /// The instructions that it needs.
    const INSTRUCTIONS: Instructions;
    /// Numbers per register, a divisor of 16.
    const WIDTH: usize = Self::INSTRUCTIONS.lanes();

    /// Every lane the same.
    ///
    /// # Safety
    /// The CPU has [`Lanes::INSTRUCTIONS`].
    unsafe fn splat(value: f32) -> Self;

    /// Reads `WIDTH` numbers.
    ///
    /// # Safety
    /// As [`Lanes::splat`], and `from` is valid for `WIDTH` reads. No alignment is asked for.
    unsafe fn load(from: *const f32) -> Self;

    /// Reads `WIDTH` numbers of 16 bits (IEEE 754 binary16, by their bits), exactly.
    ///
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load_half(from: *const u16) -> Self;

    /// Asks for what will be read soon, into the L2 cache; any address may be named.
    #[inline(always)]
    fn prefetch<T>(_from: *const T) {}

    /// Writes `WIDTH` numbers.
    ///
    /// # Safety
    /// As [`Lanes::splat`], and `to` is valid for `WIDTH` writes. No alignment is asked for.
    unsafe fn store(self, to: *mut f32);

    /// `self + other`.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn add(self, other: Self) -> Self;

    /// `self · other`.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn mul(self, other: Self) -> Self;

    /// `self / by`.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn divide(self, by: Self) -> Self;

    /// `self + a·b`, rounded once where the CPU can.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// The larger of both; a NaN in `self` stays.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn at_least(self, low: Self) -> Self;

    /// The smaller of both; a NaN in `self` stays.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn at_most(self, high: Self) -> Self;

    /// To the nearest whole number, ties to even.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn round(self) -> Self;

    /// 2 to the power of whole numbers in −126…127.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn power_of_two(self) -> Self;

    /// The sum of all lanes, in an order that is fixed for each implementation.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn sum(self) -> f32;
}

/// A loop over vectors, written once for all of them. [`Isa::run`](super::Isa::run) calls it with the vectors of one
/// kind of CPU, in a function that has their instructions switched on.
pub trait Kernel {
    /// What it gives.
    type Output;

    /// Runs it. Mark it, and all that it calls with vectors, `#[inline(always)]`: only what is inlined is compiled with
    /// the instructions. Closures do not inherit them.
    ///
    /// # Safety
    /// The CPU has the instructions of `L`, and whatever else the kernel asks of its caller.
    unsafe fn run<L: Lanes>(self) -> Self::Output;
}
