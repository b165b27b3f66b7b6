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

impl Clock {
    /// Starts counting.
    pub fn new() -> anyhow::Result<Self> {
        let mut bytes = [0u8; 8];
        getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("no random numbers from the kernel: {e}"))?;
        let boot_id = bytes.iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { start: Instant::now(), boot_id })
    }

    /// Time since the start; never goes back.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
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
