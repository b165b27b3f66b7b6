//! The unknown score: how unlike every class of the snapshot an embedding is.
//!
//! The sum of two standardised distances. *In score space*, relative Mahalanobis: the distance of the scores to the
//! nearest class, less their distance to the whole snapshot (Ren et al. 2021). With a covariance shared by the
//! classes, that difference of the full embeddings lies in the few directions that tell the classes apart, which the
//! scores span, so it costs `classes²` numbers and not `width²`. *In embedding space*, the distance to the nearest
//! class mean, which still sees what lies beside those directions: with two classes there is only one.

mod fit;
#[cfg(test)]
mod tests;

pub(crate) use fit::fit;

use super::dot::dot;
use super::drift::Reference;
use super::snapshot::LearnError;

/// What is stored of the unknown score; a score above 1 means unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// Classes with samples, `[K]`, rising.
    present: Vec<usize>,
    /// Their mean embeddings, `[K, width]`.
    means: Vec<f32>,
    /// Whitens scores by the spread within classes, `[K, K]`.
    within: Vec<f32>,
    /// Whitened class means of the scores, `[K, K]`.
    centres: Vec<f32>,
    /// Whitens scores by the spread of the snapshot, `[K, K]`.
    whole: Vec<f32>,
    /// Whitened mean of all scores, `[K]`.
    centre: Vec<f32>,
    /// `[4]`: score = offset + a·(relative Mahalanobis) + b·(distance to the nearest mean), as `[offset, a, b, 0]`.
    scale: Vec<f32>,
    /// How the snapshot's own bursts looked, for [`Reference::assess`]; a list of all classes of the head.
    pub(crate) usual: Reference,
}

impl Reject {
    /// How the snapshot's own bursts looked to heads that had not seen them: what later bursts are compared with.
    pub fn usual(&self) -> &Reference {
        &self.usual
    }

    /// Score of an embedding `x [width]` with its logits `[classes]`: about 0 for an ordinary known frame, 1 at the
    /// threshold, never below 0.
    pub(crate) fn score(&self, x: &[f32], logits: &[f32]) -> f32 {
        let mut scores: Vec<f32> = self.present.iter().map(|&class| logits[class]).collect();
        centre(&mut scores);
        let nearest = self
            .means
            .chunks_exact(x.len())
            .map(|mean| x.iter().zip(mean).map(|(x, m)| (x - m) * (x - m)).sum::<f32>())
            .fold(f32::INFINITY, f32::min)
            .sqrt();
        let score = self.scale[0] + self.scale[1] * self.relative(&scores) + self.scale[2] * nearest;
        // NaN (from an overflow) and infinity are as unknown as can be.
        if score.is_finite() { score.max(0.0) } else { f32::MAX }
    }

    /// Relative Mahalanobis distance of centred scores `[K]`.
    fn relative(&self, scores: &[f32]) -> f32 {
        let k = scores.len();
        let whiten =
            |matrix: &[f32]| matrix.chunks_exact(k).map(|row| dot(row, scores)).collect::<Vec<f32>>();
        let square = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let within = whiten(&self.within);
        let nearest =
            self.centres.chunks_exact(k).map(|mean| square(&within, mean)).fold(f32::INFINITY, f32::min);
        nearest - square(&whiten(&self.whole), &self.centre)
    }

    /// Checks shapes and numbers against a head.
    pub(crate) fn check(&self, width: usize, classes: usize) -> Result<(), LearnError> {
        let k = self.present.len();
        let shapes = [
            (self.means.len(), k.checked_mul(width)),
            (self.within.len(), k.checked_mul(k)),
            (self.centres.len(), k.checked_mul(k)),
            (self.whole.len(), k.checked_mul(k)),
            (self.centre.len(), Some(k)),
            (self.scale.len(), Some(4)),
        ];
        let ordered = self.present.windows(2).all(|pair| pair[0] < pair[1]);
        let known = self.present.last().is_some_and(|&last| last < classes);
        if shapes.iter().any(|&(found, wanted)| Some(found) != wanted) || !ordered || !known {
            return Err(LearnError::shape(format!(
                "the unknown score does not fit a head of {classes} classes and width {width}; take another head file"
            )));
        }
        let usual = &self.usual.classes;
        let taught = |class: &usize| {
            usual.get(*class).is_some_and(|taught| taught.confidence.len() == taught.unknown.len())
        };
        if usual.len() > classes || !self.present.iter().all(taught) {
            return Err(LearnError::shape(format!(
                "the usual scores do not fit a head of {classes} classes; take another head file"
            )));
        }
        let mut values = self.tensors().into_iter().flat_map(|(_, _, values)| values);
        match values.all(f32::is_finite) {
            true => Ok(()),
            false => {
                Err(LearnError::shape("the unknown score holds NaN or infinity; take another head file"))
            }
        }
    }

