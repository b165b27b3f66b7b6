//! A new head proves itself as a new backbone does: by starts that end well. A head with which the daemon keeps ending
//! early gives way to the one before it. Nothing is timed over restarts, so no clock can be wrong.

use super::Daemon;
use super::heads::{self, Draft};
use super::provenance::Provenance;
use graft_control::Origin;
use graft_control::probation::{ProbationPolicy, fails};
use graft_store::{Store, StoreError, Tx};
use graft_wire::messages::EventType;
use graft_wire::{Code, Error, HeadFile};
use serde::{Deserialize, Serialize};

/// State key of the store; there while the active head is on trial.
const TRIAL: &str = "head_trial";

/// A head on trial, as the store remembers it.
#[derive(Serialize, Deserialize)]
struct OnTrial {
    head: i64,
    /// Starts in a row that did not end well, this one included.
    starts: u32,
}

fn read(store: &mut Store) -> Result<Option<OnTrial>, StoreError> {
    Ok(store.get_state(TRIAL)?.and_then(|text| serde_json::from_str(&text).ok()))
}

fn put(store: &mut Store, trial: &OnTrial) -> Result<(), StoreError> {
    store.put_state(TRIAL, &graft_wire::messages::to_json(trial))
}

/// Written with the promotion of a head: one of a round is on trial, one that served before is not.
pub fn promoted(tx: &Tx<'_>, head: i64, is_new: bool) -> Result<(), StoreError> {
    if is_new {
        tx.put_state(TRIAL, &graft_wire::messages::to_json(&OnTrial { head, starts: 1 }))
    } else {
        tx.drop_state(TRIAL)
    }
}

/// What a start finds.
#[derive(Default)]
pub struct AtStart {
    /// The head on trial was taken back, and why.
    pub taken_back: Option<String>,
    /// The active head is on trial.
    pub running: bool,
}

/// Counts this start of the head on trial, or takes the head back. To be called before the head is touched: it may be
/// what ends us. Without a head before it, the one on trial is left alone but not used, and the error says so.
///
/// # Errors
/// The store fails.
pub fn at_start(
    store: &mut Store,
    from: &Provenance,
    now_ms: i64,
) -> Result<(AtStart, Option<i64>), StoreError> {
    let serving = store.serving()?;
    let Some(trial) = read(store)?.filter(|trial| Some(trial.head) == serving.active) else {
        return Ok((AtStart::default(), serving.active));
    };
    let Some(why) = fails(&ProbationPolicy::default(), trial.starts) else {
        put(store, &OnTrial { starts: trial.starts + 1, ..trial })?;
        return Ok((AtStart { taken_back: None, running: true }, serving.active));
    };
    let reason = format!("head {} is taken back: {why}", trial.head);
    tracing::error!(reason, "a head is taken back");
    let restored = match serving.previous {
        // One of another backbone is no head for this one.
        Some(previous) if heads::load(&store.head_file(previous)?, from).is_ok() => {
            Some(restore(store, from, previous, now_ms)?)
        }
        _ => None,
    };
    Ok((AtStart { taken_back: Some(reason), running: false }, restored))
}

fn restore(store: &mut Store, from: &Provenance, version: i64, now_ms: i64) -> Result<i64, StoreError> {
    let file =
        HeadFile::decode(&store.head_file(version)?).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let held_out = store.held_out(version)?;
    let draft = Draft::restored(file, held_out, version.unsigned_abs(), None);
    Ok(heads::row_version(store.transaction(|tx| heads::store_draft(tx, from, draft, now_ms))?))
}

impl Daemon {
    /// A head is in use now: one of a round is on trial.
    pub(super) fn trial_of(&mut self, origin: Origin) {
        self.trial = matches!(origin, Origin::Round(_)).then(|| self.clock.now());
    }

    /// Time passed: a head with which the daemon has served long enough has proved itself.
    pub(super) fn trial_tick(&mut self) {
        let settle = ProbationPolicy::default().settle;
        if self.trial.is_some_and(|since| self.clock.now().saturating_sub(since) >= settle) {
            self.trial = None;
            self.store_or_warn("the end of a head's trial", |store| store.drop_state(TRIAL));
        }
    }

    /// The daemon stops in order: that is no failed start.
    pub(super) fn stop_trial(&self) {
        if self.trial.is_some() {
            self.store_or_warn("the good starts of a head", |store| match read(store)? {
                Some(trial) => put(store, &OnTrial { starts: 0, ..trial }),
                None => Ok(()),
            });
        }
    }

    /// Tells that a head was taken back at the start.
    pub(super) fn head_taken_back(&mut self, reason: String) {
        let version = self.control.active();
        let error = Error::new(Code::Internal, reason);
        self.event(EventType::RolledBack, |e| e.with("version", version).because(error));
    }
}
