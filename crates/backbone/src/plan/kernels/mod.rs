//! The hot loops on channel-blocked pictures of features, and with `learn/matmul` the only place with `unsafe`.
//!
//! [`Conv`], [`Depthwise`] and the small functions are safe: each knows how far it reads and writes and compares that
//! with the slices it is given, before it hands pointers to the loops of `tile.rs`.

mod buffer;
mod conv;
mod depthwise;
mod grid;
mod isa;
mod lanes;
mod simple;
mod spans;
mod team;
#[cfg(test)]
mod tests;
mod tile;

pub(super) use buffer::Buffer;
pub(super) use conv::{Conv, Filter, Weights};
pub(super) use depthwise::Depthwise;
pub(super) use grid::{Grid, Halo};
pub(super) use team::{Team, each_chunk, hand, hands};

/// Channels that lie side by side.
pub(super) const BLOCK: usize = 16;

/// Numbers of the input that lie side by side and meet weights that do.
#[derive(Clone, Copy, Debug)]
struct Run {
    offset: u32,
    length: u32,
}

/// Pixels of a row that are computed together. The last span of a row may overlap the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    width: u32,
}

/// What is done to each number at the end of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// Bounded on both sides; ReLU and nothing at all are of this kind.
    Clamp { low: f32, high: f32 },
    /// x · (`slope·x + offset` bounded to 0…`high`).
    HardSwish { slope: f32, offset: f32, high: f32 },
    /// 1 ∕ (1 + e⁻ˣ).
    Sigmoid,
    /// x ∕ (1 + e⁻ˣ).
    Silu,
    /// To a whole number of steps in `least`…`most`, and back.
    Quantise { inverse: f32, least: f32, most: f32, scale: f32 },
}

impl End {
    /// Leaves numbers as they are.
    pub(super) const NOTHING: Self = Self::Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// Of one number.
    pub(super) fn of(self, value: f32) -> f32 {
        match self {
            // NaN is neither below nor above, and stays.
            Self::Clamp { low, .. } if value < low => low,
            Self::Clamp { high, .. } if value > high => high,
            Self::Clamp { .. } => value,
            Self::HardSwish { slope, offset, high } => value * (slope * value + offset).max(0.0).min(high),
            Self::Sigmoid => 1.0 / (1.0 + (-value).exp()),
            Self::Silu => value / (1.0 + (-value).exp()),
            Self::Quantise { inverse, least, most, scale } => {
                (value * inverse).round_ties_even().max(least).min(most) * scale
            }
        }
    }
}

/// One kind of processor's instructions, known to be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Isa(&'static isa::Functions);

impl Isa {
    /// Those that this processor has, the fastest first; the portable ones are always there.
    pub(super) fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512vl") && has!("avx2") && has!("fma") {
                all.push(Self(&isa::avx512::FUNCTIONS));
            }
            if has!("avx2") && has!("fma") {
                all.push(Self(&isa::avx2::FUNCTIONS));
            }
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self(&isa::neon::FUNCTIONS));
        all.push(Self(&isa::portable::FUNCTIONS));
        all
    }

    /// The fastest that this processor has.
    pub(crate) fn best() -> Self {
        Self::available().first().copied().unwrap_or(Self(&isa::portable::FUNCTIONS))
    }

    /// Its name, such as `avx2`.
    pub(super) fn name(self) -> &'static str {
        self.0.name
    }

    /// The most that one core does with them, in billions of floating-point operations a second.
    pub(super) fn peak_gflops(self) -> f64 {
        const ROUNDS: usize = 200_000;
        let seconds = (0..20).map(|_| {
            let start = std::time::Instant::now();
            // SAFETY: the instructions are there; nothing else is asked for.
            std::hint::black_box(unsafe { (self.0.busy)(ROUNDS) });
            start.elapsed().as_secs_f64()
        });
        let fastest = seconds.fold(f64::INFINITY, f64::min);
        (2 * ROUNDS * isa::BUSY * self.0.width) as f64 / fastest / 1e9
    }
}
