//! Torn, cut and overwritten files: recovered or moved aside, never a panic, never a loop.

use std::fs;

use super::heads::head;
use super::*;
use crate::{Opened, StoreError};

/// A store of 40 samples with an active head, closed without folding the log in the `-wal` file.
fn built() -> (tempfile::TempDir, i64) {
    let (dir, mut store) = fresh();
    for n in 0..10 {
        let group: Vec<_> = (0..4).map(|i| sample("ok", "b", 1 + n * 4 + i)).collect();
        store.add_samples(&group, NOW).expect("added");
    }
    let version = store.next_head_version().expect("a version");
    store.promote(&head(version), NOW).expect("promoted");
    (dir, version)
}

fn reopened(dir: &Path) -> (Store, Opened) {
    let (mut store, opened) = Store::open_with(dir, ROOMY, Box::new(|_| Ok(60 << 20))).expect("opens");
    store.rescue_told().expect("noted");
    (store, opened)
}

fn moved(opened: Opened) -> (std::path::PathBuf, String, usize, Option<i64>) {
    match opened {
        Opened::MovedAside { path, reason, samples_saved, head_saved } => {
            (path, reason, samples_saved, head_saved)
        }
        other => panic!("not moved aside: {other:?}"),
    }
}

#[test]
fn a_garbage_header_is_moved_aside_and_the_head_survives() {
    let (dir, version) = built();
    let path = dir.path().join("graft.db");
    let mut bytes = fs::read(&path).expect("read");
    bytes[..100].fill(0xa5);
    fs::write(&path, &bytes).expect("written");

    let (mut store, opened) = reopened(dir.path());
    let (aside, reason, samples, head_saved) = moved(opened);
    assert_eq!(aside, dir.path().join("graft.db.corrupt-1"));
    assert!(fs::read(&aside).expect("kept") == bytes);
    assert!(!reason.is_empty());
    assert_eq!((samples, head_saved), (0, Some(version)));
    assert_eq!(store.serving().expect("serving").active, Some(version));
    assert_eq!(store.head_file(version).expect("there"), head(version).file);
    assert_eq!(store.next_head_version(), Ok(version + 1));
    store.add_class("ok", NOW).expect("usable");
    drop(store);
    assert_eq!(reopened(dir.path()).1, Opened::Ok);
    // A second accident takes the next number.
    fs::write(&path, [7; 5000]).expect("written");
    assert_eq!(moved(reopened(dir.path()).1).0, dir.path().join("graft.db.corrupt-2"));
}

#[test]
fn a_lost_database_with_its_log_left_is_not_taken_for_a_fresh_one() {
    for lost in [true, false] {
        let (dir, version) = built();
        let path = dir.path().join("graft.db");
        fs::write(dir.path().join("graft.db-wal"), [1; 5000]).expect("written");
        if lost {
            fs::remove_file(&path).expect("removed")
        } else {
            fs::write(&path, "").expect("cut")
        }
        let (aside, reason, ..) = moved(reopened(dir.path()).1);
        assert!(reason.contains("5000 bytes"), "{reason}");
        assert_eq!(fs::read(format!("{}-wal", aside.display())).expect("kept").len(), 5000);
        let (mut store, opened) = reopened(dir.path());
        assert_eq!((opened, store.serving().expect("serving").active), (Opened::Ok, Some(version)));
    }
}

#[test]
fn a_damaged_index_page_costs_no_sample() {
    let (dir, version) = built();
    let path = dir.path().join("graft.db");
    let raw = rusqlite::Connection::open(&path).expect("raw");
    let root: i64 = raw
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'samples_digest'", [], |row| row.get(0))
        .expect("root");
    drop(raw);
    let mut bytes = fs::read(&path).expect("read");
    let at = (root as usize - 1) * 4096;
    bytes[at..at + 4096].fill(0);
    fs::write(&path, &bytes).expect("written");

    let (mut store, opened) = reopened(dir.path());
    let (_, _, samples, head_saved) = moved(opened);
    assert_eq!((samples, head_saved), (40, Some(version)));
    store.verify().expect("sound");
    let labelled = store.snapshot(BACKBONE).expect("snapshot");
    assert_eq!((labelled.ids.len(), labelled.classes.len()), (40, 2));
    assert_eq!(store.held_out(version).expect("there").len(), 2);
    // Steps that were left behind are not mistaken for new ones.
    let sizes = |store: &mut Store| {
        let counts = store.counts().expect("counts");
        (counts.classes, counts.samples)
    };
    assert_eq!(sizes(&mut store), (2, 40));
    for n in 0..13 {
        store.add_samples(&[sample("bad", "x", 1000 + n)], NOW).expect("added");
    }
    (0..13).for_each(|_| assert_eq!(store.undo(NOW).expect("undone").affected, 1));
    assert_eq!(sizes(&mut store), (2, 40));
}

