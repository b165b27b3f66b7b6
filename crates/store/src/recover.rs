//! What to do with files that a failing medium left behind: flushes, a new log, the mark of suspicion.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use graft_base::whole_file;

use super::StoreError;

/// The database file inside the state folder.
pub(super) const DB: &str = "graft.db";
const SUSPECT: &str = "graft.db.suspect";

/// Flushes a folder's entries. SQLite does this itself at creation but ignores the error.
pub(super) fn flush_folder(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StoreError::file(format_args!("flushing {}", dir.display()), &error))
}

/// Makes an empty 0600 file (SQLite gives its `-wal` and `-shm` the same mode) or tightens an existing one.
pub(super) fn create_database_file(path: &Path) -> Result<(), StoreError> {
    let what = |error| StoreError::file(format_args!("creating {}", path.display()), &error);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file.sync_all().map_err(what),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(what)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(what)?;
            }
            Ok(())
        }
        Err(error) => Err(what(error)),
    }
}

/// Writes a file so that a reader sees the old bytes or the new ones, and flushes file and folder.
pub(super) fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    whole_file::write(path, bytes, mode)
        .map_err(|error| StoreError::file(format_args!("writing {}", path.display()), &error))
}

/// After a failed flush the kernel may show log bytes that never reached the disk, and a second flush of the same file
/// would claim success. Every byte of the log is therefore written again, to a new file, before the database is opened
/// on it. The database file needs no such care: a checkpoint that failed is repeated in full from the log.
///
/// Call only with no connection open.
///
/// # Errors
/// [`StoreError::Io`] or [`StoreError::Full`] while the medium still fails; the old log is left as it was.
pub(super) fn renew_wal(dir: &Path) -> Result<(), StoreError> {
    let wal = dir.join(format!("{DB}-wal"));
    let bytes = match fs::read(&wal) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::file(format_args!("reading {}", wal.display()), &error)),
    };
    replace_file(&wal, &bytes, 0o600)?;
    // The index belongs to the old log; SQLite builds it again.
    match fs::remove_file(dir.join(format!("{DB}-shm"))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::file("removing the old log index", &error))
        }
        _ => Ok(()),
    }
}

/// A state that SQLite would silently take for an empty database, throwing the log away.
pub(super) fn torn(dir: &Path) -> Option<String> {
    let wal = fs::metadata(dir.join(format!("{DB}-wal"))).map_or(0, |file| file.len());
    let main = fs::metadata(dir.join(DB)).map_or(0, |file| file.len());
    (main == 0 && wal > 0).then(|| format!("{DB} is empty or missing, but its log holds {wal} bytes"))
}

/// Asks the next start for a full check: a read found damage.
pub(super) fn mark_suspect(dir: &Path) {
    let _ = File::create(dir.join(SUSPECT)).and_then(|file| file.sync_all());
}

pub(super) fn is_suspect(dir: &Path) -> bool {
    dir.join(SUSPECT).exists()
}

pub(super) fn clear_suspect(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_file(dir.join(SUSPECT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::file("removing the suspicion mark", &error))
        }
        _ => Ok(()),
    }
}
