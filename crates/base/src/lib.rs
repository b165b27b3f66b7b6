//! What several crates need of the system: whole files, signing keys on disk, frames as plain values, and what the
//! service manager is told.
#![forbid(unsafe_code)]

pub mod frame;
pub mod key_file;
pub mod systemd;
pub mod whole_file;
