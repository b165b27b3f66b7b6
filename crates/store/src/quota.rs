//! How much the store may use, what it may throw away, and when the log is folded into the database.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::TransactionBehavior;
use rustix::fs::FallocateFlags;

use super::recover::DB;
use super::{Bound, Store, StoreError, heads, journal};

/// The log is folded into the database once it has this many pages (of 4 KiB).
pub(super) const WAL_PAGES: u64 = 2048;
/// The log file is cut back to this size after that.
pub(super) const WAL_BYTES: u64 = WAL_PAGES * 4096;
/// Space held by an empty file, given back when the disk is full so that deleting and rolling back still work.
const RESERVE_BYTES: u64 = 16 << 20;
const RESERVE: &str = "reserve";

/// Tells the free bytes of the file system that holds a folder.
pub type FreeSpace = Box<dyn Fn(&Path) -> io::Result<u64> + Send>;

/// Bounds of the store, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most that the database and its log may take.
    pub quota_bytes: u64,
    /// Samples are refused when less than this would stay free on the file system.
    pub free_floor_bytes: u64,
}

impl Default for Limits {
    /// 2 GiB for the store, 500 MiB kept free.
    fn default() -> Self {
        Self { quota_bytes: 2 << 30, free_floor_bytes: 500 << 20 }
    }
}

/// What the store takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Pages of the database that hold something.
    pub live_bytes: u64,
    pub file_bytes: u64,
    pub log_bytes: u64,
    /// Free on the file system; `None` when that cannot be told.
    pub free_bytes: Option<u64>,
    pub quota_bytes: u64,
}

/// Room left for one transaction.
pub(super) struct Room {
    used: u64,
    free: Option<u64>,
    limits: Limits,
    spent: Cell<u64>,
    /// Set when a head was added, promoted or numbered.
    pub heads_changed: Cell<bool>,
}

impl Room {
    pub(super) fn new(usage: Usage, limits: &Limits) -> Self {
        Self {
            used: usage.live_bytes + usage.log_bytes,
            free: usage.free_bytes,
            limits: *limits,
            spent: Cell::new(0),
            heads_changed: Cell::new(false),
        }
    }

    /// Books `bytes` of payload for a sample. A part of the quota stays free for heads, deletions and roll back.
    pub(super) fn book_sample(&self, bytes: u64) -> Result<(), StoreError> {
        let quota = self.limits.quota_bytes - headroom(&self.limits);
        let grown = self.book(bytes, quota)?;
        if let Some(free) = self.free
            && free.saturating_sub(grown) < self.limits.free_floor_bytes
        {
            return Err(StoreError::Full {
                bound: Bound::FreeSpace,
                message: format!(
                    "only {} MiB are free on the disk and {} MiB are kept free: free space on the disk, export and delete samples, or lower the free-space floor in the configuration",
                    free >> 20,
                    self.limits.free_floor_bytes >> 20
                ),
            });
        }
        Ok(())
    }

    /// Books `bytes` of payload for anything else.
    pub(super) fn book_other(&self, bytes: u64) -> Result<(), StoreError> {
        self.book(bytes, self.limits.quota_bytes).map(|_| ())
    }

    fn book(&self, bytes: u64, quota: u64) -> Result<u64, StoreError> {
        // Pages, indexes and interior nodes on top of the payload; once in the log, once more in the database.
        let pages = bytes.saturating_add(bytes / 8).saturating_add(4096);
        let grown = self.spent.get().saturating_add(pages.saturating_mul(2));
        if self.used.saturating_add(grown) > quota {
            return Err(StoreError::Full {
                bound: Bound::Quota,
                message: format!(
                    "the store holds {} of its {} MiB: export and delete samples, or raise the quota in the configuration",
                    self.used >> 20,
                    self.limits.quota_bytes >> 20
                ),
            });
        }
        self.spent.set(grown);
        Ok(grown)
    }
}

/// The part of the quota that samples may not take.
fn headroom(limits: &Limits) -> u64 {
    (limits.quota_bytes / 8).min(2 * WAL_BYTES)
}

/// Free bytes of the file system of `dir` for an unprivileged writer.
pub(super) fn free_space(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

impl Store {
    pub(super) fn measure(&self) -> Result<Usage, StoreError> {
        let Some(conn) = &self.conn else { return Err(super::closed()) };
        let ask = |name: &str| -> Result<u64, StoreError> {
            let value: i64 = conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
            Ok(value.max(0) as u64)
        };
        let (page, pages, unused) = (ask("page_size")?, ask("page_count")?, ask("freelist_count")?);
        Ok(Usage {
            live_bytes: pages.saturating_sub(unused) * page,
            file_bytes: pages * page,
            log_bytes: fs::metadata(self.dir.join(format!("{DB}-wal"))).map_or(0, |file| file.len()),
            free_bytes: (self.free)(&self.dir).ok(),
            quota_bytes: self.limits.quota_bytes,
        })
    }

    /// Before a transaction: when the quota is nearly used up, folds the log, then purges what may be purged.
    pub(super) fn make_headroom(&mut self) -> Result<Usage, StoreError> {
        let limit = self.limits.quota_bytes - headroom(&self.limits);
        let margin = (self.limits.quota_bytes / 2).min(2 * WAL_BYTES);
        let tight = |usage: &Usage| usage.live_bytes + usage.log_bytes + margin > limit;
        let mut usage = self.measure()?;
        // Not for every few pages: folding costs several flushes.
        if tight(&usage) && usage.log_bytes > margin / 8 {
            self.checkpoint()?;
            usage = self.measure()?;
        }
        if tight(&usage) && self.purge(None)? {
            self.checkpoint()?;
            usage = self.measure()?;
        }
        Ok(usage)
    }

    /// Deletes bytes of removed samples (all of them, or those removed before a time) and old head files. Labelled
    /// samples are never touched. Tells whether anything went.
    pub(super) fn purge(&mut self, removed_before_ms: Option<i64>) -> Result<bool, StoreError> {
        let Some(conn) = &mut self.conn else { return Err(super::closed()) };
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let samples = journal::purge_removed(&tx, removed_before_ms)?;
        let files = heads::purge_files(&tx)?;
        if samples + files == 0 {
            return Ok(false);
        }
        tx.commit()?;
        Ok(true)
    }

    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        let Some(conn) = &self.conn else { return Err(super::closed()) };
        // A reader in another program makes this answer "busy", which is no error.
        match conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(StoreError::from) {
            Err(StoreError::Locked(_)) => Ok(()),
            other => other,
        }
    }
}

/// Makes the reserve file when it is missing and there is plenty of room.
pub(super) fn reserve(dir: &Path, limits: &Limits, free: &FreeSpace) {
    let path = dir.join(RESERVE);
    let wanted = limits.free_floor_bytes.saturating_add(4 * RESERVE_BYTES);
    if path.exists() || free(dir).is_ok_and(|free| free < wanted) {
        return;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|file| {
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES)?;
        file.sync_all()
    });
    if made.is_err() {
        // Some file systems cannot reserve. The store works without.
        let _ = fs::remove_file(&path);
    }
}

/// Gives the reserve back to a full disk. Tells whether there was one.
pub(super) fn release_reserve(dir: &Path) -> bool {
    fs::remove_file(dir.join(RESERVE)).is_ok()
}
