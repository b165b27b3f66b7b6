//! `graft host`: takes fine-tuning jobs over MQTT, receives their files over HTTP, lets the training engine do them,
//! checks the result with tract, signs it and gives it back. docs/guide/offload.md tells the story from outside.
//!
//! Everything that was promised is on disk before it is said: a job is one folder with one state file ([`book`]), and
//! each phase begins when what it builds on is there. So a host that was killed goes on where it was, and what it says
//! twice does no harm. The loop in [`run`] is the only place that decides.
#![forbid(unsafe_code)]

mod advance;
mod blobs;
mod book;
mod claims;
mod desk;
mod engine;
mod fleet;
mod folder;
mod heard;
mod http;
mod merge;
mod reconcile;
mod run;
mod settings;
mod status;
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

/// Gives a group of boards the backbone of this version; the running host tells them.
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
    fleet::Fleet::open(&settings.dir)?.assign(version, line, group, life(settings), &key)
}

/// From now on for as long as the settings say.
fn life(settings: &Settings) -> fleet::Life {
    let now = now_ms();
    let expires =
        now.saturating_add(i64::try_from(settings.offers.expires().as_millis()).unwrap_or(i64::MAX));
    fleet::Life { created: rfc3339(now), expires: rfc3339(expires) }
}

/// Milliseconds since 1970, by the clock of the machine.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A secret that nobody can guess: 64 letters and digits.
fn token() -> Result<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers from the kernel: {e}"))?;
    Ok(hex(&bytes))
}
