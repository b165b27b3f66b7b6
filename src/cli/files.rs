//! Files that commands read and write.

use super::Usage;
use anyhow::{Context, Result};
use graft_base::whole_file;
use std::path::Path;

/// Reads a file of a bounded size.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let says = || format!("{} cannot be read", path.display());
    let meta = std::fs::metadata(path).with_context(says)?;
    if !meta.is_file() || meta.len() > most {
        return Err(Usage(format!("{} is no file of at most {most} bytes", path.display())).into());
    }
    std::fs::read(path).with_context(says)
}

/// Writes a file that is there whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    whole_file::write(path, bytes, 0o644)
        .with_context(|| format!("cannot write {}; check the folder and the free space", path.display()))
}
