//! The clocks: monotonic for durations and order, wall time for people.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// This source was written at the start of 2026: a wall clock before it is wrong.
const NEVER_BEFORE_MS: i64 = 1_767_225_600_000;

/// This start of the daemon.
pub struct Clock {
    start: Instant,
    /// Random, new at each start; orders messages together with a counter.
    pub boot_id: String,
}

/// The time of one event, read once by the loop. No component reads a clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock, comparable with the time of a frame.
    pub at: Instant,
    /// Time since the start; never goes back.
    pub uptime: Duration,
    /// Wall time in milliseconds since 1970. It may jump; nothing is decided by it unless `synced`.
    pub wall_ms: i64,
    /// Whether wall time can be believed.
    pub synced: bool,
}

impl Clock {
    /// Starts counting.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub fn new() -> anyhow::Result<Self> {
        let mut bytes = [0u8; 8];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers from the kernel: {e}"))?;
        let boot_id = bytes.iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { start: Instant::now(), boot_id })
    }

    /// The present time by every clock.
    pub fn read(&self) -> Now {
        let at = Instant::now();
        let uptime = at.saturating_duration_since(self.start);
        Now { at, uptime, wall_ms: self.wall_ms(), synced: self.synced() }
    }

    /// Wall time in milliseconds since 1970. It may jump; nothing is decided by it.
    pub fn wall_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(0))
    }

    /// Whether wall time can be believed: it is not before this program was written, and the time
    /// service, if systemd's runs here, has said so.
    pub fn synced(&self) -> bool {
        let service = std::path::Path::new("/run/systemd/timesync");
        self.wall_ms() >= NEVER_BEFORE_MS && (!service.exists() || service.join("synchronized").exists())
    }
}
