//! kill -9 of a child that labels (F1). The child is this test binary again.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;
use crate::Opened;

const ROLE: &str = "GRAFT_STORE_CHILD";
const FOLDER: &str = "GRAFT_STORE_FOLDER";

/// A command that runs one of the child roles below in this test binary.
pub fn child(wrap: &[&str], role: &str, folder: &Path) -> Command {
    let own = std::env::current_exe().expect("the test binary");
    let name = concat!(module_path!(), "::the_child").split_once("::").expect("a path").1;
    let own = own.to_str().expect("a name in UTF-8");
    // Where these tests are emulated, so is the child.
    let emulator = std::env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER");
    let emulator = emulator.as_deref().ok().filter(|_| cfg!(target_arch = "aarch64"));
    let mut parts: Vec<&str> = wrap.iter().copied().chain(emulator).collect();
    parts.extend([own, "--exact", name, "--nocapture", "--test-threads=1"]);
    let mut command = Command::new(parts[0]);
    command
        .args(&parts[1..])
        .env(ROLE, role)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Not a test of its own: does what the environment names, as a child of the other tests.
#[test]
fn the_child() {
    let (Ok(role), Ok(folder)) = (std::env::var(ROLE), std::env::var(FOLDER)) else { return };
    match role.as_str() {
        "label" => label_for_ever(Path::new(&folder)),
        "rescue" => super::rescue::start(Path::new(&folder)),
        "faults" => super::faults::session(Path::new(&folder)),
        other => panic!("no role {other}"),
    }
}

pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The parent may be gone.
    let _ = writeln!(out, "\n{line}").and_then(|()| out.flush());
}

fn label_for_ever(folder: &Path) {
    let mut store = open(folder);
    store.ensure_class("ok", NOW).expect("a class");
    let first = store.counts().expect("counts").rev as u64 * 10;
    for n in 0..100_000 {
        let group: Vec<_> = (0..3).map(|i| large("ok", first + n * 3 + i + 1, 9000)).collect();
        let added = store.add_samples(&group, NOW).expect("added");
        for (id, given) in added.ids.iter().zip(&group) {
            say(&format!("ack {id} {}", given.frame));
        }
        if n % 7 == 6 {
            store.delete(&added.ids[..1], NOW).expect("deleted");
            say(&format!("gone {}", added.ids[0]));
        }
        if n % 40 == 39 {
            store.maintain(NOW + n as i64 * HOUR).expect("kept house");
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn i1_f1_kill_9_loses_no_acknowledged_sample() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut random = fastrand::Rng::with_seed(3);
    // Id and frame; a deletion that may or may not have been acknowledged in time frees the id from the check.
    let mut acknowledged: Vec<(i64, u64)> = Vec::new();
    for round in 0..10 {
        let mut running = Killed(child(&[], "label", dir.path()).spawn().expect("a child"));
        let mut out = BufReader::new(running.0.stdout.take().expect("its output"));
        let mut lines = Vec::new();
        let wanted = random.usize(1..40);
        let mut line = String::new();
        while lines.len() < wanted && out.read_line(&mut line).expect("read") > 0 {
            lines.push(std::mem::take(&mut line));
        }
        std::thread::sleep(Duration::from_micros(random.u64(..8000)));
        running.0.kill().expect("killed");
        running.0.wait().expect("ended");
        let mut rest = String::new();
        let _ = out.read_to_string(&mut rest);
        // The last line may be cut.
        let rest = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in lines.iter().map(String::as_str).chain(rest.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["ack", id, frame] => {
                    acknowledged.push((id.parse().expect("id"), frame.parse().expect("frame")))
                }
                ["gone", id] => {
                    let id: i64 = id.parse().expect("id");
                    acknowledged.retain(|known| known.0 != id);
                }
                _ => {}
            }
        }
        let (mut store, opened) = Store::open_with(dir.path(), ROOMY, Box::new(|_| Ok(0))).expect("opens");
        assert!(matches!(opened, Opened::Ok | Opened::Fresh), "round {round}: {opened:?}");
        store.verify().expect("sound");
        let in_doubt = acknowledged.len().saturating_sub(3);
        for (at, (id, frame)) in acknowledged.iter().enumerate() {
            match store.image(*id) {
                Ok(jpeg) => assert!(jpeg == large("ok", *frame, 9000).jpeg, "round {round}: sample {id}"),
                // Deleted, and killed before it could say so.
                Err(_) if at == in_doubt => {}
                Err(error) => panic!("round {round}: sample {id} was acknowledged: {error}"),
            }
        }
        acknowledged.retain(|known| store.image(known.0).is_ok());
    }
    assert!(acknowledged.len() > 60, "{}", acknowledged.len());
}
