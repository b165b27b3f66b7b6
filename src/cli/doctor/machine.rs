//! The board itself: processor, heat, power, clock, disk.

use super::Finding;
use crate::board::{self, Board, Throttle};
use crate::config::{Settings, bytes_text};
use crate::daemon::Clock;
use std::path::Path;

/// What makes a network quick, by the kernel's names, and what to expect without it.
const QUICK: [&str; 4] = ["avx2", "fma", "asimdhp", "asimddp"];

/// The instructions that count for a network.
pub fn processor(board: &Board) -> Finding {
    let features = board.cpu_features();
    let has: Vec<&str> = QUICK.into_iter().filter(|name| features.iter().any(|f| f == name)).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{}, {cores} cores, {}", board.name(), std::env::consts::ARCH);
    if has.is_empty() {
        let plain = format!("{found}; none of {}", QUICK.join(", "));
        return Finding::warn(
            "processor",
            plain,
            "it works, slowly: take a small backbone and look at its time below",
        );
    }
    Finding::ok("processor", format!("{found}, {}", has.join(" ")))
}

/// Temperature, and whether heat or weak power slow the board down.
pub fn heat(board: &Board, settings: &Settings) -> Vec<Finding> {
    let budget = &settings.budget;
    let mut findings = vec![match board.temperature_c() {
        None => Finding::ok("temperature", "no sensor: rounds are not held back by heat"),
        Some(celsius) if celsius >= budget.pause_c => Finding::fail(
            "temperature",
            format!("{celsius:.0} °C: no round runs from {:.0} °C on", budget.pause_c),
            "give it a heat sink, a fan or shade; budget.pause_c is the limit",
        ),
        Some(celsius) if celsius > budget.resume_c => Finding::warn(
            "temperature",
            format!("{celsius:.0} °C, near the limit of {:.0} °C", budget.pause_c),
            "give it a heat sink, a fan or shade before the summer does it",
        ),
        Some(celsius) => Finding::ok("temperature", format!("{celsius:.0} °C")),
    }];
    if let Some(Throttle { slowed, undervoltage }) = board.throttle() {
        findings.push(if undervoltage {
            let remedy = "use the board's own power supply and a short, thick cable";
            Finding::fail("power", "the supply voltage is too low", remedy)
        } else if slowed {
            let remedy = "cool the board, or lower camera.fps";
            Finding::warn("power", "the board slows itself down", remedy)
        } else {
            Finding::ok("power", "not throttled")
        });
    }
    findings
}

/// Whether wall time can be believed.
pub fn clock() -> Finding {
    match Clock::new() {
        Ok(clock) if clock.synced() => Finding::ok("clock", "set"),
        _ => Finding::warn(
            "clock",
            "not set from the network yet: times are marked as unsure, and TLS certificates may seem invalid",
            "sudo timedatectl set-ntp true, and let the board reach a time server",
        ),
    }
}

/// The state folder can be written, and the disk has room.
pub fn state_folder(settings: &Settings) -> Vec<Finding> {
    let folder = &settings.store.dir;
    let shown = folder.display();
    let mut findings = vec![match try_writing(folder) {
        Err(error) => Finding::fail(
            "state folder",
            format!("{shown}: {error}"),
            format!(
                "as the daemon's user: sudo -u graft graft doctor; or give it the folder: sudo install -d -o graft -g graft \
                 -m 750 {shown}"
            ),
        ),
        Ok(()) => Finding::ok("state folder", format!("{shown} can be written")),
    }];
    let near = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let floor = settings.store.free_floor_bytes;
    findings.push(match board::free_bytes(near) {
        None => {
            Finding::warn("disk", format!("{}: free space unknown", near.display()), "look at it with df -h")
        }
        Some(free) => {
            let found = format!("{} free, {} are left alone", bytes_text(free), bytes_text(floor));
            let remedy = "make room, or set store.dir to a larger disk; store.free_floor is what stays free";
            if free < floor {
                Finding::fail("disk", found, remedy)
            } else if free < floor.saturating_mul(2) {
                Finding::warn("disk", found, remedy)
            } else {
                Finding::ok("disk", found)
            }
        }
    });
    findings
}

/// Writes a file into the folder, or the nearest one that is there, and takes it away again.
fn try_writing(folder: &Path) -> std::io::Result<()> {
    let near = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let file = near.join(format!(".graft-doctor-{}", std::process::id()));
    std::fs::write(&file, b"")?;
    std::fs::remove_file(&file)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::{Sources, Surroundings, load};
    use std::fs;

    fn settings(system: &Path, set: &[&str]) -> Settings {
        let mut set: Vec<String> = set.iter().map(ToString::to_string).collect();
        set.extend(["device.id=d".into(), format!("store.dir={}", system.join("state").display())]);
        let surroundings =
            Surroundings { variables: Default::default(), root: false, system: system.to_owned() };
        load(&Sources { file: None, set, surroundings }).unwrap()
    }

    #[test]
    fn heat_and_weak_power_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let zone = dir.path().join("sys/class/thermal/thermal_zone0");
        let firmware = dir.path().join("sys/devices/platform/soc/soc:firmware");
        fs::create_dir_all(&zone).unwrap();
        fs::create_dir_all(&firmware).unwrap();
        let (board, settings) = (Board::below(dir.path()), settings(dir.path(), &[]));
        for (milli, bits, verdicts) in [
            ("60000", "0", [Verdict::Ok, Verdict::Ok]),
            ("75000", "50000", [Verdict::Warn, Verdict::Ok]),
            ("81000", "8", [Verdict::Fail, Verdict::Warn]),
            ("60000", "1", [Verdict::Ok, Verdict::Fail]),
        ] {
            fs::write(zone.join("temp"), milli).unwrap();
            fs::write(firmware.join("get_throttled"), bits).unwrap();
            let findings = heat(&board, &settings);
            assert_eq!(findings.iter().map(|f| f.verdict).collect::<Vec<_>>(), verdicts, "{milli} {bits}");
            assert!(findings.iter().all(|f| (f.verdict == Verdict::Ok) == f.remedy.is_empty()));
        }
    }

    #[test]
    fn a_full_disk_and_a_folder_that_is_none_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let good = state_folder(&settings(dir.path(), &["store.free_floor=0 B"]));
        assert_eq!(good.iter().map(|f| f.verdict).collect::<Vec<_>>(), [Verdict::Ok, Verdict::Ok]);
        let full = state_folder(&settings(dir.path(), &["store.free_floor=100 TB"]));
        assert_eq!(full[1].verdict, Verdict::Fail);
        fs::write(dir.path().join("state"), "a file").unwrap();
        let wrong = state_folder(&settings(dir.path(), &["store.free_floor=0 B"]));
        assert_eq!(wrong[0].verdict, Verdict::Fail, "{wrong:?}");
    }

    #[test]
    fn a_processor_without_vector_units_is_said_to_be_slow() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc")).unwrap();
        let board = Board::below(dir.path());
        assert_eq!(processor(&board).verdict, Verdict::Warn);
        fs::write(dir.path().join("proc/cpuinfo"), "Features : fp asimd asimddp\n").unwrap();
        assert_eq!(processor(&board).verdict, Verdict::Ok);
    }
}
