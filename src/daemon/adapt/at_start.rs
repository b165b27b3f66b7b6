//! Which head serves at the start. A head with which the daemon keeps ending early gives way to the one before it:
//! starts are counted, nothing is timed over restarts, so no clock can be wrong.

use super::draft::{self, Draft, Stored};
use crate::daemon::frames::ActiveHead;
use crate::daemon::kept::{self, HeadProbation, Json};
use crate::daemon::provenance::Provenance;
use graft_control::probation::{ProbationPolicy, StartProbation};
use graft_store::{Store, StoreError};
use graft_wire::HeadFile;
use graft_wire::messages::HeadState;
use std::time::Duration;

/// What a start finds.
#[derive(Debug, Default)]
pub struct Heads {
    /// The head that serves.
    pub loaded: Option<(ActiveHead, HeadState)>,
    /// It is on probation.
    pub probation: Option<StartProbation>,
    /// The head on probation was taken back, and why.
    pub taken_back: Option<String>,
}

/// Counts this start of the head on probation, or takes the head back; then loads what serves. The count is on disk
/// before the head is touched: it may be what ends us. Without a head before it, the one on probation is left alone but
/// not used, and the error says so.
///
/// # Errors
/// The store fails.
pub fn heads(
    store: &mut Store,
    from: &Provenance,
    uptime: Duration,
    now_ms: i64,
) -> Result<Heads, StoreError> {
    let serving = store.serving()?;
    let policy = ProbationPolicy::default();
    let mut found = Heads::default();
    let mut serve = serving.active;
    let on = kept::HEAD_PROBATION.get(store)?.map(|on| on.0);
    if let Some(on) = on.filter(|on| Some(on.head) == serving.active) {
        match StartProbation::count(&policy, on.starts) {
            Ok(starts) => {
                kept::HEAD_PROBATION.put(store, &Json(HeadProbation { starts, ..on }))?;
                found.probation = Some(StartProbation::begin(&policy, uptime));
            }
            Err(why) => {
                let reason = format!("head {} is taken back: {why}", on.head);
                tracing::error!(reason, "a head is taken back");
                found.taken_back = Some(reason);
                serve = match serving.previous {
                    // One of another backbone is no head for this one.
                    Some(previous) if draft::load(&Stored::read(store, previous)?, from).is_ok() => {
                        Some(restore(store, from, previous, now_ms)?)
                    }
                    _ => None,
                };
            }
        }
    }
    if let Some(version) = serve {
        let stored = Stored::read(store, version).map_err(|e| e.to_string());
        match stored.and_then(|stored| draft::load(&stored, from)) {
            Ok(head) => found.loaded = Some(head),
            Err(error) => tracing::error!(version, error, "the active head cannot be used"),
        }
    }
    Ok(found)
}

fn restore(store: &mut Store, from: &Provenance, version: i64, now_ms: i64) -> Result<i64, StoreError> {
    let stored = Stored::read(store, version)?;
    let file = HeadFile::decode(&stored.file).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let draft = Draft::restored(file, stored, version.unsigned_abs(), None);
    Ok(draft::row_version(store.transaction(|tx| draft::store(tx, from, draft, now_ms))?))
}
