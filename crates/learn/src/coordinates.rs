//! The few numbers by which a round knows an embedding while it judges: λ, folds, bursts held out and learning curve are
//! many solutions of one problem, and each costs as many numbers as an embedding has.
//!
//! * Up to [`FEW`] samples: as many coordinates as samples, which hold all that a head can use ([`Reduced`]).
//! * Above: the leading directions of the scatter ([`Leading`]), found without looking at labels. Leaving a burst out is
//!   exact in them; what they leave out of an embedding has little spread and is not judged.

use super::cancel::Proceed;
use super::leading::{self, Leading};
use super::linear::Linear;
use super::notes::Note;
use super::objective::Samples;
use super::problem::Problem;
use super::reduced::Reduced;
use super::snapshot::LearnError;

/// Samples that are few: their products cost less than looking for directions.
const FEW: usize = 512;

/// Other coordinates of all samples of a problem.
pub(crate) enum Coordinates {
    /// As many as samples.
    All(Reduced),
    /// Those of the longest spread.
    Leading(Leading),
}

impl Coordinates {
    /// None where embeddings have few numbers already, and where rounding spoilt the directions, which `notes` then says.
    ///
    /// # Errors
    /// Those of `proceed`, which is asked between pieces of work.
    pub(crate) fn of(
        problem: &Problem,
        notes: &mut Vec<Note>,
        proceed: Proceed,
    ) -> Result<Option<Self>, LearnError> {
        let (n, width) = (problem.len(), problem.width());
        let samples = problem.samples();
        if n <= FEW.min(width / 2) {
            return Ok(Some(Self::All(Reduced::new(&samples, proceed)?)));
        }
        let rank = leading::rank(n);
        if n <= FEW || rank > width / 2 {
            return Ok(None);
        }
        let leading = Leading::of(&samples, rank, proceed)?;
        if leading.is_none() {
            notes.push(Note::AllNumbers);
        }
        Ok(leading.map(Self::Leading))
    }

    /// Whether they hold all that a head can use.
    pub(crate) fn are_all(&self) -> bool {
        matches!(self, Self::All(_))
    }

    /// The problem in these coordinates.
    pub(crate) fn problem(&self, of: &Problem) -> Problem<'_> {
        match self {
            Self::All(reduced) => of.by(reduced.rows(), of.len()),
            Self::Leading(leading) => of.by(leading.rows(), leading.rank()),
        }
    }

    /// Makes a head for coordinates one for the centred, scaled embeddings of the problem: the same scores.
    pub(crate) fn expand(&self, problem: &Problem, head: &mut Linear) {
        let samples: Samples = problem.samples();
        head.weight = match self {
            Self::All(reduced) => reduced.expand(&samples, &head.weight),
            Self::Leading(leading) => leading.expand(&head.weight),
        };
    }
}
