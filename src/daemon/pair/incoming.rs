//! A backbone on its way into service.

use super::change::PairChange;
use crate::daemon::frames::LoadedNetwork;
use crate::daemon::provenance::Provenance;
use graft_control::Origin;
use std::collections::HashSet;
use std::sync::Arc;

/// A backbone that takes the active one's place once its head is stored.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The round or restoring that brings its head.
    pub origin: Origin,
    /// What it is.
    pub provenance: Arc<Provenance>,
    /// The network.
    pub network: LoadedNetwork,
    /// What the store is told.
    pub change: PairChange,
    /// Bursts (by number) that it was trained on.
    pub taught: Arc<HashSet<u64>>,
}
