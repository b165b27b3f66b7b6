//! The one integration binary: each module starts the real thing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod commands;
mod crash;
mod documents;
mod heads;
mod honesty;
#[cfg(feature = "host")]
mod host;
mod offload;
mod ops;
mod page;
mod service;
mod stream;
mod support;
mod systemd;
mod tidy;

/// Where the measuring material lies, if it is there: `$GRAFT_SHARED`, else `../shared`.
pub fn shared() -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("GRAFT_SHARED").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        std::path::PathBuf::from,
    );
    folder.join("data").is_dir().then_some(folder)
}

/// Whether the slow tests are wanted (`make test-full`).
pub fn full() -> bool {
    std::env::var_os("GRAFT_TEST_FULL").is_some()
}
