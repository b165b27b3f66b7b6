//! Opening the state folder: permissions, the single-writer lock, checks, and flushing what creation left behind.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};

use super::recover::DB;
use super::{FreeSpace, Limits, Store, StoreError, quota, recover, rescue, schema, spare};

const LOCK: &str = "lock";

/// How the database was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was none: a fresh one was made.
    Fresh,
    /// It passed its checks.
    Ok,
    /// It did not pass: it lies, unchanged, under `path`; a fresh one was made and filled with what could be saved, by
    /// this start or by one that was interrupted. Say so loudly, then call [`Store::rescue_told`].
    MovedAside {
        /// Where the old database is now (its `-wal` beside it).
        path: PathBuf,
        /// What was wrong with it.
        reason: String,
        /// Samples copied over, each checked against its digest.
        samples_saved: usize,
        /// The head version that serves again, where one could be saved.
        head_saved: Option<i64>,
    },
}

impl Store {
    /// Opens or creates the store in `dir`, checks it, and takes the folder's lock.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process holds the folder, [`StoreError::Newer`] for a newer schema,
    /// [`StoreError::Io`] when the file system fails. A damaged database is no error: see [`Opened::MovedAside`].
    pub fn open(dir: &Path, limits: Limits) -> Result<(Self, Opened), StoreError> {
        Self::open_with(dir, limits, Box::new(quota::free_space))
    }

    /// [`Store::open`] with another probe of the free space (bytes) of the file system.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn open_with(dir: &Path, limits: Limits, free: FreeSpace) -> Result<(Self, Opened), StoreError> {
        create_folder(dir)?;
        let lock = take_lock(dir)?;
        let (conn, opened) = open_or_replace(dir, &limits, &free)?;
        let mut store = Self {
            dir: dir.to_owned(),
            limits,
            free,
            conn: Some(conn),
            last_checkpoint_ms: None,
            _lock: lock,
        };
        quota::reserve(&store.dir, &store.limits, &store.free);
        store.read(|conn| spare::keep_floor(dir, conn))?;
        spare::mend(&mut store)?;
        Ok((store, opened))
    }

    /// Notes that [`Opened::MovedAside`] was told: until then each start answers it again.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rescue_told(&mut self) -> Result<(), StoreError> {
        self.drop_state(rescue::REPORT)
    }

    /// Checks every page of the database, images and embeddings included. Slow: it reads the whole file.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with SQLite's first finding.
    pub fn verify(&mut self) -> Result<(), StoreError> {
        self.read(|conn| quick_check(conn, ""))
    }
}

fn open_or_replace(
    dir: &Path,
    limits: &Limits,
    free: &FreeSpace,
) -> Result<(Connection, Opened), StoreError> {
    rescue::resume(dir)?;
    let fresh = !dir.join(DB).exists();
    let reason = match recover::torn(dir) {
        Some(reason) => reason,
        None => match open_checked(dir, limits) {
            Ok(conn) => {
                let intact = if fresh { Opened::Fresh } else { Opened::Ok };
                let opened = rescued(dir, &conn)?.unwrap_or(intact);
                return Ok((conn, opened));
            }
            Err(StoreError::Corrupt(reason)) => reason,
            Err(other) => return Err(other),
        },
    };
    let number = rescue::build(dir, reason, limits, free)?;
    rescue::take_over(dir, number)?;
    // Tried once: if the fresh one fails too, the medium is at fault and the caller is told.
    let conn = open_checked(dir, limits)?;
    let opened = rescued(dir, &conn)?.unwrap_or(Opened::Ok);
    Ok((conn, opened))
}

/// What the database says about its own rescue.
fn rescued(dir: &Path, conn: &Connection) -> Result<Option<Opened>, StoreError> {
    let report = rescue::report(conn)?;
    Ok(report.map(|report| Opened::MovedAside {
        path: report.damaged(dir),
        reason: report.reason,
        samples_saved: report.samples_saved,
        head_saved: report.head_saved,
    }))
}

/// Opens, migrates, checks, counts the start, and flushes the folder so that the `-wal` file's name is on disk too.
fn open_checked(dir: &Path, limits: &Limits) -> Result<Connection, StoreError> {
    let path = dir.join(DB);
    recover::create_database_file(&path)?;
    let suspect = recover::is_suspect(dir);
    let mut conn = connect(&path, limits)?;
    schema::migrate(&mut conn, &path.display().to_string())?;
    if suspect {
        quick_check(&conn, "")?;
    } else {
        for table in schema::CHECKED_AT_START {
            quick_check(&conn, table)?;
        }
    }
    let rows = conn.execute("UPDATE counters SET value = value + 1 WHERE name = 'boot'", [])?;
    if rows != 1 {
        return Err(StoreError::Corrupt("the start counter is missing".into()));
    }
    check_log(dir)?;
    recover::flush_folder(dir)?;
    recover::clear_suspect(dir)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(conn)
}

