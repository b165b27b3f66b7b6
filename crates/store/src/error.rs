//! What can go wrong in the store, and whether trying again can help.

use rusqlite::ErrorCode;

/// Which bound was hit by [`StoreError::Full`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The store's own quota.
    Quota,
    /// The floor of free space kept on the file system.
    FreeSpace,
    /// The file system itself (ENOSPC, EDQUOT).
    Disk,
}

/// What kind of input/output error it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoKind {
    /// The file system is mounted read-only (EROFS).
    ReadOnly,
    Denied,
    /// A write, flush or read failed (EIO and the like).
    Failed,
}

/// An error of the store. Whatever it is, nothing was acknowledged and nothing of the operation stays visible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room. The message names the bound and what to do.
    #[error("{message}")]
    Full {
        bound: Bound,
        /// For people.
        message: String,
    },
    /// Another process holds the store or the database.
    #[error("{0}")]
    Locked(String),
    /// No such class, sample, head or key.
    #[error("{0}")]
    NotFound(String),
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// The database or a stored file does not pass its checks.
    #[error("{0}")]
    Corrupt(String),
    /// The file system failed. The connection was closed; the next call opens it again.
    #[error("{message}")]
    Io {
        kind: IoKind,
        /// For people.
        message: String,
    },
    /// The input breaks a rule; the message says which and what is allowed.
    #[error("{0}")]
    Invalid(String),
    /// The database was written by a newer graft. It was not touched.
    #[error(
        "{path} has schema {found}, this graft knows schemas up to {known}: install the newer graft again, or start with another state folder"
    )]
    Newer {
        path: String,
        found: i64,
        /// The newest schema number this program knows.
        known: i64,
    },
}

impl StoreError {
    /// Whether the same call can succeed later without a change of the request.
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Locked(_) | Self::Io { .. })
    }

    /// Whether the connection that saw this error must not be used again.
    pub(super) fn closes(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Corrupt(_))
    }

    /// An error of a plain file operation; `what` names the file and the action.
    pub(super) fn file(what: impl std::fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        match error.kind() {
            K::StorageFull | K::QuotaExceeded => Self::disk_full(),
            K::FileTooLarge => Self::Full {
                bound: Bound::Disk,
                message: format!("{what}: file too large: raise the file size limit of the process"),
            },
            K::ReadOnlyFilesystem => Self::Io {
                kind: IoKind::ReadOnly,
                message: format!(
                    "{what}: the file system is read-only: remount it writable (and check the medium)"
                ),
            },
            K::PermissionDenied => Self::Io {
                kind: IoKind::Denied,
                message: format!("{what}: permission denied: the state folder must belong to graft's user"),
            },
            _ => Self::Io { kind: IoKind::Failed, message: format!("{what}: {error}") },
        }
    }

    pub(super) fn disk_full() -> Self {
        Self::Full {
            bound: Bound::Disk,
            message: "the disk is full: free space on it, or delete samples and let the store purge them"
                .into(),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        let text = error.to_string();
        match &error {
            E::SqliteFailure(cause, _) => from_code(cause.code, cause.extended_code, text),
            E::SqlInputError { error, .. } => from_code(error.code, error.extended_code, text),
            E::QueryReturnedNoRows => Self::NotFound("no such row in the database".into()),
            // A column of the wrong type or unreadable text: this program never writes such a row.
            E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
            | E::InvalidColumnType(..) => {
                Self::Corrupt(format!("the database holds an impossible value: {text}"))
            }
            _ => Self::Invalid(format!("the database refused a statement: {text}")),
        }
    }
}

fn from_code(code: ErrorCode, extended: i32, text: String) -> StoreError {
    match code {
        ErrorCode::DiskFull => StoreError::disk_full(),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Locked(format!(
            "the database is in use by another program ({text}): close it (an open sqlite3 shell, a backup) and try again"
        )),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(format!(
            "the database is damaged ({text}): restart graft, it moves the file aside"
        )),
        ErrorCode::ReadOnly => StoreError::Io {
            kind: IoKind::ReadOnly,
            message: format!("the database cannot be written ({text}): remount the file system writable"),
        },
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => StoreError::Io {
            kind: IoKind::Denied,
            message: format!("the database cannot be opened ({text}): it must belong to graft's user"),
        },
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::FileLockingProtocolFailed => {
            StoreError::Io {
                kind: IoKind::Failed,
                message: format!(
                    "the file system failed under the database ({text}, code {extended}): check the medium"
                ),
            }
        }
        ErrorCode::ConstraintViolation => {
            StoreError::Conflict(format!("the database refused the change: {text}"))
        }
        ErrorCode::TooBig => StoreError::Invalid(format!("a value is too large for the database: {text}")),
        _ => StoreError::Io {
            kind: IoKind::Failed,
            message: format!("the database failed ({text}, code {extended})"),
        },
    }
}
