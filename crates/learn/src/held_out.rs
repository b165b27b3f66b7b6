//! What is said of a sample by a head that never saw its burst.

/// What a head that never saw the burst of a sample says about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Predicted class.
    pub predicted: u32,
    /// Its calibrated probability.
    pub confidence: f32,
    /// Calibrated score of the labelled class minus the best of the others: how well the label agrees with all other
    /// bursts. Clearly negative ones are suspect.
    pub margin: f32,
}