/// Opens after an error had closed the connection. Writes once, so that a file system that still fails is noticed
/// before anything is acknowledged.
pub(super) fn reopen(dir: &Path, limits: &Limits) -> Result<Connection, StoreError> {
    let path = dir.join(DB);
    if !path.exists() {
        return Err(StoreError::Io {
            kind: super::IoKind::Failed,
            message: format!("{} is gone: restart graft once the medium is back", path.display()),
        });
    }
    let conn = connect(&path, limits)?;
    schema::check_version(&conn, &path.display().to_string())?;
    conn.execute("UPDATE counters SET value = value WHERE name = 'boot'", [])?;
    check_log(dir)?;
    recover::flush_folder(dir)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(conn)
}

/// After the first write: is there really a log? When a flush fails while the journal mode is switched, SQLite answers
/// "wal" but goes on with a rollback journal, whose commits a power cut can take back.
fn check_log(dir: &Path) -> Result<(), StoreError> {
    let wal = dir.join(format!("{DB}-wal"));
    if fs::metadata(&wal).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    Err(StoreError::Io {
        kind: super::IoKind::Failed,
        message: format!(
            "{} was not made: a flush failed when the database was opened, try again",
            wal.display()
        ),
    })
}

fn connect(path: &Path, limits: &Limits) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(2))?;
    // Until the checks are passed, closing must not write to a file that may be damaged.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Looked at before the journal mode, which would write to the file.
    schema::check_version(&conn, &path.display().to_string())?;
    let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages == 0 {
        conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL;")?;
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Io {
            kind: super::IoKind::Failed,
            message: format!(
                "{}: this file system does not support SQLite's write-ahead log (got {mode:?}): keep the state folder on a local disk",
                path.display()
            ),
        });
    }
    // A small cache: what fills a larger one are pictures, which are written once and hardly read again.
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024;",
    )?;
    conn.query_row(&format!("PRAGMA wal_autocheckpoint = {}", quota::WAL_PAGES), [], |_| Ok(()))?;
    conn.query_row(&format!("PRAGMA journal_size_limit = {}", quota::WAL_BYTES), [], |_| Ok(()))?;
    let page: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = (limits.quota_bytes / page.max(512) as u64).clamp(256, u64::from(u32::MAX) - 2);
    conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    Ok(conn)
}

/// `table`, or everything when it is empty.
fn quick_check(conn: &Connection, table: &str) -> Result<(), StoreError> {
    let sql = if table.is_empty() {
        "PRAGMA quick_check(1)".into()
    } else {
        format!("PRAGMA quick_check({table})")
    };
    let finding: String =
        conn.query_row(&sql, [], |row| row.get(0)).map_err(|error| match StoreError::from(error) {
            StoreError::Invalid(text) | StoreError::NotFound(text) => StoreError::Corrupt(text),
            other => other,
        })?;
    if finding == "ok" { Ok(()) } else { Err(StoreError::Corrupt(finding)) }
}

/// Creates `dir` (0700) with its missing parents and flushes each folder that got a new entry.
fn create_folder(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut parents = Vec::new();
    let mut at = dir;
    while !at.exists() {
        match at.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                parents.push(parent);
                at = parent;
            }
            _ => {
                parents.push(Path::new("."));
                break;
            }
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| StoreError::file(format_args!("creating {}", dir.display()), &error))?;
    parents.into_iter().try_for_each(recover::flush_folder)
}

/// A process that has let go of its lock may still hold it for a moment: in a child that was forked and has not yet become the
/// program that it was forked for.
const LOCK_WAIT: Duration = Duration::from_millis(500);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// An advisory lock for the life of the process; the file holds the owner's process id.
fn take_lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let what = |error| StoreError::file(format_args!("locking {}", path.display()), &error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(what)?;
    let begun = Instant::now();
    let locked = loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < LOCK_WAIT => {
                std::thread::sleep(LOCK_POLL)
            }
            outcome => break outcome,
        }
    };
    match locked {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let _ = Read::by_ref(&mut file).take(32).read_to_string(&mut pid);
            let pid = pid.trim();
            let owner = if pid.is_empty() { "another process".to_owned() } else { format!("process {pid}") };
            return Err(StoreError::Locked(format!(
                "{} is in use by {owner}: stop that daemon first, or give this one another state folder",
                dir.display()
            )));
        }
        Err(errno) => return Err(what(errno.into())),
    }
    // The id is a courtesy to the reader of the message above: a full disk must not keep the store from opening.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
