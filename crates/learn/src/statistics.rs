//! Sums over samples: what several boards add up to a ridge head without showing one another their embeddings.
//!
//! `G = Σ x·xᵀ`, `Q = Σ x·yᵀ` (with one-hot `y`: the class sums), counts and means, in f64.

use super::cholesky::{factor, solve};
use super::head::{ABSENT_BIAS, Head};
use super::matmul::{Matrix, add_gram_lower, mirror_lower};
use super::snapshot::{LearnError, Snapshot};

/// Sums over samples: `G`, `Q`, counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    width: usize,
    /// Samples per class.
    counts: Vec<u64>,
    /// `[classes, width]`.
    sums: Vec<f64>,
    /// `[width, width]`, symmetric.
    gram: Vec<f64>,
}

impl Statistics {
    /// Sums over nothing. Takes `8·width²` bytes.
    pub fn new(width: usize, classes: usize) -> Self {
        Self {
            width,
            counts: vec![0; classes],
            sums: vec![0.0; classes * width],
            gram: vec![0.0; width * width],
        }
    }

    /// Sums over a snapshot.
    ///
    /// # Errors
    /// As [`Snapshot::check`].
    pub fn of(snapshot: &Snapshot) -> Result<Self, LearnError> {
        snapshot.check()?;
        let width = snapshot.width;
        let mut statistics = Self::new(width, snapshot.classes);
        let mut row = vec![0.0f32; width];
        let mut block = Vec::new();
        for i in 0..snapshot.len() {
            snapshot.row_f32(i, &mut row);
            block.extend(row.iter().map(|&value| f64::from(value)));
            statistics.count(&row, snapshot.labels[i] as usize);
            if block.len() == 256 * width || i + 1 == snapshot.len() {
                let rows = Matrix::new(&block, block.len() / width, width);
                add_gram_lower(1.0, rows.transposed(), &mut statistics.gram, width, &mut || {
                    Ok::<_, LearnError>(())
                })?;
                block.clear();
            }
        }
        mirror_lower(&mut statistics.gram, width);
        Ok(statistics)
    }

    /// Counts `[classes]`, class sums `[classes, width]` and `G` `[width, width]`, as [`Statistics::from_parts`] takes them.
    pub fn parts(&self) -> (&[u64], &[f64], &[f64]) {
        (&self.counts, &self.sums, &self.gram)
    }

    /// Sums that were made elsewhere.
    ///
    /// # Errors
    /// [`LearnError::Shape`] when their lengths do not fit together, [`LearnError::NonFinite`] for NaN or infinity.
    pub fn from_parts(
        width: usize,
        counts: Vec<u64>,
        sums: Vec<f64>,
        gram: Vec<f64>,
    ) -> Result<Self, LearnError> {
        let fits = counts.len().checked_mul(width) == Some(sums.len())
            && width.checked_mul(width) == Some(gram.len());
        if width == 0 || !fits {
            return Err(LearnError::shape("counts, sums and products of embeddings do not fit together"));
        }
        match sums.iter().chain(&gram).all(|value| value.is_finite()) {
            true => Ok(Self { width, counts, sums, gram }),
            false => Err(LearnError::NonFinite { row: 0 }),
        }
    }

    /// The same sums with class `i` at `places[i]` among `classes`; the others are empty.
    ///
    /// # Errors
    /// [`LearnError::Shape`] for a place that is not there, or not one place for each class.
    pub fn placed(&self, places: &[usize], classes: usize) -> Result<Self, LearnError> {
        if places.len() != self.counts.len() || places.iter().any(|&place| place >= classes) {
            return Err(LearnError::shape("every class needs a place among the others"));
        }
        let mut placed = Self { gram: self.gram.clone(), ..Self::new(self.width, classes) };
        for (class, &place) in places.iter().enumerate() {
            placed.counts[place] += self.counts[class];
            let sums = &self.sums[class * self.width..(class + 1) * self.width];
            let into = &mut placed.sums[place * self.width..(place + 1) * self.width];
            into.iter_mut().zip(sums).for_each(|(sum, own)| *sum += own);
        }
        Ok(placed)
    }

    /// Numbers per embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Samples per class.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Mean embedding of a class, `[width]`; none without samples.
    pub fn mean(&self, class: usize) -> Option<Vec<f64>> {
        let count = *self.counts.get(class)?;
        let sum = &self.sums[class * self.width..(class + 1) * self.width];
        (count > 0).then(|| sum.iter().map(|value| value / count as f64).collect())
    }

