//! A register of f32 as the tiles see it, and its portable twin.

use half::f16;

/// A SIMD register of [`Lanes::COUNT`] f32. Every method is inlined into a function that enables the CPU features.
pub(super) trait Lanes: Copy {
    /// Numbers per register.
    const COUNT: usize;
    /// Whether there are registers enough for 24 sums.
    const MANY: bool = false;

    /// Every lane the same.
    ///
    /// # Safety
    /// The CPU has the features of the implementation.
    unsafe fn splat(value: f32) -> Self;

    /// Reads `COUNT` numbers.
    ///
    /// # Safety
    /// As [`Lanes::splat`], and `from` is valid for `COUNT` reads.
    unsafe fn load(from: *const f32) -> Self;

    /// Reads `COUNT` numbers in f16, exactly.
    ///
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load_half(from: *const f16) -> Self;

    /// Asks for what will be read soon, into the L2 cache; any address may be named.
    #[inline(always)]
    fn prefetch<N>(_from: *const N) {}

    /// Writes `COUNT` numbers.
    ///
    /// # Safety
    /// As [`Lanes::splat`], and `to` is valid for `COUNT` writes.
    unsafe fn store(self, to: *mut f32);

    /// `self + a·b`, rounded once where the CPU can.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn add_product(self, a: Self, b: Self) -> Self;

    /// The sum of all lanes, in a fixed order.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn sum(self) -> f32;
}

/// Four lanes that any compiler can vectorise.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

impl Lanes for Portable {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of f32 has the alignment of f32.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { from.cast::<[f16; 4]>().read() }.map(f16::to_f32))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // Not `mul_add`: without an FMA unit that is a call.
        Self(std::array::from_fn(|lane| self.0[lane] + a.0[lane] * b.0[lane]))
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let [a, b, c, d] = self.0;
        (a + c) + (b + d)
    }
}

/// A stored number that a register of f32 can be read from.
pub(super) trait Number: Copy {
    /// Reads `L::COUNT` numbers.
    ///
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load<L: Lanes>(from: *const Self) -> L;

    fn single(self) -> f32;
}

impl Number for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load(from) }
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self
    }
}

impl Number for f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_half(from) }
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self.to_f32()
    }
}
