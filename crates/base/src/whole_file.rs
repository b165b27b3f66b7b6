//! Atomic file writes: a temporary file in the same folder is written, synced and renamed.

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
    file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| place(fresh, path)).inspect_err(|_| {
        // Its space may be what is missing.
        let _ = fs::remove_file(fresh);
    })
}

/// Gives a durable file its name, durably.
///
/// # Errors
/// What the system said.
pub fn place(fresh: &Path, path: &Path) -> io::Result<()> {
    fs::rename(fresh, path)?;
    File::open(folder(path))?.sync_all()
}

/// The folder that a file lies in: `.` for a bare name, whose parent is the empty path, which cannot be opened.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_lies_in_the_folder_that_one_is_in() {
        assert_eq!(folder(Path::new("head.safetensors")), Path::new("."));
        assert_eq!(folder(Path::new("a/head.safetensors")), Path::new("a"));
        assert_eq!(folder(Path::new("/head.safetensors")), Path::new("/"));
    }

    #[test]
    fn a_bare_name_is_written_too() {
        // The folder that tests run in belongs to the project: the file goes away again.
        let name = format!("whole-file-test-{}", std::process::id());
        let outcome = write(Path::new(&name), b"bytes", 0o600);
        let read = fs::read(&name);
        let _ = fs::remove_file(&name);
        outcome.unwrap();
        assert_eq!(read.unwrap(), b"bytes");
    }
}
