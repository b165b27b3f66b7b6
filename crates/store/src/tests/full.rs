//! Quota, free-space floor, full disk (I12, F15).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::heads::head;
use super::*;
use crate::{Bound, StoreError};

const SMALL: Limits = Limits { quota_bytes: 4 << 20, free_floor_bytes: 0 };

fn disk_use(dir: &Path) -> u64 {
    ["graft.db", "graft.db-wal"]
        .iter()
        .map(|name| std::fs::metadata(dir.join(name)).map_or(0, |f| f.len()))
        .sum()
}

#[test]
fn i12_the_quota_stops_capturing_and_nothing_else() {
    let (dir, store) = fresh();
    drop(store);
    let mut store = open_with(dir.path(), SMALL);
    let mut stored = Vec::new();
    let error = loop {
        match store.add_samples(&[large("ok", stored.len() as u64 + 1, 40_000)], NOW) {
            Ok(added) => stored.extend(added.ids),
            Err(error) => break error,
        }
        assert!(disk_use(dir.path()) <= SMALL.quota_bytes, "{}", disk_use(dir.path()));
        assert!(stored.len() < 1000, "the quota is never reached");
    };
    assert!(matches!(&error, StoreError::Full { bound: Bound::Quota, .. }), "{error:?}");
    assert!(error.to_string().contains("raise the quota") && error.retryable());
    // Most of the quota went to samples.
    assert!(stored.len() >= 60, "{}", stored.len());
    assert_eq!(store.counts().expect("counts").samples, stored.len());

    // Commands, heads and roll back still work.
    let one = store.next_head_version().expect("a version");
    store.promote(&head(one), NOW).expect("promoted");
    let two = store.next_head_version().expect("a version");
    store.promote(&head(two), NOW).expect("promoted");
    store.set_active(one, NOW).expect("rolled back");
    store.relabel(&stored[..1], "bad", NOW).expect("relabelled");
    store.put_state("mode", "infer").expect("stored");

    // Deleting makes room at once, and only deleted samples go.
    store.delete(&stored[..10], NOW).expect("deleted");
    let more = store.add_samples(&[large("ok", 5000, 40_000)], NOW).expect("room again");
    let counts = store.counts().expect("counts");
    assert_eq!((counts.samples, counts.removed), (stored.len() - 10 + 1, 0));
    for id in stored[10..].iter().chain(&more.ids) {
        store.image(*id).expect("a labelled sample is never evicted");
    }
    assert!(disk_use(dir.path()) <= SMALL.quota_bytes);
    // What was purged for room cannot be undone; the history says so instead of bringing back half.
    assert_eq!(store.undo(NOW).expect("the last addition").kind, crate::ChangeKind::Add);
    assert!(matches!(store.undo(NOW), Err(StoreError::NotFound(_))));
}

#[test]
fn the_free_space_floor_stops_capturing_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let free = Arc::new(AtomicU64::new(600 << 20));
    let probe = Arc::clone(&free);
    let limits = Limits { quota_bytes: 1 << 30, free_floor_bytes: 560 << 20 };
    let (mut store, _) =
        Store::open_with(dir.path(), limits, Box::new(move |_| Ok(probe.load(Ordering::Relaxed))))
            .expect("opens");
    store.add_class("ok", NOW).expect("a class");
    store.add_samples(&[sample("ok", "b", 1)], NOW).expect("room");
    free.store((560 << 20) + 1000, Ordering::Relaxed);
    let error = store.add_samples(&[sample("ok", "b", 2)], NOW).expect_err("no room");
    assert!(matches!(&error, StoreError::Full { bound: Bound::FreeSpace, .. }), "{error:?}");
    assert!(error.to_string().contains("560 MiB are kept free"), "{error}");
    store.put_state("mode", "infer").expect("stored");
    store.relabel(&[1], "ok", NOW).expect("nothing to do");
    free.store(600 << 20, Ordering::Relaxed);
    store.add_samples(&[sample("ok", "b", 2)], NOW).expect("room again");
}

#[test]
fn f15_a_full_database_gives_no_false_acknowledgement_and_recovers() {
    let (_dir, mut store) = fresh();
    let kept = store.add_samples(&[sample("ok", "b", 1)], NOW).expect("added").ids;
    // Full as a disk is full: SQLite cannot get another page.
    let pages: i64 = store
        .read(|conn| {
            let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            conn.query_row(&format!("PRAGMA max_page_count = {}", pages + 2), [], |row| {
                row.get::<_, i64>(0)
            })?;
            Ok(pages)
        })
        .expect("narrowed");
    let error = store.add_samples(&[large("ok", 2, 100_000)], NOW).expect_err("no room");
    assert!(matches!(&error, StoreError::Full { bound: Bound::Disk, .. }), "{error:?}");
    let counts = store.counts().expect("counts");
    assert_eq!((counts.samples, store.image(kept[0]).expect("whole")), (1, sample("ok", "b", 1).jpeg));
    store
        .read(|conn| {
            Ok(conn.query_row(&format!("PRAGMA max_page_count = {}", pages + 5000), [], |row| {
                row.get::<_, i64>(0)
            })?)
        })
        .expect("widened");
    store.add_samples(&[large("ok", 2, 100_000)], NOW).expect("room again");
    store.verify().expect("sound");
}

#[test]
fn the_reserve_is_given_to_a_full_disk_and_taken_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut store, _) = Store::open_with(dir.path(), ROOMY, Box::new(|_| Ok(1 << 30))).expect("opens");
    let reserve = dir.path().join("reserve");
    if !reserve.exists() {
        return graft_testing::skip(
            "reserve",
            "the file system of the temporary folder cannot reserve space",
        );
    }
    assert_eq!(std::fs::metadata(&reserve).expect("there").len(), 16 << 20);
    let full: Result<(), _> = store.transaction(|_| Err(StoreError::disk_full()));
    assert!(full.is_err() && !reserve.exists());
    store.maintain(NOW).expect("kept house");
    assert!(reserve.exists());
}

#[test]
fn unused_space_goes_back_to_the_file_system() {
    let (dir, mut store) = fresh();
    let samples: Vec<_> = (1..=200).map(|n| large("ok", n, 100_000)).collect();
    store.add_samples(&samples, NOW).expect("added");
    store.clear(NOW).expect("cleared");
    let before = store.usage().expect("usage").file_bytes;
    for day in 1..5 {
        store.maintain(NOW + day * 25 * HOUR).expect("kept house");
    }
    let usage = store.usage().expect("usage");
    assert!(before > 20_000_000 && usage.file_bytes < before / 2, "{before} {usage:?}");
    assert!(disk_use(dir.path()) < before / 2);
    store.verify().expect("sound");
}
