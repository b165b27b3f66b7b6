//! Files by digest: the one way in which bytes are named between board and host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::is_digest;

/// A file, named by what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// `sha256:<hex>` of its bytes.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Its size in bytes.
    #[schemars(range(min = 1))]
    pub size: u64,
}

impl Blob {
    /// The blob of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: crate::digest::sha256(bytes), size: bytes.len() as u64 }
    }

    /// Whether digest and size are well-formed.
    pub fn is_well_formed(&self) -> bool {
        is_digest(&self.digest) && (1..=i64::MAX as u64).contains(&self.size)
    }

    /// The 64 hex digits: its name in addresses and folders. Only for a well-formed blob.
    pub fn hex(&self) -> &str {
        hex_of(&self.digest)
    }
}

/// The hex digits of a digest, as addresses (`/v1/blobs/<hex>`) and file names have them.
pub fn hex_of(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}
