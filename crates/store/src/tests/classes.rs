use super::*;
use crate::StoreError;

fn names(store: &mut Store) -> Vec<String> {
    store.classes().expect("classes").into_iter().map(|class| class.name).collect()
}

#[test]
fn names_are_checked() {
    let (_dir, mut store) = fresh();
    for bad in
        ["", " x", "x ", ".hidden", "..", "a/b", "a\\b", "a\nb", &"x".repeat(65), &"\u{1f600}".repeat(60)]
    {
        let error = store.add_class(bad, NOW).expect_err("refused");
        assert!(matches!(error, StoreError::Invalid(_)), "{bad:?}: {error:?}");
    }
    for good in ["none", "Schraube M4", "größe-1", &"x".repeat(64)] {
        store.add_class(good, NOW).expect(good);
    }
    assert!(matches!(store.add_class("ok", NOW), Err(StoreError::Conflict(_))));
    assert_eq!(store.ensure_class("ok", NOW), Ok(None));
}

#[test]
fn a_rename_keeps_id_place_and_samples() {
    let (_dir, mut store) = fresh();
    let ids = store.add_samples(&[sample("ok", "b1", 1), sample("ok", "b2", 2)], NOW).expect("added").ids;
    let before = store.classes().expect("classes");
    store.rename_class("ok", "good", NOW).expect("renamed");
    let after = store.classes().expect("classes");
    assert_eq!(
        (after[0].id, after[0].name.as_str(), after[0].samples, after[0].bursts),
        (before[0].id, "good", 2, 2)
    );
    assert_eq!(store.sample(ids[0]).expect("there").class, "good");
    assert!(matches!(store.rename_class("good", "bad", NOW), Err(StoreError::Conflict(_))));
    assert!(matches!(store.rename_class("ok", "x", NOW), Err(StoreError::NotFound(_))));
    assert_eq!(store.rename_class("good", "good", NOW).expect("nothing to do").affected, 0);
    store.undo(NOW).expect("undone");
    assert_eq!(names(&mut store), ["ok", "bad"]);
}

#[test]
fn removing_a_class_can_be_tried_and_undone() {
    let (_dir, mut store) = fresh();
    store.add_samples(&[sample("ok", "b1", 1), sample("bad", "b2", 2)], NOW).expect("added");
    let rev = store.rev().expect("rev");
    let dry = store.remove_class("ok", true, NOW).expect("tried");
    assert_eq!((dry.affected, dry.rev, names(&mut store).len()), (1, rev, 2));
    assert_eq!(store.remove_class("ok", false, NOW).expect("removed").affected, 1);
    assert_eq!((names(&mut store), store.counts().expect("counts").samples), (vec!["bad".to_owned()], 1));
    // Another class may take the name; undoing goes through it.
    store.add_class("ok", NOW).expect("a new one");
    assert_eq!(names(&mut store), ["bad", "ok"]);
    store.undo(NOW).expect("undone");
    assert_eq!(store.undo(NOW).expect("undone").affected, 1);
    assert_eq!(
        (names(&mut store), store.counts().expect("counts").samples),
        (vec!["ok".into(), "bad".into()], 2)
    );
}
