//! What is done to a finished number: activations, bounds, rounding to steps.

/// What is done to each number at the end of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
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
    pub(crate) const NOTHING: Self = Self::Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// Of one number.
    pub(crate) fn of(self, value: f32) -> f32 {
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
