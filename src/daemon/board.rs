//! Facts about the board, read from `/proc` and `/sys`. What cannot be read is left out.

use std::fs;
use std::path::Path;

/// The board as it names itself: the device tree's model, else the processor.
pub fn name() -> String {
    let tree = fs::read_to_string("/proc/device-tree/model").ok();
    let cpu = || {
        let text = fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|l| l.starts_with("model name") || l.starts_with("Model"))?;
        Some(line.split_once(':')?.1.to_owned())
    };
    let name = tree.or_else(cpu).unwrap_or_default();
    let name = name.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    if name.is_empty() { std::env::consts::ARCH.to_owned() } else { name.to_owned() }
}

/// The hottest thermal zone, in degrees Celsius.
pub fn temperature_c() -> Option<f64> {
    let zones = fs::read_dir("/sys/class/thermal").ok()?;
    zones
        .flatten()
        .filter_map(|zone| fs::read_to_string(zone.path().join("temp")).ok()?.trim().parse::<f64>().ok())
        .map(|milli| milli / 1000.0)
        .filter(|c| (-50.0..200.0).contains(c))
        .reduce(f64::max)
}

/// Resident memory of this process, in bytes.
pub fn rss_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 =
        text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Bytes that this process has caused to be written to storage.
pub fn written_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}

/// Free space for us where `folder` lies, in bytes.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let fs = rustix::fs::statvfs(folder).ok()?;
    Some(fs.f_bavail.saturating_mul(fs.f_frsize))
}
