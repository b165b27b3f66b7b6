//! Samples, heads, journal and wanted state in one SQLite database: a call that returned `Ok` is on disk.
//!
//! One [`Store`] per state folder, held by one thread. Every change runs in one transaction ([`Store::transaction`]),
//! so a command's effect and its remembered reply can be made durable together. No clocks: times come in as `now_ms`
//! (milliseconds since 1970, as the caller believes it).
#![forbid(unsafe_code)]

mod bursts;
mod classes;
mod error;
mod export;
mod folder;
mod grouping;
mod head_rows;
mod heads;
mod import;
mod journal;
mod maintenance;
mod open;
mod ops;
mod pairs;
mod quota;
mod recover;
mod rescue;
mod rows;
mod salvage;
mod samples;
mod schema;
mod snapshot;
mod spare;
mod state;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

pub use bursts::BurstRow;
pub use classes::ClassCount;
pub use error::{Bound, IoKind, StoreError};
pub use export::Exported;
pub use folder::{Folder, Picture};
pub use graft_base::pictures::Skipped;
pub use grouping::{Assumed, Evidence, Loose, group_pictures};
pub use head_rows::{HeadClass, HeadRow, HeldOut, Serving};
pub use heads::NewHead;
pub use import::{Embedded, IMPORT_GROUP, ImportStep, Imported};
pub use journal::{Change, ChangeKind, Step};
pub use open::Opened;
pub use pairs::{BackboneRow, Pair, Pairs, Stage};
pub use quota::{FreeSpace, Limits, Usage};
pub use rows::{Counts, Filter, SampleRow};
pub use samples::{Added, NewSample};
pub use snapshot::{Labelled, burst_number};
pub use state::Outgoing;

/// The open store of one state folder.
pub struct Store {
    dir: PathBuf,
    limits: Limits,
    free: FreeSpace,
    /// `None` after an I/O error or damage, until [`Store::ready`] has opened it again.
    conn: Option<Connection>,
    last_checkpoint_ms: Option<i64>,
    _lock: File,
}

/// One running transaction: everything done through it becomes durable together, or not at all.
pub struct Tx<'a> {
    conn: &'a Connection,
    room: quota::Room,
}

impl Store {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `f` in one transaction. When this returns `Ok`, everything `f` did is on disk; on an error nothing of it is
    /// visible, then or later. Return `Err` from `f` to call it off.
    ///
    /// # Errors
    /// What `f` returned, or the failure of the commit.
    pub fn transaction<T>(
        &mut self,
        f: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.ready()?;
        let outcome = self.make_headroom().and_then(|usage| {
            let Self { conn: Some(conn), limits, .. } = self else {
                return Err(closed());
            };
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let tx = Tx { conn: &transaction, room: quota::Room::new(usage, limits) };
            let value = f(&tx)?;
            let heads_changed = tx.room.heads_changed.get();
            transaction.commit()?;
            Ok((value, heads_changed))
        });
        let (value, heads_changed) = self.settle(outcome)?;
        if heads_changed {
            // Committed already: a spare copy that fails is written again by `maintain`.
            let _ = spare::mend(self);
        }
        Ok(value)
    }

    /// Runs a read; the connection is opened again first where an error had closed it.
    pub(crate) fn read<T>(
        &mut self,
        f: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.ready()?;
        let outcome = match &self.conn {
            Some(conn) => f(conn),
            None => Err(closed()),
        };
        self.settle(outcome)
    }

    /// Closes the connection after an error that makes it untrustworthy (I3).
    fn settle<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &outcome
            && error.closes()
        {
            if let Some(conn) = self.conn.take() {
                // No further write through descriptors whose flush may have failed.
                let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
                drop(conn);
            }
            if matches!(error, StoreError::Corrupt(_)) {
                recover::mark_suspect(&self.dir);
            }
        }
        if matches!(&outcome, Err(StoreError::Full { bound: Bound::Disk, .. })) {
            // So that the next try, and deletions, find some room.
            quota::release_reserve(&self.dir);
        }
        outcome
    }

    /// Opens the database again after an error had closed it.
    fn ready(&mut self) -> Result<(), StoreError> {
        if self.conn.is_none() {
            match recover::renew_wal(&self.dir) {
                Err(StoreError::Full { .. }) if quota::release_reserve(&self.dir) => {
                    recover::renew_wal(&self.dir)?
                }
                other => other?,
            }
            self.conn = Some(open::reopen(&self.dir, &self.limits)?);
        }
        Ok(())
    }
}

/// A change inside a transaction that is whole or absent even if the caller goes on after its error.
struct Mark<'a> {
    conn: &'a Connection,
    kept: bool,
}

impl Tx<'_> {
    /// Begins a change that is taken back unless [`Mark::keep`] is reached.
    fn mark(&self) -> Result<Mark<'_>, StoreError> {
        self.alive()?;
        self.conn.execute_batch("SAVEPOINT change")?;
        Ok(Mark { conn: self.conn, kept: false })
    }

    /// After some errors SQLite ends the whole transaction by itself; what followed would be committed piece by piece.
    fn alive(&self) -> Result<(), StoreError> {
        if self.conn.is_autocommit() { Err(closed()) } else { Ok(()) }
    }
}

impl Mark<'_> {
    fn keep(mut self) -> Result<(), StoreError> {
        self.conn.execute_batch("RELEASE change")?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Fails only where the transaction is gone already.
            let _ = self.conn.execute_batch("ROLLBACK TO change; RELEASE change");
        }
    }
}

fn closed() -> StoreError {
    StoreError::Io {
        kind: IoKind::Failed,
        message: "the database is closed after an error: try again".into(),
    }
}