    /// Adds the sums of another set of samples of the same width; its extra classes are appended.
    ///
    /// # Errors
    /// [`LearnError::Shape`] for another width.
    pub fn merge(&mut self, other: &Self) -> Result<(), LearnError> {
        if other.width != self.width {
            return Err(LearnError::shape(format!(
                "sums of width {} cannot be merged into sums of width {}; embed the samples with one backbone",
                other.width, self.width
            )));
        }
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
            self.sums.resize(other.sums.len(), 0.0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, count)| *own += count);
        self.sums.iter_mut().zip(&other.sums).for_each(|(own, sum)| *own += sum);
        self.gram.iter_mut().zip(&other.gram).for_each(|(own, sum)| *own += sum);
        Ok(())
    }

    /// The ridge head of these samples, with λ a multiple of the mean square norm about the centre. Temperature 1,
    /// no unknown score: both need held-out samples.
    ///
    /// Every class counts the same between classes; the spread within classes is pooled over all samples. One `G` cannot
    /// weigh the samples of each class apart, so for unequal classes this is near, not equal to, the class-weighted ridge
    /// of a round. For equal classes both are the same.
    ///
    /// # Errors
    /// [`LearnError::NotEnough`] with fewer than two classes that have samples.
    pub fn ridge(&self, lambda: f64) -> Result<Head, LearnError> {
        let width = self.width;
        let present: Vec<usize> = (0..self.counts.len()).filter(|&class| self.counts[class] > 0).collect();
        let n = self.counts.iter().sum::<u64>() as f64;
        if present.len() < 2 {
            return Err(LearnError::NotEnough { samples: n as usize, classes: present.len() });
        }
        let classes = present.len();
        // Samples that each class stands for.
        let share = n / classes as f64;
        let means: Vec<Vec<f64>> = present.iter().filter_map(|&class| self.mean(class)).collect();
        let mut centre = vec![0.0; width];
        for mean in &means {
            centre.iter_mut().zip(mean).for_each(|(centre, value)| *centre += share / n * value);
        }
        // The scatter about the centre: within classes, then between them.
        let mut matrix = self.gram.clone();
        let mut right = vec![0.0; width * classes];
        for (at, (mean, &class)) in means.iter().zip(&present).enumerate() {
            add_outer(&mut matrix, mean, -(self.counts[class] as f64));
            let between: Vec<f64> = mean.iter().zip(&centre).map(|(value, centre)| value - centre).collect();
            add_outer(&mut matrix, &between, share);
            for (row, value) in between.iter().enumerate() {
                right[row * classes + at] = share * value;
            }
        }
        let trace: f64 = (0..width).map(|i| matrix[i * width + i]).sum();
        let unit = if trace > 0.0 { trace } else { 1.0 };
        for i in 0..width {
            matrix[i * width + i] += lambda * unit;
        }
        factor(&mut matrix, width, lambda * unit * 1e-3, &mut || Ok(()))?;
        solve(&matrix, width, &mut right, classes);
        let mut head = Head {
            classes: self.counts.len(),
            width,
            weight: vec![0.0; self.counts.len() * width],
            bias: vec![ABSENT_BIAS; self.counts.len()],
            temperature: 1.0,
            reject: None,
        };
        for (at, &class) in present.iter().enumerate() {
            let own = &mut head.weight[class * width..(class + 1) * width];
            let mut shift = 0.0;
            for (row, weight) in own.iter_mut().enumerate() {
                *weight = right[row * classes + at] as f32;
                shift += f64::from(*weight) * centre[row];
            }
            // The targets have no mean, as every class counts the same.
            head.bias[class] = -shift as f32;
        }
        Ok(head)
    }

    /// Every sum, for comparing.
    #[cfg(test)]
    pub(crate) fn raw(&self) -> Vec<f64> {
        self.sums.iter().chain(&self.gram).copied().collect()
    }

    fn count(&mut self, embedding: &[f32], class: usize) {
        let sums = &mut self.sums[class * self.width..(class + 1) * self.width];
        sums.iter_mut().zip(embedding).for_each(|(sum, &value)| *sum += f64::from(value));
        self.counts[class] += 1;
    }
}

/// `matrix += factor·v·vᵀ`.
fn add_outer(matrix: &mut [f64], v: &[f64], factor: f64) {
    for (row, &left) in matrix.chunks_exact_mut(v.len()).zip(v) {
        let left = factor * left;
        row.iter_mut().zip(v).for_each(|(value, right)| *value += left * right);
    }
}
