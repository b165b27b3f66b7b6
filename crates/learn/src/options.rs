//! What a caller may choose about a round, and how it hears of its progress.

use std::fmt;

/// How a head was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Normalised class means: instant, for a handful of samples.
    Imprint,
    /// Closed-form least squares with L2.
    Ridge,
    /// Multinomial logistic regression with L2.
    Softmax,
    /// The mean of the calibrated scores of ridge and softmax: one linear head again, steadier than either.
    Blend,
}

impl Method {
    /// Every method, in the order of the enum.
    pub const ALL: [Self; 4] = [Self::Imprint, Self::Ridge, Self::Softmax, Self::Blend];

    /// The word used in messages and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imprint => "imprint",
            Self::Ridge => "ridge",
            Self::Softmax => "softmax",
            Self::Blend => "blend",
        }
    }

    /// The reverse of [`Method::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which methods a round tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Choice {
    /// Ridge, softmax and their blend (and imprint for tiny classes); the best on bursts never seen wins.
    #[default]
    Auto,
    /// This one alone.
    Only(Method),
}

/// Settings of one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Methods to try.
    pub choice: Choice,
    /// Fraction of known frames that may be called unknown, 0…0.5.
    pub reject_rate: f32,
    /// Accuracy that is wanted, 0…1: what the advice is measured against.
    pub target: f64,
    /// Resamplings behind each interval.
    pub bootstrap: usize,
    /// Folds of bursts for softmax, at least 2.
    pub folds: usize,
    /// Seed of folds and bootstrap.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { choice: Choice::Auto, reject_rate: 0.05, target: 0.95, bootstrap: 1000, folds: 5, seed: 0 }
    }
}

/// Where a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `"ridge"`, `"softmax"`, `"imprint"`, `"curve"` or `"evaluation"`.
    pub phase: &'static str,
    /// Steps of this phase that are done.
    pub done: usize,
    /// Steps of this phase, an upper bound.
    pub total: usize,
}