    /// Name, shape and values of each tensor, for the head file.
    pub fn tensors(&self) -> Vec<(&'static str, Vec<usize>, Vec<f32>)> {
        let k = self.present.len();
        let present = self.present.iter().map(|&class| class as f32).collect();
        let usual = || self.present.iter().filter_map(|&class| self.usual.classes.get(class));
        let confidence: Vec<f32> = usual().flat_map(|taught| taught.confidence.iter().copied()).collect();
        vec![
            ("present", vec![k], present),
            ("means", vec![k, self.means.len() / k.max(1)], self.means.clone()),
            ("within", vec![k, k], self.within.clone()),
            ("centres", vec![k, k], self.centres.clone()),
            ("whole", vec![k, k], self.whole.clone()),
            ("centre", vec![k], self.centre.clone()),
            ("scale", vec![4], self.scale.clone()),
            ("usual_bursts", vec![k], usual().map(|taught| taught.confidence.len() as f32).collect()),
            ("usual_confidence", vec![confidence.len()], confidence),
            (
                "usual_unknown",
                vec![usual().map(|taught| taught.unknown.len()).sum()],
                usual().flat_map(|taught| taught.unknown.iter().copied()).collect(),
            ),
        ]
    }

    /// The reverse of [`Reject::tensors`], for a head of this width and number of classes.
    ///
    /// # Errors
    /// [`LearnError::Shape`] when a tensor is missing, does not fit the head, or holds NaN or infinity.
    pub fn from_tensors(
        tensors: &[(String, Vec<usize>, Vec<f32>)],
        width: usize,
        classes: usize,
    ) -> Result<Self, LearnError> {
        let take = |wanted: &str| {
            let found = tensors.iter().find(|(name, _, _)| name == wanted);
            let fits = |shape: &[usize], values: &[f32]| {
                shape.iter().try_fold(1usize, |size, &side| size.checked_mul(side)) == Some(values.len())
            };
            match found {
                Some((_, shape, values)) if fits(shape, values) => Ok(values.clone()),
                Some(_) => Err(LearnError::shape(format!(
                    "tensor reject.{wanted} has another length than its shape says; take another head file"
                ))),
                None => Err(LearnError::shape(format!(
                    "tensor reject.{wanted} is missing; take another head file or store the head without a reject part"
                ))),
            }
        };
        let whole_number = |value: &f32, below: usize| {
            let fits = *value >= 0.0 && *value < below as f32 && value.fract() == 0.0;
            fits.then_some(*value as usize)
        };
        let present: Option<Vec<usize>> =
            take("present")?.iter().map(|value| whole_number(value, classes)).collect();
        let present = present.ok_or_else(|| {
            LearnError::shape("reject.present names a class the head does not have; take another head file")
        })?;
        let counts: Option<Vec<usize>> =
            take("usual_bursts")?.iter().map(|value| whole_number(value, usize::MAX)).collect();
        let usual = Reference::from_lists(
            classes,
            &present,
            &counts.unwrap_or_default(),
            &take("usual_confidence")?,
            &take("usual_unknown")?,
        );
        let reject = Self {
            usual: usual.ok_or_else(|| {
                LearnError::shape("the tensors reject.usual_* do not fit each other; take another head file")
            })?,
            present,
            means: take("means")?,
            within: take("within")?,
            centres: take("centres")?,
            whole: take("whole")?,
            centre: take("centre")?,
            scale: take("scale")?,
        };
        reject.check(width, classes)?;
        Ok(reject)
    }
}

/// Takes the mean away, which no softmax can see.
fn centre(scores: &mut [f32]) {
    let mean = scores.iter().sum::<f32>() / scores.len().max(1) as f32;
    scores.iter_mut().for_each(|score| *score -= mean);
}
