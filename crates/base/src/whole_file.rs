//! Files that are there whole or not at all: written beside, made durable, then given their name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `path` with this mode; after a power cut it holds the old bytes or the new ones.
///
/// # Errors
/// What the system said; then the old bytes are there.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = Path::new(&fresh);
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    place(fresh, path)
}

/// Gives a durable file its name, durably.
///
/// # Errors
/// What the system said.
pub fn place(fresh: &Path, path: &Path) -> io::Result<()> {
    fs::rename(fresh, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
