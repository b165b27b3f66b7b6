//! The file of a backbone: reading it, and what is known of every one.

use std::io::Read;
use std::path::Path;

use graft_wire::digest::hex;
use sha2::{Digest, Sha256};

use super::BackboneError;
use super::scan::{Limits, ScanError};

/// An embedding has at most this many numbers.
pub const MAX_WIDTH: usize = 65_536;

/// Reads a regular file of a size that can be an ONNX backbone.
///
/// # Errors
/// When it cannot be read, is no regular file, or is too large.
pub fn read_file(path: &Path) -> Result<Vec<u8>, BackboneError> {
    let unreadable = |source| BackboneError::Read { path: path.into(), source };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(unreadable(std::io::Error::other("it is no regular file")));
    }
    let limit = Limits::default().file_bytes;
    if about.len() > limit {
        return Err(ScanError::TooLarge { bytes: about.len(), limit }.into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// SHA-256 of bytes, in hexadecimal digits alone, as a card has it.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
