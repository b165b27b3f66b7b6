use super::*;
use crate::{ChangeKind, StoreError};

#[test]
fn fifty_steps_are_undone_after_a_restart() {
    let (dir, mut store) = fresh();
    for n in 1..=25 {
        let id = store.add_samples(&[sample("ok", "b", n)], NOW).expect("added").ids[0];
        store.relabel(&[id], "bad", NOW).expect("relabelled");
    }
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.history(1000).expect("history").len(), 52);
    for n in (1..=25).rev() {
        let relabel = store.undo(NOW).expect("undone");
        assert_eq!((relabel.kind, relabel.affected), (ChangeKind::Relabel, 1));
        assert!(relabel.text.starts_with("undone: relabelled sample"), "{}", relabel.text);
        assert_eq!(store.classes().expect("classes")[0].samples, 1, "{n}");
        assert_eq!(store.undo(NOW).expect("undone").kind, ChangeKind::Add);
    }
    assert_eq!(store.counts().expect("counts").samples, 0);
    assert_eq!(store.undo(NOW).expect("undone").kind, ChangeKind::AddClass);
    assert_eq!(store.undo(NOW).expect("undone").kind, ChangeKind::AddClass);
    assert!(matches!(store.undo(NOW), Err(StoreError::NotFound(_))));
}

#[test]
fn the_journal_is_bounded() {
    let (_dir, mut store) = fresh();
    let id = store.add_samples(&[sample("ok", "b", 1)], NOW).expect("added").ids[0];
    store
        .transaction(|tx| {
            for n in 0..300 {
                tx.relabel(&[id], if n % 2 == 0 { "bad" } else { "ok" }, NOW)?;
            }
            Ok(())
        })
        .expect("relabelled");
    assert_eq!(store.history(1000).expect("history").len(), 200);
}

#[test]
fn removed_bytes_go_after_a_day_and_history_is_cut_there() {
    let (_dir, mut store) = fresh();
    let ids = store.add_samples(&[sample("ok", "b", 1), sample("ok", "b", 2)], NOW).expect("added").ids;
    store.delete(&ids[..1], NOW).expect("deleted");
    store.relabel(&ids[1..], "bad", NOW + HOUR).expect("relabelled");
    store.maintain(NOW + 23 * HOUR).expect("kept");
    assert_eq!(store.counts().expect("counts").removed, 1);
    store.maintain(NOW + 25 * HOUR).expect("purged");
    assert_eq!(store.counts().expect("counts").removed, 0);
    assert_eq!(store.counts().expect("counts").samples, 1);
    // The relabelling came later than the deletion and can still be undone, the deletion cannot.
    assert_eq!(store.undo(NOW).expect("undone").kind, ChangeKind::Relabel);
    assert!(matches!(store.undo(NOW), Err(StoreError::NotFound(text)) if text.contains("24 hours")));
}

#[test]
fn clearing_keeps_the_classes_and_is_one_step() {
    let (_dir, mut store) = fresh();
    store.add_samples(&[sample("ok", "b", 1), sample("bad", "b", 2)], NOW).expect("added");
    let digest = store.snapshot(BACKBONE).expect("snapshot").digest;
    assert_eq!(store.clear(NOW).expect("cleared").affected, 2);
    let counts = store.counts().expect("counts");
    assert_eq!((counts.classes, counts.samples, counts.removed), (2, 0, 2));
    assert_eq!(store.clear(NOW).expect("nothing").affected, 0);
    assert_eq!(store.undo(NOW).expect("undone").affected, 2);
    assert_eq!(store.snapshot(BACKBONE).expect("snapshot").digest, digest);
}

#[test]
fn an_expected_revision_guards_a_command() {
    let (_dir, mut store) = fresh();
    let rev = store.rev().expect("rev");
    let guarded = |store: &mut Store, expected| {
        store.transaction(|tx| {
            tx.expect_rev(expected)?;
            tx.add_class("x", NOW)
        })
    };
    assert!(matches!(guarded(&mut store, rev - 1), Err(StoreError::Conflict(_))));
    assert_eq!(guarded(&mut store, rev).expect("added").rev, rev + 1);
}
