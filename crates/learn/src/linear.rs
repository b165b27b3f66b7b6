//! A linear map in the centred, scaled space of a round, and its way back to the embedding's own space.

use super::problem::Problem;

/// `scores = weight·a + bias` for centred, scaled embeddings `a`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// `[classes, width]`.
    pub weight: Vec<f64>,
    /// `[classes]`.
    pub bias: Vec<f64>,
}

impl Linear {
    /// From `[width + 1, classes]` whose last row belongs to a constant feature of this size.
    pub(crate) fn from_columns(values: &[f64], width: usize, classes: usize, constant: f64) -> Self {
        let mut weight = vec![0.0; classes * width];
        for (row, values) in values.chunks_exact(classes).take(width).enumerate() {
            for (class, &value) in values.iter().enumerate() {
                weight[class * width + row] = value;
            }
        }
        let bias = values[width * classes..].iter().map(|value| value * constant).collect();
        Self { weight, bias }
    }

    /// Weight and bias for embeddings as the backbone gives them: centre and scale folded in.
    pub(crate) fn unfold(&self, problem: &Problem) -> (Vec<f32>, Vec<f32>) {
        let width = problem.width();
        let scale = f64::from(problem.scale);
        let weight: Vec<f32> = self.weight.iter().map(|value| (value * scale) as f32).collect();
        let bias = self
            .bias
            .iter()
            .zip(weight.chunks_exact(width))
            .map(|(bias, row)| {
                // With the weights as rounded, so that the centre maps to the bias exactly.
                let shift: f64 =
                    row.iter().zip(&problem.centre).map(|(&w, &c)| f64::from(w) * f64::from(c)).sum();
                (bias - shift) as f32
            })
            .collect();
        (weight, bias)
    }
}

impl Linear {
    /// All zero.
    pub(crate) fn zero(width: usize, classes: usize) -> Self {
        Self { weight: vec![0.0; classes * width], bias: vec![0.0; classes] }
    }

    /// The mean of several heads of one shape.
    pub(crate) fn mean(heads: &[Self]) -> Self {
        let mut mean =
            heads.first().map_or(Self { weight: Vec::new(), bias: Vec::new() }, |first| first.scaled(0.0));
        let share = 1.0 / heads.len().max(1) as f64;
        for head in heads {
            mean.weight.iter_mut().zip(&head.weight).for_each(|(mean, value)| *mean += share * value);
            mean.bias.iter_mut().zip(&head.bias).for_each(|(mean, value)| *mean += share * value);
        }
        mean
    }

    /// Takes away what all classes share, which no softmax can see: the mean over classes becomes zero.
    pub(crate) fn centre(&mut self) {
        let classes = self.bias.len();
        let width = self.weight.len() / classes.max(1);
        let mut mean = vec![0.0; width];
        for row in self.weight.chunks_exact(width.max(1)) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / classes as f64);
        }
        for row in self.weight.chunks_exact_mut(width.max(1)) {
            row.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
        }
        let mean = self.bias.iter().sum::<f64>() / classes as f64;
        self.bias.iter_mut().for_each(|bias| *bias -= mean);
    }

    /// The same head with scores multiplied by `factor`.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        Self {
            weight: self.weight.iter().map(|value| value * factor).collect(),
            bias: self.bias.iter().map(|value| value * factor).collect(),
        }
    }
}
