//! How a round is cancelled.

use super::snapshot::LearnError;

/// Asked between two pieces of work; an error ends the round.
pub(crate) type Proceed<'p> = &'p mut dyn FnMut() -> Result<(), LearnError>;
