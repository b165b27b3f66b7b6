#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::disallowed_macros,
        reason = "tests read files, and tell"
    )
)]

mod advice;
mod calibration;
mod cancel;
mod candidates;
mod cholesky;
mod comparison;
mod coordinates;
mod curve;
mod dot;
mod drift;
mod evaluation;
mod grouping;
mod head;
mod held_out;
mod imprint;
pub mod lab;
mod lbfgs;
mod leading;
mod linear;
#[allow(unsafe_code, reason = "loops in vectors")]
mod matmul;
mod notes;
mod objective;
mod options;
mod orthonormal;
mod problem;
mod reduced;
mod reject;
mod ridge;
mod search;
mod snapshot;
mod softmax;
mod spectrum;
mod statistics;
mod suspects;
mod train;
mod workers;

pub use advice::{Advice, Next};
pub use comparison::{ClassDifference, Comparison, News, Pairs, compare};
pub use curve::CurvePoint;
pub use drift::{Assessment, Burst, Drift, Reference, Tally, WINDOW as DRIFT_WINDOW};
pub use evaluation::{Estimate, Evidence, Report, evaluate};
pub use grouping::{Grouping, Likeness, group};
pub use head::{ABSENT_BIAS, Head, Prediction};
pub use held_out::HeldOut;
pub use notes::Note;
pub use options::{Choice, Method, Options, Progress};
pub use reject::Reject;
pub use snapshot::{LearnError, MAX_CLASSES, MAX_WIDTH, Snapshot};
pub use statistics::Statistics;
pub use suspects::{Suspect, suspects};
pub use train::{Candidate, Round, train};
pub use workers::{Alone, Workers};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wall;
