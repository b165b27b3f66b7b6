//! Offends on purpose against `crates/pure-clippy.toml`. Where clippy does not read that file for this crate, nothing is
//! forbidden, and the expectations below are what it complains of.
#![allow(dead_code, reason = "nobody calls them")]

#[expect(clippy::disallowed_methods)]
fn a_file_under_another_name() {
    use std::{env, fs as disk};
    let _ = disk::read("a");
    let _ = env::var_os("A");
}

#[expect(clippy::disallowed_methods, clippy::disallowed_types)]
fn a_clock(since: std::time::Instant) -> std::time::Duration {
    since.elapsed()
}

#[expect(clippy::disallowed_types)]
fn a_socket(_: std::net::UdpSocket) {}

#[expect(clippy::disallowed_macros)]
fn a_word() {
    println!("a");
}
