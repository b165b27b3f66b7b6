//! The trainable last layer: embedding → class, confidence, unknown score.

use super::calibration::largest;
use super::dot::dot;
use super::problem::mix;
use super::reject::Reject;
use super::snapshot::{LearnError, MAX_CLASSES, MAX_WIDTH};

/// Bias of a class of the list that has no samples. Finite (and within f16) so that the head can be stored and
/// exported; trained classes share a mean score of zero, so this one never wins.
pub const ABSENT_BIAS: f32 = -10_000.0;

/// A linear head for embeddings as the backbone gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Length of the class list.
    pub classes: usize,
    /// Numbers per embedding.
    pub width: usize,
    /// `[classes, width]`, row-major.
    pub weight: Vec<f32>,
    /// `[classes]`.
    pub bias: Vec<f32>,
    /// Probabilities are `softmax(logits / temperature)`.
    pub temperature: f32,
    /// The unknown score, where there were samples enough to fit one.
    pub reject: Option<Reject>,
}

/// What a head says about one embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Most probable class; the lower index on a tie.
    pub class: usize,
    /// Its probability, 0…1.
    pub confidence: f32,
    /// `[classes]`, sums to 1.
    pub probabilities: Vec<f32>,
    /// Above 1 the embedding is unlike every class of the snapshot. 0 where the head has no reject part.
    pub unknown: f32,
}

impl Prediction {
    /// Whether the embedding is unlike every class.
    pub fn is_unknown(&self) -> bool {
        self.unknown > 1.0
    }
}

impl Head {
    /// Small random weights: the untrained head. The same seed gives the same head.
    pub fn random(classes: usize, width: usize, seed: u64) -> Self {
        let scale = 1.0 / (width.max(1) as f32).sqrt();
        // 24 bits of a hash, as a number in −1…1.
        let weight = (0..classes * width)
            .map(|at| ((mix(mix(seed) ^ at as u64) >> 40) as f32 / (1u32 << 23) as f32 - 1.0) * scale)
            .collect();
        Self { classes, width, weight, bias: vec![0.0; classes], temperature: 1.0, reject: None }
    }

    /// Checks that shapes agree and every number is finite; for heads from a file.
    ///
    /// # Errors
    /// [`LearnError::Shape`].
    pub fn check(&self) -> Result<(), LearnError> {
        if self.classes == 0 || self.classes > MAX_CLASSES || self.width == 0 || self.width > MAX_WIDTH {
            return Err(LearnError::shape(format!(
                "a head of {} classes and width {} is outside 1…{MAX_CLASSES} and 1…{MAX_WIDTH}; take another head \
                 file",
                self.classes, self.width
            )));
        }
        if self.weight.len() != self.classes * self.width || self.bias.len() != self.classes {
            return Err(LearnError::shape(format!(
                "{} weights and {} biases do not make a head of {} classes and width {}; take another head file",
                self.weight.len(),
                self.bias.len(),
                self.classes,
                self.width
            )));
        }
        if !self.weight.iter().chain(&self.bias).all(|value| value.is_finite()) {
            return Err(LearnError::shape("the head holds NaN or infinity; take another head file"));
        }
        if !(self.temperature.is_normal() && self.temperature > 0.0) {
            return Err(LearnError::shape(format!(
                "temperature {} is not a positive number; take another head file",
                self.temperature
            )));
        }
        match &self.reject {
            Some(reject) => reject.check(self.width, self.classes),
            None => Ok(()),
        }
    }

    /// Scores of one embedding `x [width]` into `out [classes]`, before the temperature.
    ///
    /// # Panics
    /// When `x` or `out` has another length.
    pub fn logits(&self, x: &[f32], out: &mut [f32]) {
        assert_eq!((x.len(), out.len()), (self.width, self.classes), "embedding and scores fit the head");
        for ((out, row), bias) in out.iter_mut().zip(self.weight.chunks_exact(self.width)).zip(&self.bias) {
            *out = dot(row, x) + bias;
        }
    }

    /// Class, confidence and unknown score of one embedding `x [width]`. An embedding with NaN or infinity gives
    /// equal probabilities and is unknown.
    ///
    /// # Panics
    /// When `x` has another length.
    pub fn predict(&self, x: &[f32]) -> Prediction {
        let mut logits = vec![0.0; self.classes];
        self.logits(x, &mut logits);
        if !logits.iter().all(|logit| logit.is_finite()) {
            let equal = 1.0 / self.classes.max(1) as f32;
            return Prediction {
                class: 0,
                confidence: equal,
                probabilities: vec![equal; self.classes],
                unknown: f32::MAX,
            };
        }
        let unknown = self.reject.as_ref().map_or(0.0, |reject| reject.score(x, &logits));
        let class = largest(&logits);
        let top = logits.get(class).copied().unwrap_or_default();
        let mut probabilities = logits;
        let mut sum = 0.0;
        for value in &mut probabilities {
            *value = ((*value - top) / self.temperature).exp();
            sum += *value;
        }
        probabilities.iter_mut().for_each(|value| *value /= sum);
        let confidence = probabilities.get(class).copied().unwrap_or_default();
        Prediction { class, confidence, probabilities, unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            classes: 3,
            width: 2,
            weight: vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
            bias: vec![0.0, 0.5, 0.0],
            temperature: 0.5,
            reject: None,
        }
    }

    #[test]
    fn probabilities_are_the_softmax_of_scaled_scores_and_ties_go_down() {
        let said = head().predict(&[2.0, 0.0]);
        assert_eq!(said.class, 0, "0 and 2 tie");
        let e = (-3.0f32).exp();
        assert!((said.confidence - 1.0 / (2.0 + e)).abs() < 1e-6);
        assert!((said.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(!said.is_unknown());
    }

    #[test]
    fn an_embedding_that_is_not_a_number_is_unknown_not_a_panic() {
        for bad in [f32::NAN, f32::INFINITY, f32::MAX] {
            let said = head().predict(&[bad, bad]);
            assert!(said.probabilities.iter().all(|p| p.is_finite()), "{bad}");
            assert!(bad == f32::MAX || said.is_unknown());
        }
    }

    #[test]
    fn a_random_head_is_the_same_for_the_same_seed_and_passes_its_check() {
        let head = Head::random(4, 96, 7);
        assert_eq!(head, Head::random(4, 96, 7));
        assert_ne!(head.weight, Head::random(4, 96, 8).weight);
        head.check().unwrap();
        let mean = head.weight.iter().sum::<f32>() / head.weight.len() as f32;
        assert!(mean.abs() < 0.02, "{mean}");
    }

    #[test]
    fn a_broken_head_is_refused() {
        for spoil in [
            |h: &mut Head| h.weight.truncate(5),
            |h: &mut Head| h.bias[1] = f32::NAN,
            |h: &mut Head| h.temperature = 0.0,
            |h: &mut Head| h.temperature = f32::NAN,
            |h: &mut Head| h.classes = 0,
            |h: &mut Head| h.width = usize::MAX,
        ] {
            let mut head = head();
            spoil(&mut head);
            assert!(head.check().is_err());
        }
    }
}
