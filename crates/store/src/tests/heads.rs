use super::*;
use crate::{HeldOut, NewHead, Serving, StoreError};

pub fn head(version: i64) -> NewHead {
    NewHead {
        version,
        file: vec![version as u8; 100],
        manifest: format!("manifest {version}"),
        method: "ridge".into(),
        metrics: "{\"accuracy\":0.9}".into(),
        gate: "{\"verdict\":\"promote\"}".into(),
        backbone: BACKBONE.into(),
        classes: vec!["ok".into(), "bad".into()],
        snapshot: "sha256:cc".into(),
        held_out: vec![HeldOut { sample: 5, class: "bad".into() }, HeldOut { sample: 6, class: "ok".into() }],
        ..NewHead::default()
    }
}

fn promote(store: &mut Store) -> i64 {
    let version = store.next_head_version().expect("a version");
    store.promote(&head(version), NOW).expect("promoted");
    version
}

#[test]
fn a_head_comes_back_as_it_was_given() {
    let (dir, mut store) = fresh();
    let version = store.next_head_version().expect("a version");
    store.put_head(&head(version), NOW).expect("stored");
    assert_eq!(store.serving().expect("serving"), Serving::default());
    store.set_active(version, NOW + 1).expect("active");
    store.set_published(version, NOW + 2).expect("published");
    drop(store);
    let mut store = open(dir.path());
    let row = store.head(version).expect("there");
    let given = head(version);
    assert_eq!(
        (row.manifest, row.method, row.metrics, row.gate),
        (given.manifest, given.method, given.metrics, given.gate)
    );
    assert_eq!((row.classes, row.backbone, row.snapshot), (given.classes, given.backbone, given.snapshot));
    assert_eq!((row.created_ms, row.promoted_ms, row.published_ms), (NOW, Some(NOW + 1), Some(NOW + 2)));
    assert_eq!((row.bytes, row.has_file), (100, true));
    assert_eq!(store.head_file(version).expect("there"), given.file);
    assert_eq!(store.held_out(version).expect("there"), given.held_out);
    assert_eq!(store.serving().expect("serving").active, Some(version));
    assert_eq!(store.heads(10).expect("heads").len(), 1);
}

#[test]
fn versions_rise_and_are_never_given_twice() {
    let (dir, mut store) = fresh();
    assert_eq!(store.next_head_version(), Ok(1));
    assert_eq!(store.next_head_version(), Ok(2));
    assert!(matches!(store.put_head(&head(3), NOW), Err(StoreError::Conflict(_))));
    assert!(matches!(store.put_head(&head(0), NOW), Err(StoreError::Conflict(_))));
    store.put_head(&head(2), NOW).expect("stored");
    let changed = NewHead { file: vec![9], ..head(2) };
    assert!(matches!(store.put_head(&changed, NOW), Err(StoreError::Conflict(_))));
    assert_eq!(store.head_file(2).expect("there"), head(2).file);
    // A round whose transaction is called off gives its number back to nobody else.
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.next_head_version(), Ok(3));
    let wrong = NewHead { held_out: vec![HeldOut { sample: 1, class: "typo".into() }], ..head(3) };
    assert!(matches!(store.put_head(&wrong, NOW), Err(StoreError::Invalid(_))));
    let empty = NewHead { file: vec![], ..head(3) };
    assert!(matches!(store.put_head(&empty, NOW), Err(StoreError::Invalid(_))));
}

#[test]
fn i4_promotion_is_all_or_nothing() {
    let (_dir, mut store) = fresh();
    let one = promote(&mut store);
    let two = promote(&mut store);
    assert_eq!(
        store.serving().expect("serving"),
        Serving { active: Some(two), previous: Some(one), pinned: None }
    );
    let three = store.next_head_version().expect("a version");
    let outcome: Result<(), _> = store.transaction(|tx| {
        tx.promote(&head(three), NOW)?;
        Err(StoreError::Conflict("called off".into()))
    });
    assert!(outcome.is_err());
    assert_eq!(store.serving().expect("serving").active, Some(two));
    assert!(matches!(store.head(three), Err(StoreError::NotFound(_))));
    // The same head again is no step: the previous one stays what to go back to.
    assert_eq!(store.set_active(two, NOW).expect("active").previous, Some(one));
    assert!(matches!(store.set_active(99, NOW), Err(StoreError::NotFound(_))));
}

