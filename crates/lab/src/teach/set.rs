//! Embeddings with what is known about their pictures: class, group, place in time.

use half::f16;

/// Rows of a stream or of photographs.
#[derive(Clone, Debug)]
pub struct Set {
    /// Of the pictures.
    pub name: String,
    /// Which network made the embeddings.
    pub backbone: String,
    /// In the order of [`Picture::class`].
    pub classes: Vec<String>,
    /// Numbers per embedding.
    pub width: usize,
    /// `[pictures, width]`; with [`Set::dark`] as many again, of the same pictures in less light.
    pub values: Vec<f32>,
    /// In the order of time where it is a stream, else in the order of classes and file names.
    pub pictures: Vec<Picture>,
    /// Whether each picture was embedded in less light too.
    pub dark: bool,
    /// Pictures a second of a fixed camera; `None`: photographs.
    pub rate: Option<f64>,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// `None`: a frame between two classes, which nobody would label.
    pub class: Option<usize>,
    /// What was taken together: never split between what is taught and what judges.
    pub group: u64,
    /// Kept back to judge with, whatever is taught.
    pub judges: bool,
}

impl Set {
    /// The embedding of a row, `[width]`.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// What is known of a row; one in less light is of the same picture.
    pub fn picture(&self, row: usize) -> &Picture {
        &self.pictures[row % self.pictures.len()]
    }

    /// The same picture in less light.
    pub fn in_the_dark(&self, row: usize) -> Option<usize> {
        self.dark.then(|| row % self.pictures.len() + self.pictures.len())
    }

    /// Whether a group holds pictures of several classes, as one person's hands do.
    pub fn groups_cross_classes(&self) -> bool {
        let mut of_group = std::collections::HashMap::new();
        self.pictures.iter().any(|picture| {
            let class = *of_group.entry(picture.group).or_insert(picture.class);
            class != picture.class
        })
    }

    /// Cosine between two rows.
    pub fn cosine(&self, a: usize, b: usize) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (a, b) = (self.row(a), self.row(b));
        dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()).max(f32::MIN_POSITIVE)
    }

    /// The row as samples are stored.
    pub fn stored(&self, row: usize) -> impl Iterator<Item = f16> {
        self.row(row).iter().map(|value| f16::from_f32(*value))
    }
}
