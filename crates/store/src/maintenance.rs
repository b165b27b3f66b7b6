//! Housekeeping: what is purged, folded and given back from time to time.

use rusqlite::Connection;

use super::{Store, StoreError, Usage, quota, spare};

/// Deleted samples can be brought back for this long.
const KEEP_REMOVED_MS: i64 = 24 * 3600 * 1000;
const CHECKPOINT_EVERY_MS: i64 = 10 * 60 * 1000;

impl Store {
    /// What the store takes now.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn usage(&mut self) -> Result<Usage, StoreError> {
        self.ready()?;
        let measured = self.measure();
        self.settle(measured)
    }

    /// Housekeeping; call it about once a minute. Purges samples removed more than 24 hours ago, returns unused space,
    /// folds the log now and then, takes the emergency reserve back, and renews the spare copy of the active head.
    ///
    /// # Errors
    /// What SQLite says; nothing acknowledged is affected.
    pub fn maintain(&mut self, now_ms: i64) -> Result<(), StoreError> {
        self.ready()?;
        let done = self.keep_house(now_ms);
        self.settle(done)?;
        quota::reserve(&self.dir, &self.limits, &self.free);
        spare::mend(self)
    }

    fn keep_house(&mut self, now_ms: i64) -> Result<(), StoreError> {
        self.purge(Some(now_ms.saturating_sub(KEEP_REMOVED_MS)))?;
        let usage = self.measure()?;
        let unused = usage.file_bytes - usage.live_bytes;
        if unused > (8 << 20) && unused > usage.file_bytes / 4 {
            vacuum(self.conn.as_ref())?;
        }
        // A clock that jumped backwards must not stop the folding.
        let due = self
            .last_checkpoint_ms
            .is_none_or(|last| !(last..last.saturating_add(CHECKPOINT_EVERY_MS)).contains(&now_ms));
        if due && usage.log_bytes > 0 {
            self.checkpoint()?;
            self.last_checkpoint_ms = Some(now_ms);
        }
        Ok(())
    }
}

/// Gives at most 8 MiB of unused pages back to the file system.
fn vacuum(conn: Option<&Connection>) -> Result<(), StoreError> {
    let Some(conn) = conn else { return Err(super::closed()) };
    let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({})", quota::WAL_PAGES))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
