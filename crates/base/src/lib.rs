//! What several crates need of the system: atomic file writes, child processes, panics of third-party code, folders of
//! pictures, an HTTP client, signing keys on disk, frames as plain values, and notifications to systemd.
#![forbid(unsafe_code)]

pub mod child;
pub mod contain;
pub mod frame;
pub mod http;
pub mod key_file;
pub mod names;
pub mod pictures;
pub mod systemd;
pub mod whole_file;
