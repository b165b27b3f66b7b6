//! What a round had to do without: arithmetic that did not hold.

use std::fmt;

use super::options::Method;

/// Something that a round got by without. None of it should ever happen: each is a fault of the program to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The round was done in all numbers of the embeddings, which takes longer, as fewer could not be had.
    AllNumbers,
    /// The head of this method held NaN or an infinity and was left out.
    LeftOut(Method),
    /// The unknown score held NaN or an infinity and was left out.
    NoUnknown,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllNumbers => f.write_str(
                "the leading directions of the embeddings came out wrong, so the round used all numbers and took \
                 longer; its head is sound; please report this",
            ),
            Self::LeftOut(method) => write!(
                f,
                "the head of {method} held NaN or infinity and was left out; the others are sound; please report this"
            ),
            Self::NoUnknown => f.write_str(
                "the unknown score held NaN or infinity and was left out: the head calls nothing unknown; please \
                 report this",
            ),
        }
    }
}
