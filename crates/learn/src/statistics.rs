//! Sums that come and go with the samples: a ridge head at any time without touching the embeddings again.
//!
//! `G = Σ x·xᵀ`, `Q = Σ x·yᵀ` (with one-hot `y`: the class sums), counts and means, in f64. Adding and taking away
//! are exact up to f64 rounding, so a deleted or relabelled sample leaves no trace, and a new class costs nothing.

use super::cholesky::{factor, solve};
use super::head::{ABSENT_BIAS, Head};
use super::matmul::{Matrix, add_gram_lower, mirror_lower};
use super::ridge::CONSTANT;
use super::snapshot::{LearnError, Snapshot};

/// What a ridge from sums does about classes of different size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Every sample counts the same.
    Samples,
    /// Every class counts the same between classes; the spread within classes is pooled over all samples. One `G`
    /// cannot weigh the samples of each class apart, so for unequal classes this is near, not equal to, the
    /// class-weighted ridge of a round. For equal classes both are the same.
    Classes,
}

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
            statistics.count(&row, snapshot.labels[i] as usize, 1.0);
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

    /// Adds one sample.
    ///
    /// # Errors
    /// [`LearnError::Shape`] for a wrong width or label, [`LearnError::NonFinite`] for NaN or infinity.
    pub fn add(&mut self, embedding: &[f32], label: u32) -> Result<(), LearnError> {
        self.check(embedding, label)?;
        self.count(embedding, label as usize, 1.0);
        self.outer(embedding, 1.0);
        Ok(())
    }

    /// Takes one sample away that was added before.
    ///
    /// # Errors
    /// As [`Statistics::add`], and [`LearnError::Shape`] when the class has no sample.
    pub fn remove(&mut self, embedding: &[f32], label: u32) -> Result<(), LearnError> {
        self.check(embedding, label)?;
        self.check_taken(label)?;
        self.count(embedding, label as usize, -1.0);
        self.outer(embedding, -1.0);
        Ok(())
    }

    /// Moves one sample from a class to another.
    ///
    /// # Errors
    /// As [`Statistics::remove`].
    pub fn relabel(&mut self, embedding: &[f32], from: u32, to: u32) -> Result<(), LearnError> {
        self.check(embedding, from)?;
        self.check(embedding, to)?;
        self.check_taken(from)?;
        self.count(embedding, from as usize, -1.0);
        self.count(embedding, to as usize, 1.0);
        Ok(())
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
        while self.counts.len() < other.counts.len() {
            self.add_class();
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, count)| *own += count);
        self.sums.iter_mut().zip(&other.sums).for_each(|(own, sum)| *own += sum);
        self.gram.iter_mut().zip(&other.gram).for_each(|(own, sum)| *own += sum);
        Ok(())
    }

    /// Appends an empty class; returns its index.
    pub fn add_class(&mut self) -> usize {
        self.counts.push(0);
        self.sums.resize(self.counts.len() * self.width, 0.0);
        self.counts.len() - 1
    }

    /// The ridge head of these samples, with λ a multiple of the mean square norm about the centre. Temperature 1,
    /// no unknown score: both need held-out samples.
    ///
    /// # Errors
    /// [`LearnError::NotEnough`] with fewer than two classes that have samples.
    pub fn ridge(&self, lambda: f64, balance: Balance) -> Result<Head, LearnError> {
        let width = self.width;
        let present: Vec<usize> = (0..self.counts.len()).filter(|&class| self.counts[class] > 0).collect();
        let n = self.counts.iter().sum::<u64>() as f64;
        if present.len() < 2 {
            return Err(LearnError::NotEnough { samples: n as usize, classes: present.len() });
        }
        let classes = present.len();
        // Samples each class stands for.
        let shares: Vec<f64> = present
            .iter()
            .map(|&class| match balance {
                Balance::Samples => self.counts[class] as f64,
                Balance::Classes => n / classes as f64,
            })
            .collect();
        let means: Vec<Vec<f64>> = present.iter().filter_map(|&class| self.mean(class)).collect();
        let mut centre = vec![0.0; width];
        for (mean, share) in means.iter().zip(&shares) {
            centre.iter_mut().zip(mean).for_each(|(centre, value)| *centre += share / n * value);
        }
        // The scatter about the centre: within classes, then between them.
        let mut matrix = self.gram.clone();
        let mut right = vec![0.0; width * classes];
        for (at, ((mean, share), &class)) in means.iter().zip(&shares).zip(&present).enumerate() {
            add_outer(&mut matrix, mean, -(self.counts[class] as f64));
            let between: Vec<f64> = mean.iter().zip(&centre).map(|(value, centre)| value - centre).collect();
            add_outer(&mut matrix, &between, *share);
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
        for (at, (&class, share)) in present.iter().zip(&shares).enumerate() {
            let own = &mut head.weight[class * width..(class + 1) * width];
            let mut shift = 0.0;
            for (row, weight) in own.iter_mut().enumerate() {
                *weight = right[row * classes + at] as f32;
                shift += f64::from(*weight) * centre[row];
            }
            let target = share / n - 1.0 / classes as f64;
            head.bias[class] = (target * CONSTANT / (CONSTANT + lambda) - shift) as f32;
        }
        Ok(head)
    }

    /// Every sum, for comparing.
    #[cfg(test)]
    pub(crate) fn raw(&self) -> Vec<f64> {
        self.sums.iter().chain(&self.gram).copied().collect()
    }

    fn check(&self, embedding: &[f32], label: u32) -> Result<(), LearnError> {
        if embedding.len() != self.width || label as usize >= self.counts.len() {
            return Err(LearnError::shape(format!(
                "a sample of width {} and label {label} does not fit sums of width {} and {} classes",
                embedding.len(),
                self.width,
                self.counts.len()
            )));
        }
        match embedding.iter().all(|value| value.is_finite()) {
            true => Ok(()),
            false => Err(LearnError::NonFinite { row: 0 }),
        }
    }

    fn check_taken(&self, label: u32) -> Result<(), LearnError> {
        match self.counts[label as usize] {
            0 => Err(LearnError::shape(format!("class {label} has no sample that could be taken away"))),
            _ => Ok(()),
        }
    }

    fn count(&mut self, embedding: &[f32], class: usize, sign: f64) {
        let sums = &mut self.sums[class * self.width..(class + 1) * self.width];
        sums.iter_mut().zip(embedding).for_each(|(sum, &value)| *sum += sign * f64::from(value));
        self.counts[class] =
            if sign > 0.0 { self.counts[class] + 1 } else { self.counts[class].saturating_sub(1) };
    }

    fn outer(&mut self, embedding: &[f32], sign: f64) {
        let wide: Vec<f64> = embedding.iter().map(|&value| f64::from(value)).collect();
        add_outer(&mut self.gram, &wide, sign);
    }
}

/// `matrix += factor·v·vᵀ`.
fn add_outer(matrix: &mut [f64], v: &[f64], factor: f64) {
    for (row, &left) in matrix.chunks_exact_mut(v.len()).zip(v) {
        let left = factor * left;
        row.iter_mut().zip(v).for_each(|(value, right)| *value += left * right);
    }
}