#[test]
fn a_cut_or_overwritten_database_is_recovered_or_moved_aside_once() {
    let (dir, version) = built();
    let whole = fs::read(dir.path().join("graft.db")).expect("read");
    let spare = fs::read(dir.path().join("active-head.json")).expect("read");
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..40 {
        let case = tempfile::tempdir().expect("a folder");
        let mut bytes = whole.clone();
        if round % 2 == 0 {
            bytes.truncate(random.usize(1..bytes.len()));
        } else {
            let at = random.usize(..bytes.len() - 600);
            let length = random.usize(1..600);
            bytes[at..at + length].iter_mut().for_each(|byte| *byte = random.u8(..));
        }
        fs::write(case.path().join("graft.db"), &bytes).expect("written");
        fs::write(case.path().join("active-head.json"), &spare).expect("written");
        let outcome = Store::open_with(case.path(), ROOMY, Box::new(|_| Ok(60 << 20)));
        let (mut store, opened) = match outcome {
            Ok(both) => both,
            // The schema number itself was hit.
            Err(StoreError::Newer { .. }) => continue,
            Err(error) => panic!("round {round}: {error}"),
        };
        store.rescue_told().expect("noted");
        if let Opened::MovedAside { path, .. } = &opened {
            assert!(fs::read(path).expect("kept") == bytes, "round {round}");
            assert_eq!(store.serving().expect("serving").active, Some(version), "round {round}");
        }
        // Where the damage lies in an image, its digest tells.
        for id in store.snapshot(BACKBONE).map(|labelled| labelled.ids).unwrap_or_default() {
            if let Ok(jpeg) = store.image(id) {
                assert!(jpeg == sample("ok", "b", id as u64).jpeg, "round {round}");
            }
        }
        drop(store);
        let (mut store, again) = reopened(case.path());
        if opened != Opened::Ok {
            assert_eq!(again, Opened::Ok, "round {round}");
        }
        store.ensure_class("usable", NOW).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}

#[test]
fn damage_met_while_running_is_looked_for_at_the_next_start() {
    let (dir, _) = built();
    let path = dir.path().join("graft.db");
    let raw = rusqlite::Connection::open(&path).expect("raw");
    raw.execute_batch("UPDATE images SET jpeg = x'00' WHERE sample = 3").expect("rotten");
    let root: i64 = raw
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'embeddings'", [], |row| row.get(0))
        .expect("root");
    drop(raw);
    let mut bytes = fs::read(&path).expect("read");
    let at = (root as usize - 1) * 4096;
    bytes[at..at + 200].fill(0xee);
    fs::write(&path, &bytes).expect("written");

    // Embeddings are not read at the start.
    let (mut store, opened) = reopened(dir.path());
    assert_eq!(opened, Opened::Ok);
    assert!(matches!(store.image(3), Err(StoreError::Corrupt(_))));
    assert_eq!(store.image(4).expect("whole"), sample("ok", "b", 4).jpeg);
    assert!(matches!(store.snapshot(BACKBONE), Err(StoreError::Corrupt(_))));
    // Everything else goes on, until a restart repairs.
    store.put_state("mode", "adapt").expect("stored");
    drop(store);
    let (mut store, opened) = reopened(dir.path());
    let (_, _, samples, _) = moved(opened);
    assert_eq!(samples, 39);
    assert_eq!(store.stale(BACKBONE).expect("stale").len(), 39);
    assert_eq!(store.get_state("mode").expect("read").as_deref(), Some("adapt"));
    drop(store);
    assert_eq!(reopened(dir.path()).1, Opened::Ok);
}

/// Power cuts in the log: whatever was acknowledged while the log had this length is there, the rest is whole or absent.
#[test]
fn i1_i2_a_log_cut_anywhere_keeps_what_was_acknowledged() {
    let (dir, mut store) = fresh();
    let wal = dir.path().join("graft.db-wal");
    let mut acknowledged = Vec::new();
    for n in 0..12 {
        let group: Vec<_> = (0..3).map(|i| sample("ok", "b", 1 + n * 3 + i)).collect();
        let added = store.add_samples(&group, NOW).expect("added");
        acknowledged.push((fs::metadata(&wal).expect("there").len() as usize, added.ids));
    }
    let (main, log) = (fs::read(dir.path().join("graft.db")).expect("read"), fs::read(&wal).expect("read"));
    let mut random = fastrand::Rng::with_seed(5);
    let first = acknowledged[0].0;
    for round in 0..60 {
        let case = tempfile::tempdir().expect("a folder");
        let cut = random.usize(first..log.len());
        let mut torn = log[..cut].to_vec();
        if round % 3 == 0 {
            // What the disk held there before, or a torn sector.
            torn.extend((0..random.usize(..9000)).map(|_| random.u8(..)));
        } else if round % 3 == 1 {
            torn.resize(log.len(), 0);
        }
        fs::write(case.path().join("graft.db"), &main).expect("written");
        fs::write(case.path().join("graft.db-wal"), &torn).expect("written");
        let (mut store, opened) = reopened(case.path());
        assert_eq!(opened, Opened::Ok, "round {round}");
        store.verify().expect("sound");
        let there = store.snapshot(BACKBONE).expect("snapshot").ids;
        let promised: Vec<i64> = acknowledged
            .iter()
            .filter(|(length, _)| *length <= cut)
            .flat_map(|(_, ids)| ids.clone())
            .collect();
        assert!(there.starts_with(&promised), "round {round}: cut at {cut}");
        assert_eq!(there.len() % 3, 0, "round {round}: a group is whole or absent");
        for id in there {
            assert_eq!(store.image(id).expect("whole"), sample("ok", "b", id as u64).jpeg);
        }
    }
}

#[test]
fn i3_after_an_error_the_log_is_written_again_to_a_new_file() {
    use std::os::unix::fs::MetadataExt;
    let (dir, mut store) = fresh();
    let ids = store.add_samples(&[sample("ok", "b", 1)], NOW).expect("added").ids;
    let inode = || fs::metadata(dir.path().join("graft.db-wal")).expect("there").ino();
    let before = inode();
    let failed: Result<(), _> = store.transaction(|tx| {
        tx.add_class("never", NOW)?;
        Err(StoreError::Io { kind: crate::IoKind::Failed, message: "as a failed flush".into() })
    });
    assert!(failed.expect_err("failed").retryable());
    assert_eq!(store.classes().expect("opened again").len(), 2);
    assert_ne!(inode(), before);
    assert!(store.image(ids[0]).expect("whole") == sample("ok", "b", 1).jpeg);
    store.add_samples(&[sample("ok", "b", 2)], NOW).expect("added");
    drop(store);
    assert_eq!(reopened(dir.path()).0.counts().expect("counts").samples, 2);
}

/// Power cuts while the log is folded in: any mixture of old, new and half-written pages, the log still being there.
#[test]
fn i1_a_cut_while_the_log_is_folded_loses_nothing() {
    let (dir, mut store) = fresh();
    for n in 0..12 {
        let group: Vec<_> = (0..3).map(|i| sample("ok", "b", 1 + n * 3 + i)).collect();
        store.add_samples(&group, NOW).expect("added");
    }
    let main = dir.path().join("graft.db");
    let (old, log) =
        (fs::read(&main).expect("read"), fs::read(dir.path().join("graft.db-wal")).expect("read"));
    store.maintain(NOW).expect("folded");
    let new = fs::read(&main).expect("read");
    assert!(
        new.len() > old.len() && fs::metadata(dir.path().join("graft.db-wal")).expect("there").len() == 0
    );
    let mut random = fastrand::Rng::with_seed(8);
    for round in 0..30 {
        let case = tempfile::tempdir().expect("a folder");
        let length =
            if round % 2 == 0 { new.len() } else { random.usize(old.len() / 512..new.len() / 512) * 512 };
        let mut mixed = vec![0; length];
        for (at, sector) in mixed.chunks_mut(512).enumerate() {
            let from = if random.bool() { &new } else { &old };
            // What was never written reads as zeros.
            if let Some(bytes) = from.get(at * 512..at * 512 + sector.len()) {
                sector.copy_from_slice(bytes);
            }
        }
        fs::write(case.path().join("graft.db"), &mixed).expect("written");
        fs::write(case.path().join("graft.db-wal"), &log).expect("written");
        let (mut store, opened) = reopened(case.path());
        assert_eq!(opened, Opened::Ok, "round {round}");
        store.verify().expect("sound");
        assert_eq!(store.snapshot(BACKBONE).expect("snapshot").ids.len(), 36, "round {round}");
    }
}
