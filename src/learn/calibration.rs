//! One temperature for a head, fitted on scores of samples that the head did not see.

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

    /// Weighted mean cross-entropy of `softmax(scores / temperature)`.
    pub(crate) fn log_loss(&self, temperature: f64) -> f64 {
        self.losses(temperature).iter().sum::<f64>() / self.weights.iter().sum::<f64>().max(f64::MIN_POSITIVE)
    }

    fn rows(&self) -> impl Iterator<Item = ((&[f64], &usize), &f64)> {
        self.scores.chunks_exact(self.classes).zip(self.labels).zip(self.weights)
    }

    /// The temperature of least cross-entropy against targets smoothed by `1/(observations + 2)`, after Platt (1999):
    /// without it scores that are all right would ask for a temperature of zero. Found by bisection of the
    /// derivative in `1/T`, which is monotone.
    pub(crate) fn temperature(&self, observations: usize) -> f64 {
        let smoothing = 1.0 / (observations as f64 + 2.0);
        let spread = self.spread();
        if !(spread > 0.0 && spread.is_finite()) {
            return 1.0;
        }
        let (mut low, mut high) = ((1e-4 / spread).ln(), (1e4 / spread).ln());
        for _ in 0..24 {
            let middle = 0.5 * (low + high);
            if self.slope(middle.exp(), smoothing) > 0.0 {
                high = middle;
            } else {
                low = middle;
            }
        }
        (-0.5 * (low + high)).exp()
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

    /// Derivative of the smoothed cross-entropy in `1/T`.
    fn slope(&self, inverse: f64, smoothing: f64) -> f64 {
        let mut slope = 0.0;
        for ((row, &label), &weight) in self.rows() {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut sum, mut moment) = (0.0, 0.0);
            for score in row {
                let e = ((score - largest) * inverse).exp();
                sum += e;
                moment += e * (score - largest);
            }
            let mean = row.iter().map(|score| score - largest).sum::<f64>() / row.len() as f64;
            let target = (1.0 - smoothing) * (row[label] - largest) + smoothing * mean;
            slope += weight * (moment / sum - target);
        }
        slope
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
