//! `graft host`: takes fine-tuning jobs over MQTT, receives their files over HTTP, lets the training engine do them,
//! checks the result with tract, signs it and gives it back. docs/guide/offload.md tells the story from outside.
//!
//! [`decide`] is the one place that decides: pure, over events and actions. [`run`] gives it what comes in, `executor`
//! carries out what it says. A job is one folder with one record; nothing is promised before that is on disk. So a host
//! that was killed goes on where it was, and what it says twice does no harm.
#![forbid(unsafe_code)]

mod blobs;
mod decide;
mod engine;
mod executor;
mod fleet;
mod group;
mod http;
mod incoming;
mod job;
mod job_folder;
mod merge;
mod records;
mod run;
mod settings;
mod status;
mod storage;
mod uploads;
mod verify;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

pub use merge::merge;
pub use run::run;
pub use settings::{DEFAULTS, Settings};
pub use status::{Status, status};

use graft_base::key_file;
use graft_wire::backbone_manifest::BackboneManifest;
use graft_wire::digest::hex;
use graft_wire::timestamp::rfc3339;
use graft_wire::{Key, PublicKey};

/// The key of a host, made where there is none yet.
///
/// # Errors
/// When it cannot be read or written.
pub fn key(dir: &Path) -> Result<Key> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    key_file::load_or_make(&dir.join("host.key"))
}

/// The public half, for boards to pin.
///
/// # Errors
/// As [`key`].
pub fn public_key(dir: &Path) -> Result<PublicKey> {
    Ok(key(dir)?.public())
}

/// Assigns a group of boards the backbone of this version; the running host sends it to them.
///
/// # Errors
/// When there is no such version, or nothing can be written.
pub fn assign(
    settings: &Settings,
    version: u64,
    line: Option<&str>,
    group: &str,
) -> Result<BackboneManifest> {
    let key = key(&settings.dir)?;
    let validity = validity(settings, now_ms());
    fleet::Fleet::open(&settings.dir)?.assign(version, line, group, validity, &key)
}

/// When a manifest that is signed now is made, and when it expires, RFC 3339.
fn validity(settings: &Settings, now_ms: i64) -> (String, String) {
    let days = i64::try_from(settings.offers.expires().as_millis()).unwrap_or(i64::MAX);
    (rfc3339(now_ms), rfc3339(now_ms.saturating_add(days)))
}

/// Milliseconds since 1970, by the clock of the machine.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A bearer token: 256 random bits in 64 hexadecimal digits.
fn random_token() -> Result<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers from the kernel: {e}"))?;
    Ok(hex(&bytes))
}
