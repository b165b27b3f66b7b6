//! Rows 22 and 28 of the faults: a damaged database, and a start that is killed while it saves what is in it.

use std::fs;
use std::path::PathBuf;

use super::crash::{child, say};
use super::faults::strace;
use super::heads::head;
use super::*;
use crate::rescue::{build, take_over};
use crate::{FreeSpace, Opened, StoreError};

const LABELS: usize = 48;
/// The number of the head that was given out before the damage.
const HEAD: i64 = 1;

fn roomy() -> FreeSpace {
    Box::new(|_| Ok(60 << 20))
}

fn opened(dir: &Path) -> Result<(Store, Opened), StoreError> {
    Store::open_with(dir, ROOMY, roomy())
}

/// A folder whose database holds labels and a head, part of them only in the log, and fails its check at an index page.
/// There is no spare copy of the head: all has to come from the database.
fn damaged() -> tempfile::TempDir {
    let whole = tempfile::tempdir().expect("a folder");
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = open(whole.path());
    store.add_class("ok", NOW).expect("a class");
    let group =
        |from: usize| -> Vec<_> { (from..from + LABELS / 2).map(|n| sample("ok", "b", n as u64)).collect() };
    store.add_samples(&group(0), NOW).expect("added");
    let version = store.next_head_version().expect("a version");
    store.promote(&head(version), NOW).expect("promoted");
    assert_eq!(version, HEAD);
    store.maintain(NOW).expect("folded");
    store.add_samples(&group(LABELS / 2), NOW).expect("added");
    let root: i64 = store
        .read(|conn| {
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'samples_removed'";
            Ok(conn.query_row(sql, [], |row| row.get(0))?)
        })
        .expect("root");
    let mut bytes = fs::read(whole.path().join("graft.db")).expect("read");
    bytes[(root as usize - 1) * 4096..][..4096].fill(0);
    fs::write(dir.path().join("graft.db"), bytes).expect("written");
    fs::copy(whole.path().join("graft.db-wal"), dir.path().join("graft.db-wal")).expect("copied");
    dir
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(dir).expect("list") {
        let path = entry.expect("entry").path();
        fs::copy(&path, copy.path().join(path.file_name().expect("named"))).expect("copied");
    }
    copy
}

/// Opens the folder once more and says what is wrong: with the labels, the head, or what was set aside. `told` is
/// whether an earlier start has reported the rescue already.
fn complaint(dir: &Path, origin: &Path, told: bool) -> Option<String> {
    let (mut store, opened) = match opened(dir) {
        Ok(both) => both,
        Err(error) => return Some(format!("it does not open: {error}")),
    };
    match &opened {
        Opened::MovedAside { samples_saved: LABELS, head_saved: Some(HEAD), .. } => {}
        Opened::Ok if told => {}
        other => return Some(format!("it tells {other:?}")),
    }
    let there = store.snapshot(BACKBONE).map_or(0, |labelled| labelled.ids.len());
    if there != LABELS {
        return Some(format!("{there} of {LABELS} labels"));
    }
    for (at, id) in store.snapshot(BACKBONE).expect("snapshot").ids.into_iter().enumerate() {
        assert_eq!(store.image(id).expect("whole"), sample("ok", "b", at as u64).jpeg);
    }
    let served = store.serving().expect("serving").active;
    if served != Some(HEAD) {
        return Some(format!("{served:?} serves"));
    }
    store.verify().expect("sound");
    let next = store.next_head_version().expect("a version");
    if next <= HEAD {
        return Some(format!("version {next} again"));
    }
    store.rescue_told().expect("noted");
    drop(store);
    // Aside lies the damaged database with its log, under one number and unchanged; nothing half-made is left.
    for part in ["", "-wal"] {
        let aside = fs::read(dir.join(format!("graft.db.corrupt-1{part}"))).unwrap_or_default();
        if aside != fs::read(origin.join(format!("graft.db{part}"))).expect("read") {
            return Some(format!("corrupt-1{part} is not what was damaged"));
        }
    }
    let odd: Vec<PathBuf> = fs::read_dir(dir)
        .expect("list")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| {
            let name = path.file_name().expect("named").to_string_lossy();
            name.contains("rescue") || name.contains("corrupt-2")
        })
        .collect();
    (!odd.is_empty()).then(|| format!("left over: {odd:?}"))
}

#[test]
fn undisturbed_everything_is_saved() {
    let origin = damaged();
    let dir = copy_of(origin.path());
    assert_eq!(complaint(dir.path(), origin.path(), false), None);
    assert_eq!(opened(dir.path()).expect("opens").1, Opened::Ok);
}

/// The control: what graft did before is noticed by the same check.
#[test]
fn a_half_made_database_in_its_place_is_noticed() {
    let origin = damaged();
    let dir = copy_of(origin.path());
    for part in ["", "-wal"] {
        let at = |name: &str| dir.path().join(format!("{name}{part}"));
        fs::rename(at("graft.db"), at("graft.db.corrupt-1")).expect("moved");
    }
    drop(open(dir.path()));
    assert_eq!(complaint(dir.path(), origin.path(), true), Some(format!("0 of {LABELS} labels")));
}