#[test]
fn i5_a_damaged_head_file_is_never_activated() {
    let (dir, mut store) = fresh();
    let one = promote(&mut store);
    let two = store.next_head_version().expect("a version");
    store.put_head(&head(two), NOW).expect("stored");
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("graft.db")).expect("raw");
    raw.execute("UPDATE head_files SET file = x'00' WHERE version = ?1", [two]).expect("damaged");
    drop(raw);
    let mut store = open(dir.path());
    assert!(matches!(store.set_active(two, NOW), Err(StoreError::Corrupt(_))));
    assert!(matches!(store.head_file(two), Err(StoreError::Corrupt(_))));
    assert_eq!(store.serving().expect("serving").active, Some(one));
    assert_eq!(store.head_file(one).expect("there"), head(one).file);
}

#[test]
fn old_files_go_but_never_those_that_serve_or_are_pinned() {
    let (_dir, mut store) = fresh();
    let first = promote(&mut store);
    store.pin(Some(first)).expect("pinned");
    let good: Vec<i64> = (0..14).map(|_| promote(&mut store)).collect();
    for _ in 0..30 {
        let version = store.next_head_version().expect("a version");
        store.put_head(&head(version), NOW).expect("a rejected candidate");
    }
    let heads = store.heads(1000).expect("heads");
    assert_eq!(heads.len(), 45);
    let mut with_file: Vec<i64> = heads.iter().filter(|row| row.has_file).map(|row| row.version).collect();
    with_file.sort_unstable();
    let mut expected = vec![first];
    expected.extend(&good[4..]);
    expected.extend(36..=45);
    assert_eq!(with_file, expected);
    let gone = store.head_file(20).expect_err("gone");
    assert!(matches!(&gone, StoreError::NotFound(text) if text.contains("are kept")), "{gone}");
    assert!(matches!(store.set_active(20, NOW), Err(StoreError::NotFound(_))));
    assert_eq!(store.pin(None).expect("unpinned").pinned, None);
    assert!(matches!(store.pin(Some(20)), Err(StoreError::NotFound(_))));
}

#[test]
fn a_head_knows_its_classes_whatever_they_are_called_later() {
    let (_dir, mut store) = fresh();
    let version = promote(&mut store);
    let names = |store: &mut Store| {
        let classes = store.head_classes(version).expect("there");
        assert!(classes.iter().map(|class| class.taught.as_str()).eq(["ok", "bad"]));
        classes.into_iter().map(|class| class.now).collect::<Vec<_>>()
    };
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(names(&mut store), [some("ok"), some("bad")]);
    store.rename_class("ok", "fine", NOW).expect("renamed");
    assert_eq!(names(&mut store), [some("fine"), some("bad")]);
    store.remove_class("bad", false, NOW).expect("removed");
    store.add_class("bad", NOW).expect("another one");
    assert_eq!(names(&mut store), [some("fine"), None]);
    for _ in 0..3 {
        store.undo(NOW).expect("undone");
    }
    assert_eq!(names(&mut store), [some("ok"), some("bad")]);
    // One of another board, with classes that nobody knows here, says what its file says.
    let version = store.next_head_version().expect("a version");
    let other = NewHead { classes: vec!["x".into(), "y".into()], held_out: Vec::new(), ..head(version) };
    store.put_head(&other, NOW).expect("stored");
    let classes = store.head_classes(version).expect("there");
    assert!(classes.into_iter().map(|class| class.now).eq([some("x"), some("y")]));
}
