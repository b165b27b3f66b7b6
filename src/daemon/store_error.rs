//! A store's failure as commands are told of it.

use graft_store::StoreError;
use graft_wire::{Code, Error};

/// The error of the interface for a failure of the store.
pub fn store_error(error: &StoreError) -> Error {
    let code = match error {
        StoreError::Full { .. } | StoreError::Io { .. } => Code::DiskFull,
        StoreError::Locked(_) => Code::Busy,
        StoreError::NotFound(_) => Code::NotFound,
        StoreError::Conflict(_) => Code::Conflict,
        StoreError::Invalid(_) => Code::BadRequest,
        StoreError::Corrupt(_) | StoreError::Newer { .. } => Code::Internal,
    };
    let mut answer = Error::new(code, error.to_string());
    answer.retryable = error.retryable();
    answer
}

/// Whether the failure says that there is no room, or that the disk fails.
pub fn is_disk(error: &StoreError) -> bool {
    matches!(error, StoreError::Full { .. } | StoreError::Io { .. })
}
