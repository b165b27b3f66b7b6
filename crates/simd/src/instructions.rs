//! The kinds of instructions, and whether this CPU has them.

/// Kinds of instructions that there are vectors for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Instructions {
    /// Those of any CPU: four lanes that the compiler vectorises as it can.
    Portable,
    /// Four lanes of 64-bit ARM.
    Neon,
    /// Eight lanes: AVX2, FMA and F16C.
    Avx2,
    /// Sixteen lanes: AVX-512 F and VL with the above.
    ///
    /// VL lets the compiler use the 32 registers and the masks of AVX-512 for narrower vectors as well, in what is left
    /// of a loop and in what it vectorises itself. Only Xeon Phi has F without it; there AVX2 is used.
    Avx512,
}

impl Instructions {
    /// All of them, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The word for it: `portable`, `neon`, `avx2` or `avx512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Numbers per vector.
    pub const fn lanes(self) -> usize {
        match self {
            Self::Portable | Self::Neon => 4,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }

    /// Whether this CPU has them. The only place that asks.
    pub(super) fn are_there(self) -> bool {
        match self {
            Self::Portable => true,
            // Every 64-bit ARM CPU that Rust builds for has NEON.
            Self::Neon => cfg!(target_arch = "aarch64"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && Self::Avx2.are_there()
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }
}
