//! One temperature for a head, fitted on scores of samples that the head did not see.

use super::cancel::Proceed;
use super::snapshot::LearnError;

/// Scores between two questions whether to go on.
const PIECE: usize = 1 << 16;

/// Labelled scores, `[n, classes]`.
#[derive(Clone, Copy)]
pub(crate) struct Scored<'a> {
    pub scores: &'a [f64],
    pub labels: &'a [usize],
    pub weights: &'a [f64],
    pub classes: usize,
}

impl Scored<'_> {
    /// Weighted cross-entropy of `softmax(scores / temperature)` per sample, natural logarithm.
    pub(crate) fn losses(&self, temperature: f64) -> Vec<f64> {
        let rows = self.rows().map(|((row, &label), &weight)| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|score| ((score - largest) / temperature).exp()).sum();
            weight * (sum.ln() - (row[label] - largest) / temperature)
        });
        rows.collect()
    }

    fn rows(&self) -> impl Iterator<Item = ((&[f64], &usize), &f64)> {
        self.scores.chunks_exact(self.classes).zip(self.labels).zip(self.weights)
    }

    /// The temperature of least cross-entropy against targets smoothed by `1/(observations + 2)`, after Platt (1999):
    /// without it scores that are all right would ask for a temperature of zero. Found by Newton's method on the
    /// derivative in `1/T`, which is monotone, with halving of the bracket where a step would leave it.
    ///
    /// # Errors
    /// Those of `proceed`, which is asked between pieces of work.
    pub(crate) fn temperature(&self, observations: usize, proceed: Proceed) -> Result<f64, LearnError> {
        let smoothing = 1.0 / (observations as f64 + 2.0);
        let spread = self.spread();
        if !(spread > 0.0 && spread.is_finite()) {
            return Ok(1.0);
        }
        let (mut low, mut high) = ((1e-4 / spread).ln(), (1e4 / spread).ln());
        let mut at = 0.5 * (low + high);
        for _ in 0..24 {
            let (slope, bend) = self.slope(at.exp(), smoothing, proceed)?;
            if slope > 0.0 {
                high = at;
            } else {
                low = at;
            }
            let step = slope / (at.exp() * bend);
            let next = at - step;
            // Where the slope is too flat to go by, halve.
            at = if low < next && next < high { next } else { 0.5 * (low + high) };
            if step.abs() < 1e-6 {
                break;
            }
        }
        Ok((-at).exp())
    }

    /// Root mean square of the scores about their row's mean.
    fn spread(&self) -> f64 {
        let mut sum = 0.0;
        for row in self.scores.chunks_exact(self.classes) {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            sum += row.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
        }
        (sum / self.scores.len().max(1) as f64).sqrt()
    }

    /// First and second derivative of the smoothed cross-entropy in `1/T`.
    fn slope(&self, inverse: f64, smoothing: f64, proceed: Proceed) -> Result<(f64, f64), LearnError> {
        let (mut slope, mut bend) = (0.0, 0.0);
        let piece = PIECE.div_ceil(self.classes.max(1));
        for (at, ((row, &label), &weight)) in self.rows().enumerate() {
            if at.is_multiple_of(piece) {
                proceed()?;
            }
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut moment, mut square) = (0.0, 0.0, 0.0);
            for score in row {
                let below = score - largest;
                let e = (below * inverse).exp();
                sum += e;
                moment += e * below;
                square += e * below * below;
            }
            let expected = moment / sum;
            let mean = row.iter().map(|score| score - largest).sum::<f64>() / row.len() as f64;
            let target = (1.0 - smoothing) * (row[label] - largest) + smoothing * mean;
            slope += weight * (expected - target);
            bend += weight * (square / sum - expected * expected);
        }
        Ok((slope, bend))
    }
}

/// Index of the largest value; ties go to the lower index, NaN never wins.
pub(crate) fn largest<T: PartialOrd + Copy>(values: &[T]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] || values[best].partial_cmp(&values[best]).is_none() {
            best = at;
        }
    }
    best
}
