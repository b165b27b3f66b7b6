//! How backbone and head change together.

use crate::daemon::kept::{self, Json, PairProbation};
use graft_store::{Stage, StoreError, Tx};
use std::sync::Arc;

/// How the pair changes with a head that is being stored.
#[derive(Clone, Debug)]
pub enum PairChange {
    /// A new backbone was judged: it serves on probation, or is refused.
    Judged {
        /// What it is measured by.
        probation: PairProbation,
        /// Digest of the configured backbone, see [`super::configured::Configured::digest`].
        configured: String,
        /// Names the embeddings of the backbone that it takes the place of.
        before: Arc<str>,
    },
    /// Back to the pair before, and why.
    Back(String),
}

impl PairChange {
    /// Writes it, before the head is promoted. `row` is the backbone that serves from then on.
    ///
    /// # Errors
    /// The store fails, or the configured backbone was judged.
    pub fn store(
        &self,
        tx: &Tx<'_>,
        row: Option<i64>,
        promote: bool,
        gate: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        match (self, row) {
            (Self::Judged { probation, configured, before }, Some(id)) if promote => {
                tx.promote_backbone(row)?;
                tx.set_stage(id, Stage::Promoted, gate, now_ms)?;
                kept::CONFIGURED_BACKBONE.put_in(tx, configured)?;
                kept::EMBEDDED_BEFORE.put_in(tx, &before.to_string())?;
                kept::PAIR_PROBATION.put_in(tx, &Json(probation.clone()))
            }
            (Self::Judged { .. }, Some(id)) => tx.set_stage(id, Stage::Refused, gate, now_ms),
            (Self::Judged { .. }, None) => {
                Err(StoreError::Invalid("the configured backbone is not judged".into()))
            }
            (Self::Back(reason), _) => {
                let left = tx.pairs()?.active.backbone;
                tx.promote_backbone(row)?;
                // What was left is nothing to go back to.
                tx.forget_previous()?;
                kept::PAIR_PROBATION.drop_in(tx)?;
                left.map_or(Ok(()), |id| tx.set_stage(id, Stage::RolledBack, reason, now_ms))
            }
        }
    }
}
