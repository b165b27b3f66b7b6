//! The immutable set of samples that one round sees.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// Classes a head may have; a bound on what is allocated, far above any list a person keeps by hand.
pub const MAX_CLASSES: usize = 4096;
/// Widest embedding that is taken.
pub const MAX_WIDTH: usize = 65_536;

/// Why the room could not do what was asked. Every text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// Fewer than two classes have samples.
    #[error(
        "nothing to tell apart yet: {samples} sample(s) in {classes} class(es), training needs samples of at least \
         two classes; capture a burst of another class"
    )]
    NotEnough {
        /// Samples in the snapshot.
        samples: usize,
        /// Classes that have at least one sample.
        classes: usize,
    },
    /// Lengths, labels or widths do not fit together.
    #[error("{what}")]
    Shape {
        /// What does not fit, and what to do.
        what: String,
    },
    /// An embedding holds NaN or an infinity.
    #[error("the embedding of sample {row} holds NaN or infinity; delete that sample or embed it again")]
    NonFinite {
        /// Row of the snapshot.
        row: usize,
    },
    /// No method gave a head of finite numbers.
    #[error(
        "no method gave a head of finite numbers on these {samples} samples, which is a fault of the program: please \
         report it; deleting samples whose embeddings are far from all others may help"
    )]
    Diverged {
        /// Samples in the snapshot.
        samples: usize,
    },
    /// The caller's progress function asked to stop.
    #[error("the round was cancelled; start it again when wanted")]
    Cancelled,
}

impl LearnError {
    pub(crate) fn shape(what: impl Into<String>) -> Self {
        Self::Shape { what: what.into() }
    }
}

/// Samples of one round: embeddings in f16 (as stored), one label and one burst each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Numbers per embedding.
    pub width: usize,
    /// Length of the class list; classes without samples are allowed.
    pub classes: usize,
    /// `[samples, width]`, row-major.
    pub embeddings: Vec<f16>,
    /// `[samples]`, each below [`Snapshot::classes`].
    pub labels: Vec<u32>,
    /// `[samples]`: the burst each sample was captured in; the unit of every split.
    pub bursts: Vec<u64>,
}

impl Snapshot {
    /// An empty snapshot.
    pub fn new(width: usize, classes: usize) -> Self {
        Self { width, classes, ..Self::default() }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Appends one sample; the embedding is rounded to f16.
    ///
    /// # Errors
    /// [`LearnError::Shape`] for a wrong width or label, [`LearnError::NonFinite`] for NaN, infinities and numbers
    /// beyond f16 (65504).
    pub fn push(&mut self, embedding: &[f32], label: u32, burst: u64) -> Result<(), LearnError> {
        if embedding.len() != self.width || label as usize >= self.classes {
            return Err(LearnError::shape(format!(
                "a sample of width {} and label {label} does not fit a snapshot of width {} and {} classes",
                embedding.len(),
                self.width,
                self.classes
            )));
        }
        let start = self.embeddings.len();
        self.embeddings.extend(embedding.iter().map(|&value| f16::from_f32(value)));
        if !self.embeddings[start..].iter().all(|value| value.is_finite()) {
            self.embeddings.truncate(start);
            return Err(LearnError::NonFinite { row: self.len() });
        }
        self.labels.push(label);
        self.bursts.push(burst);
        Ok(())
    }

    /// The embedding of sample `i`.
    ///
    /// # Panics
    /// When `i` is not below [`Snapshot::len`] of a snapshot that passes [`Snapshot::check`].
    pub fn row(&self, i: usize) -> &[f16] {
        &self.embeddings[i * self.width..(i + 1) * self.width]
    }

    /// Writes the embedding of sample `i` as f32 into `out [width]`.
    pub(crate) fn row_f32(&self, i: usize, out: &mut [f32]) {
        self.row(i).convert_to_f32_slice(out);
    }

    /// Samples per class, `[classes]`. Labels outside the list are not counted.
    pub fn class_samples(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// Checks that lengths, labels and numbers make sense.
    ///
    /// # Errors
    /// [`LearnError::Shape`] or [`LearnError::NonFinite`].
    pub fn check(&self) -> Result<(), LearnError> {
        let n = self.len();
        if self.width == 0 || self.width > MAX_WIDTH || self.classes > MAX_CLASSES {
            return Err(LearnError::shape(format!(
                "embedding width {} and {} classes are outside 1…{MAX_WIDTH} and 0…{MAX_CLASSES}; check the backbone \
                 and the class list",
                self.width, self.classes
            )));
        }
        if n.checked_mul(self.width) != Some(self.embeddings.len()) || self.bursts.len() != n {
            return Err(LearnError::shape(format!(
                "{n} labels, {} bursts and {} numbers do not make embeddings of width {}; embed the samples again",
                self.bursts.len(),
                self.embeddings.len(),
                self.width
            )));
        }
        if let Some(&label) = self.labels.iter().find(|&&label| label as usize >= self.classes) {
            return Err(LearnError::shape(format!(
                "label {label} is not in the list of {} classes; add the class or relabel the sample",
                self.classes
            )));
        }
        match self.embeddings.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(LearnError::NonFinite { row: at / self.width }),
            None => Ok(()),
        }
    }
}
