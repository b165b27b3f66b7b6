//! Replaces a damaged database by a fresh one that holds what could be saved. Whatever interrupts this, the next start
//! goes on from the state that it finds.
//!
//! 1. `graft.db` with its log stays in place and is only read. What can be saved is written to `graft.db.rescue`, which
//!    means nothing yet: a start throws away the one that it finds.
//! 2. Complete and flushed, that file becomes `graft.db.rescued-<n>`. This one rename decides: from now on the damaged
//!    database is the old one.
//! 3. The damaged database and its log move to `graft.db.corrupt-<n>`, all under the number in the name of step 2.
//! 4. `graft.db.rescued-<n>` becomes `graft.db`.
//!
//! The folder is flushed between the steps: the new database must never meet the old log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::recover::DB;
use super::{FreeSpace, Limits, StoreError, recover, salvage, schema, spare, state};

/// The file of step 1.
const BUILDING: &str = "graft.db.rescue";
/// The file of step 2, up to its number.
const COMPLETE: &str = "graft.db.rescued-";
/// What SQLite keeps beside a database; the database itself first.
const PARTS: [&str; 4] = ["", "-wal", "-shm", "-journal"];
/// The key in `state` under which the rescued database says that it is one, until a start has told it.
pub(super) const REPORT: &str = "rescue";

/// What a start has to tell about a rescue, also if an earlier one carried it out.
#[derive(Serialize, Deserialize)]
pub(super) struct Report {
    number: u32,
    /// What was wrong with the damaged database.
    pub reason: String,
    /// Samples copied over.
    pub samples_saved: usize,
    /// The head version that serves again.
    pub head_saved: Option<i64>,
}

impl Report {
    /// Where the damaged database lies.
    pub(super) fn damaged(&self, dir: &Path) -> PathBuf {
        corrupt(dir, self.number, "")
    }
}

/// Finishes what an earlier start began: takes a complete rescue over, throws an incomplete one away. Call it before the
/// database is looked at.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Conflict`] when another program has made a database in between.
pub(super) fn resume(dir: &Path) -> Result<(), StoreError> {
    if let Some(number) = complete(dir)? {
        take_over(dir, number)?;
    }
    PARTS.iter().try_for_each(|part| remove(&dir.join(format!("{BUILDING}{part}"))))
}

/// Steps 1 and 2. Returns the number of the rescue. Samples are left behind where their copies would take the free space
/// below its floor.
///
/// # Errors
/// Failures of the fresh database; the damaged one is as it was, and the next start tries again.
pub(super) fn build(
    dir: &Path,
    reason: String,
    limits: &Limits,
    free: &FreeSpace,
) -> Result<u32, StoreError> {
    let number = free_number(dir)?;
    let room = free(dir).is_ok_and(|free| {
        let size = fs::metadata(dir.join(DB)).map_or(0, |file| file.len());
        free.saturating_sub(size) > limits.free_floor_bytes
    });
    let path = dir.join(BUILDING);
    let built = fill(dir, &path, Report { number, reason, samples_saved: 0, head_saved: None }, room);
    if let Err(error) = built {
        // Its space may be what the next try needs.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    rename(&path, &dir.join(format!("{COMPLETE}{number}")))?;
    recover::flush_folder(dir)?;
    Ok(number)
}

/// Steps 3 and 4, from wherever they stand. Nothing is deleted.
///
/// # Errors
/// See [`resume`].
pub(super) fn take_over(dir: &Path, number: u32) -> Result<(), StoreError> {
    for part in PARTS {
        let (from, to) = (dir.join(format!("{DB}{part}")), corrupt(dir, number, part));
        if !from.exists() {
            continue;
        }
        if to.exists() {
            return Err(StoreError::Conflict(format!(
                "{} and {} both exist: another program made a database while a damaged one was being replaced; \
                 move the first one out of the folder and start again",
                from.display(),
                to.display()
            )));
        }
        rename(&from, &to)?;
    }
    recover::flush_folder(dir)?;
    // The suspicion was about the database that is gone now.
    recover::clear_suspect(dir)?;
    rename(&dir.join(format!("{COMPLETE}{number}")), &dir.join(DB))?;
    recover::flush_folder(dir)
}

/// What a database says about its own rescue.
///
/// # Errors
/// What SQLite says.
pub(super) fn report(conn: &Connection) -> Result<Option<Report>, StoreError> {
    Ok(state::get(conn, REPORT)?.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Makes the fresh database at `path`, whole and flushed.
fn fill(dir: &Path, path: &Path, mut report: Report, with_samples: bool) -> Result<(), StoreError> {
    recover::create_database_file(path)?;
    let what = |error| StoreError::file(format_args!("writing {}", path.display()), &error);
    // Open from before the first write, so that the flush at the end hears of any write that failed.
    let file = File::open(path).map_err(what)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    // An interrupted file is thrown away: it needs no journal on the disk, and one flush at its end.
    conn.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024;",
    )?;
    conn.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
    schema::migrate(&mut conn, &path.display().to_string())?;
    report.samples_saved = salvage::salvage(&mut conn, &dir.join(DB), with_samples)?;
    report.head_saved = spare::restore(dir, &mut conn)?;
    let text = serde_json::to_string(&report)
        .map_err(|error| StoreError::Invalid(format!("the rescue cannot be reported: {error}")))?;
    conn.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?1, ?2)", [REPORT, &text])?;
    conn.close().map_err(|(_, error)| StoreError::from(error))?;
    file.sync_all().map_err(what)
}

/// The number of a rescue that is complete and not yet taken over.
fn complete(dir: &Path) -> Result<Option<u32>, StoreError> {
    let what = |error| StoreError::file(format_args!("listing {}", dir.display()), &error);
    for entry in fs::read_dir(dir).map_err(what)? {
        let name = entry.map_err(what)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(COMPLETE)?.parse().ok());
        if number.is_some() {
            return Ok(number);
        }
    }
    Ok(None)
}

fn corrupt(dir: &Path, number: u32, part: &str) -> PathBuf {
    dir.join(format!("{DB}.corrupt-{number}{part}"))
}

fn free_number(dir: &Path) -> Result<u32, StoreError> {
    (1..10_000).find(|&n| PARTS.iter().all(|part| !corrupt(dir, n, part).exists())).ok_or_else(|| {
        StoreError::Conflict(format!(
            "{} holds 9999 damaged databases: copy them away, and replace the medium",
            dir.display()
        ))
    })
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|error| {
        StoreError::file(format_args!("renaming {} to {}", from.display(), to.display()), &error)
    })
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::file(format_args!("removing {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}
