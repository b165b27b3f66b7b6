//! Facts about the board, read from `/proc` and `/sys`. What cannot be read is left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A board's view of itself. Cheap: nothing is kept open.
#[derive(Clone, Debug)]
pub struct Board {
    system: PathBuf,
}

/// Whether the board holds itself back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// It runs slower than it could, because of heat or power.
    pub slowed: bool,
    /// Its supply voltage is too low (Raspberry Pi says so).
    pub undervoltage: bool,
}

impl Board {
    /// The board whose `/proc` and `/sys` are below `system`: `/`, elsewhere in tests.
    pub fn below(system: &Path) -> Self {
        Self { system: system.to_owned() }
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.system.join(path)).ok()
    }

    /// Folders of `path` whose names begin so.
    fn folders(&self, path: &str, start: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.system.join(path)).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
            .map(|entry| entry.path())
            .collect()
    }

    /// The board as it names itself: the device tree's model, else the processor.
    pub fn name(&self) -> String {
        let tree = self.read("proc/device-tree/model");
        let cpu = || self.cpu_line(&["model name", "Model"]);
        let name = tree.or_else(cpu).unwrap_or_default();
        let name = name.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if name.is_empty() { std::env::consts::ARCH.to_owned() } else { name.to_owned() }
    }

    fn cpu_line(&self, names: &[&str]) -> Option<String> {
        let text = self.read("proc/cpuinfo")?;
        let line = text.lines().find(|line| names.iter().any(|name| line.starts_with(name)))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }

    /// What the processor says it can, in the kernel's words (`avx2`, `asimddp`).
    pub fn cpu_features(&self) -> Vec<String> {
        let line = self.cpu_line(&["flags", "Features"]).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// The hottest thermal zone, in degrees Celsius.
    pub fn temperature_c(&self) -> Option<f64> {
        self.folders("sys/class/thermal", "thermal_zone")
            .into_iter()
            .filter_map(|zone| fs::read_to_string(zone.join("temp")).ok()?.trim().parse::<f64>().ok())
            .map(|milli| milli / 1000.0)
            .filter(|celsius| (-50.0..200.0).contains(celsius))
            .reduce(f64::max)
    }

    /// Whether the board holds itself back; `None` where nothing tells.
    pub fn throttle(&self) -> Option<Throttle> {
        self.firmware_throttle().or_else(|| self.cooling())
    }

    /// Raspberry Pi: bit 0 undervoltage, 1 capped, 2 throttled, 3 soft temperature limit; all of them "now".
    fn firmware_throttle(&self) -> Option<Throttle> {
        let text = self.read("sys/devices/platform/soc/soc:firmware/get_throttled")?;
        let bits = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()?;
        Some(Throttle { slowed: bits & 0b1110 != 0, undervoltage: bits & 1 != 0 })
    }

    /// Elsewhere: a cooling device that works by slowing the processor is at work.
    fn cooling(&self) -> Option<Throttle> {
        let mut found = None;
        for device in self.folders("sys/class/thermal", "cooling_device") {
            let kind = fs::read_to_string(device.join("type")).unwrap_or_default().to_lowercase();
            let state = fs::read_to_string(device.join("cur_state")).ok();
            let Some(state) = state.and_then(|text| text.trim().parse::<u64>().ok()) else { continue };
            if kind.contains("cpufreq") || kind.contains("processor") {
                let throttle: &mut Throttle = found.get_or_insert_default();
                throttle.slowed |= state > 0;
            }
        }
        found
    }

    /// Resident memory of this process, in bytes.
    pub fn rss_bytes(&self) -> Option<u64> {
        let text = self.read("proc/self/status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    }

    /// Bytes that this process has caused to be written to storage.
    pub fn written_bytes(&self) -> Option<u64> {
        let text = self.read("proc/self/io")?;
        text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
    }
}

/// Processor time of this process so far, all threads and cores together.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Free space for us where `folder` lies, in bytes.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let fs = rustix::fs::statvfs(folder).ok()?;
    Some(fs.f_bavail.saturating_mul(fs.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Board) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let board = Board::below(dir.path());
        (dir, board)
    }

    #[test]
    fn the_hottest_zone_counts_and_broken_sensors_do_not() {
        let (_dir, board) = tree(&[
            ("sys/class/thermal/thermal_zone0/temp", "45000\n"),
            ("sys/class/thermal/thermal_zone1/temp", "71500\n"),
            ("sys/class/thermal/thermal_zone2/temp", "-274000\n"),
            ("sys/class/thermal/thermal_zone3/temp", "broken\n"),
            ("sys/class/thermal/cooling_device0/temp", "99000\n"),
        ]);
        assert_eq!(board.temperature_c(), Some(71.5));
        assert_eq!(tree(&[]).1.temperature_c(), None);
    }

    #[test]
    fn a_raspberry_pi_tells_heat_from_weak_power() {
        let firmware = "sys/devices/platform/soc/soc:firmware/get_throttled";
        for (text, slowed, undervoltage) in [
            ("0\n", false, false),
            ("50000\n", false, false),
            ("50005\n", true, true),
            ("1\n", false, true),
            ("8\n", true, false),
        ] {
            let (_dir, board) = tree(&[(firmware, text)]);
            assert_eq!(board.throttle(), Some(Throttle { slowed, undervoltage }), "{text}");
        }
    }

    #[test]
    fn elsewhere_cooling_by_a_slower_processor_counts_and_a_fan_does_not() {
        let device = |number: u8, kind: &'static str, state: &'static str| {
            [
                (format!("sys/class/thermal/cooling_device{number}/type"), kind),
                (format!("sys/class/thermal/cooling_device{number}/cur_state"), state),
            ]
        };
        let throttle = |devices: &[[(String, &'static str); 2]]| {
            let files: Vec<(&str, &str)> =
                devices.iter().flatten().map(|(path, text)| (path.as_str(), *text)).collect();
            let (_dir, board) = tree(&files);
            board.throttle().map(|throttle| throttle.slowed)
        };
        assert_eq!(throttle(&[device(0, "pwm-fan", "3")]), None);
        assert_eq!(throttle(&[device(0, "thermal-cpufreq-0", "0"), device(1, "pwm-fan", "3")]), Some(false));
        assert_eq!(throttle(&[device(0, "Processor", "0"), device(1, "Processor", "2")]), Some(true));
    }

    #[test]
    fn work_takes_processor_time() {
        let before = cpu_time();
        let mut sum = 0u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time() > before);
    }

    #[test]
    fn a_board_names_itself() {
        let (_dir, board) = tree(&[("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")]);
        assert_eq!(board.name(), "Raspberry Pi 5 Model B Rev 1.0");
        let (_dir, board) =
            tree(&[("proc/cpuinfo", "processor : 0\nFeatures : fp asimd asimddp\nModel : Some board\n")]);
        assert_eq!(board.name(), "Some board");
        assert_eq!(board.cpu_features(), ["fp", "asimd", "asimddp"]);
        assert_eq!(tree(&[]).1.name(), std::env::consts::ARCH);
    }
}
