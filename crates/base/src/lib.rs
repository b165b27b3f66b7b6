//! What several crates need of the system: files that are there whole or not at all, child processes, panics of foreign code,
//! folders of pictures, downloads, waits between attempts, signing keys on disk, frames as plain values, and what the
//! service manager is told.
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