/// Every state that the renames can leave: any of the damaged files moved, as a power cut may keep a later one only.
#[test]
fn every_state_between_the_renames_is_finished() {
    let origin = damaged();
    for moved in 0..4 {
        let dir = copy_of(origin.path());
        let number = build(dir.path(), "an index is torn".into(), &ROOMY, &roomy()).expect("built");
        fs::write(dir.path().join("graft.db.suspect"), "").expect("marked");
        for (bit, part) in ["", "-wal"].into_iter().enumerate() {
            let at = |name: &str| dir.path().join(format!("{name}{part}"));
            if moved >> bit & 1 == 1 {
                fs::rename(at("graft.db"), at("graft.db.corrupt-1")).expect("moved");
            }
        }
        assert_eq!((number, complaint(dir.path(), origin.path(), false)), (1, None), "{moved}");
    }
    // After the last rename, before anybody was told.
    let dir = copy_of(origin.path());
    let number = build(dir.path(), "an index is torn".into(), &ROOMY, &roomy()).expect("built");
    take_over(dir.path(), number).expect("taken over");
    assert_eq!(complaint(dir.path(), origin.path(), false), None);
}

#[test]
fn an_unfinished_copy_is_thrown_away() {
    let origin = damaged();
    let dir = copy_of(origin.path());
    build(dir.path(), "an index is torn".into(), &ROOMY, &roomy()).expect("built");
    let copy = fs::read(dir.path().join("graft.db.rescued-1")).expect("read");
    for length in [0, 1, 4096, copy.len() / 2, copy.len()] {
        let dir = copy_of(origin.path());
        fs::write(dir.path().join("graft.db.rescue"), &copy[..length]).expect("written");
        fs::write(dir.path().join("graft.db.rescue-journal"), "half").expect("written");
        assert_eq!(complaint(dir.path(), origin.path(), false), None, "{length} bytes");
    }
}

#[test]
fn a_database_made_in_between_is_not_overwritten() {
    let origin = damaged();
    let dir = copy_of(origin.path());
    let number = build(dir.path(), "an index is torn".into(), &ROOMY, &roomy()).expect("built");
    fs::rename(dir.path().join("graft.db"), dir.path().join("graft.db.corrupt-1")).expect("moved");
    fs::write(dir.path().join("graft.db"), "another").expect("written");
    let error = opened(dir.path()).map(|_| ()).expect_err("refused");
    assert!(matches!(&error, StoreError::Conflict(text) if text.contains("move the first one")), "{error}");
    assert_eq!((number, fs::read(dir.path().join("graft.db")).expect("there").len()), (1, 7));
}

/// A version that the spare copy knows of is not given out again, whatever database lies beside it.
#[test]
fn the_spare_keeps_the_floor_of_the_versions() {
    let (dir, mut store) = fresh();
    for _ in 0..3 {
        store.next_head_version().expect("a version");
    }
    drop(store);
    for part in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.path().join(format!("graft.db{part}")));
    }
    assert_eq!(open(dir.path()).next_head_version(), Ok(4));
}

/// The child: one start.
pub fn start(folder: &Path) {
    let (mut store, opened) = opened(folder).expect("opens");
    if matches!(opened, Opened::MovedAside { .. }) {
        say("told");
        store.rescue_told().expect("noted");
    }
}

/// Kills the start at every call that changes a file, in turn, and a second start at a later one.
#[test]
fn a_start_killed_at_any_call_loses_nothing() {
    if !strace() {
        return;
    }
    const CALLS: &str = "openat,pwrite64,write,ftruncate,fsync,fdatasync,rename,unlink,fcntl";
    let origin = damaged();
    let killed_at = |dir: &Path, call: usize| {
        let inject = format!("inject={CALLS}:signal=KILL:when={call}");
        let trace = format!("trace={CALLS}");
        let wrap = ["strace", "-f", "-o", "/dev/null", "-e", trace.as_str(), "-e", inject.as_str()];
        let output = child(&wrap, "rescue", dir).output().expect("a child");
        let told = output.stdout.windows(4).any(|word| word == b"told");
        (!output.status.success(), told)
    };
    let mut random = fastrand::Rng::with_seed(22);
    let stride = if std::env::var_os("GRAFT_TEST_FULL").is_some() { 1 } else { 7 };
    let mut kills = 0;
    for call in (1..5000).step_by(stride) {
        let dir = copy_of(origin.path());
        let (killed, mut told) = killed_at(dir.path(), call);
        if killed && call % 2 == 0 {
            told |= killed_at(dir.path(), random.usize(1..200)).1;
        }
        assert_eq!(complaint(dir.path(), origin.path(), told), None, "killed at call {call}");
        if !killed {
            break;
        }
        kills += 1;
    }
    assert!(kills * stride > 100, "{kills} kills");
}
