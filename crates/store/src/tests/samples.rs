use super::*;
use crate::{Filter, StoreError};

#[test]
fn a_sample_comes_back_as_it_was_given() {
    let (dir, mut store) = fresh();
    let given = NewSample { roi: Some([0.1, 0.2, 0.5, 0.25]), ..sample("bad", "b1", 7) };
    let added = store.add_samples(std::slice::from_ref(&given), NOW + 5).expect("added");
    assert_eq!((added.ids.len(), added.fresh), (1, 1));
    let id = added.ids[0];
    drop(store);

    let mut store = open(dir.path());
    let row = store.sample(id).expect("there");
    assert_eq!((row.class.as_str(), row.burst.as_str(), row.frame), ("bad", "b1", 7));
    assert_eq!((row.taken_ms, row.added_ms, row.added_rev), (given.taken_ms, NOW + 5, added.rev));
    assert_eq!((row.source.as_str(), row.by.as_str(), row.roi), ("pattern", "mqtt", given.roi));
    assert_eq!(store.image(id).expect("there"), given.jpeg);
    assert_eq!(store.embedding(id, BACKBONE).expect("read"), Some(given.embedding));
    assert_eq!(store.embedding(id, "sha256:other").expect("read"), None);
}

#[test]
fn the_same_frame_in_the_same_class_is_stored_once() {
    let (_dir, mut store) = fresh();
    let one = sample("ok", "b1", 1);
    let first = store.add_samples(std::slice::from_ref(&one), NOW).expect("added");
    // The burst may be another when a command is repeated later.
    let again = store.add_samples(&[NewSample { burst: "b2".into(), ..one.clone() }], NOW).expect("added");
    assert_eq!((again.ids.clone(), again.fresh, again.rev), (first.ids.clone(), 0, first.rev));
    let other_class =
        store.add_samples(&[NewSample { class: "bad".into(), ..one.clone() }], NOW).expect("added");
    assert_eq!(other_class.fresh, 1);
    // Without a frame the burst decides.
    let unframed = NewSample { frame: 0, ..one };
    let a = store.add_samples(&[unframed.clone(), unframed.clone()], NOW).expect("added");
    assert_eq!((a.fresh, a.ids[0]), (1, a.ids[1]));
    let b = store.add_samples(&[NewSample { burst: "b3".into(), ..unframed }], NOW).expect("added");
    assert_eq!(b.fresh, 1);
    assert_eq!(store.counts().expect("counts").samples, 4);
}

#[test]
fn a_refused_sample_takes_its_whole_group_with_it() {
    let (_dir, mut store) = fresh();
    let rev = store.rev().expect("rev");
    let bad: [(&str, NewSample); 7] = [
        ("class", sample("typo", "b", 2)),
        ("burst", sample("ok", "", 2)),
        ("burst", sample("ok", "a\nb", 2)),
        ("image", NewSample { jpeg: vec![], ..sample("ok", "b", 2) }),
        ("embedding", NewSample { embedding: vec![], ..sample("ok", "b", 2) }),
        ("embedding", NewSample { embedding: vec![1e6; 8], ..sample("ok", "b", 2) }),
        ("width", NewSample { embedding: vec![0.0; 9], ..sample("ok", "b", 2) }),
    ];
    for (word, bad) in bad {
        let error = store.add_samples(&[sample("ok", "b", 1), bad], NOW).expect_err("refused");
        assert!(matches!(error, StoreError::Invalid(_) | StoreError::NotFound(_)), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
        assert!(!error.retryable());
    }
    let nan = NewSample { embedding: vec![f32::NAN; 8], ..sample("ok", "b", 1) };
    assert!(store.add_samples(&[nan], NOW).is_err());
    let frame = NewSample { frame: u64::MAX, ..sample("ok", "b", 1) };
    assert!(store.add_samples(&[frame], NOW).is_err());
    assert_eq!((store.counts().expect("counts").samples, store.rev().expect("rev")), (0, rev));
    assert!(store.stale(BACKBONE).expect("stale").is_empty());
}

#[test]
fn lists_are_filtered_ordered_and_paged() {
    let (_dir, mut store) = fresh();
    let samples: Vec<_> =
        (1..=6).map(|n| sample(if n % 2 == 0 { "ok" } else { "bad" }, &format!("b{}", n / 3), n)).collect();
    let ids = store.add_samples(&samples, NOW).expect("added").ids;
    let mut list = |filter: Filter, limit, offset| -> Vec<i64> {
        store.samples(&filter, limit, offset).expect("listed").into_iter().map(|row| row.id).collect()
    };
    assert_eq!(list(Filter::default(), 100, 0), ids);
    assert_eq!(list(Filter { newest_first: true, ..Filter::default() }, 2, 1), [ids[4], ids[3]]);
    assert_eq!(
        list(Filter { class: Some("ok".into()), ..Filter::default() }, 100, 0),
        [ids[1], ids[3], ids[5]]
    );
    assert_eq!(
        list(Filter { class: Some("bad".into()), burst: Some("b1".into()), ..Filter::default() }, 100, 0),
        [ids[2], ids[4]]
    );
    let unknown = store.samples(&Filter { class: Some("typo".into()), ..Filter::default() }, 1, 0);
    assert!(matches!(unknown, Err(StoreError::NotFound(text)) if text.contains("ok, bad")));
}

#[test]
fn relabel_and_delete_touch_all_or_none() {
    let (_dir, mut store) = fresh();
    let ids = store.add_samples(&[sample("ok", "b", 1), sample("ok", "b", 2)], NOW).expect("added").ids;
    let rev = store.rev().expect("rev");
    assert!(matches!(store.relabel(&[ids[0], 99], "bad", NOW), Err(StoreError::NotFound(_))));
    assert!(matches!(store.delete(&[ids[0], 99], NOW), Err(StoreError::NotFound(_))));
    assert_eq!(store.rev().expect("rev"), rev);

    let change = store.relabel(&[ids[0], ids[0]], "bad", NOW).expect("relabelled");
    assert_eq!((change.affected, change.rev), (1, rev + 1));
    assert_eq!(store.relabel(&[ids[0]], "bad", NOW).expect("nothing to do").affected, 0);
    assert_eq!(store.rev().expect("rev"), rev + 1);
    assert_eq!(store.sample(ids[0]).expect("there").class, "bad");

    assert_eq!(store.delete(&ids, NOW).expect("deleted").affected, 2);
    assert!(matches!(store.image(ids[0]), Err(StoreError::NotFound(_))));
    assert!(matches!(store.delete(&[ids[0]], NOW), Err(StoreError::NotFound(_))));
    assert!(matches!(store.relabel(&[ids[0]], "ok", NOW), Err(StoreError::NotFound(_))));
}

#[test]
fn a_snapshot_is_ordered_whole_and_has_a_stable_digest() {
    let (dir, mut store) = fresh();
    store.add_class("none", NOW).expect("class");
    let samples = [sample("bad", "b2", 3), sample("ok", "b1", 1), sample("ok", "b1", 2)];
    let ids = store.add_samples(&samples, NOW).expect("added").ids;
    let labelled = store.snapshot(BACKBONE).expect("snapshot");
    assert_eq!(labelled.ids, ids);
    assert_eq!(labelled.classes, ["ok", "bad", "none"]);
    assert_eq!((labelled.snapshot.width, labelled.snapshot.classes, labelled.missing), (8, 3, 0));
    assert_eq!(labelled.snapshot.labels, [1, 0, 0]);
    assert_eq!(labelled.snapshot.bursts[1], labelled.snapshot.bursts[2]);
    assert_ne!(labelled.snapshot.bursts[0], labelled.snapshot.bursts[1]);
    // sha256("b1") begins with these bytes.
    assert_eq!(crate::burst_number("b1"), 0x7dc9_6f77_6c84_23e5);
    let row: Vec<f32> = labelled.snapshot.embeddings[8..16].iter().map(|v| v.to_f32()).collect();
    assert_eq!(row, samples[1].embedding);

    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.snapshot(BACKBONE).expect("snapshot").digest, labelled.digest);
    store.relabel(&[ids[1]], "bad", NOW).expect("relabelled");
    assert_ne!(store.snapshot(BACKBONE).expect("snapshot").digest, labelled.digest);
    store.undo(NOW).expect("undone");
    assert_eq!(store.snapshot(BACKBONE).expect("snapshot").digest, labelled.digest);
    store.delete(&[ids[0]], NOW).expect("deleted");
    let less = store.snapshot(BACKBONE).expect("snapshot");
    assert_eq!((less.ids.as_slice(), less.snapshot.classes), (&ids[1..], 3));

    let none = store.snapshot("sha256:unknown").expect("snapshot");
    assert_eq!((none.ids.len(), none.missing, none.classes.len()), (0, 2, 3));
}

#[test]
fn several_backbones_live_side_by_side() {
    let (_dir, mut store) = fresh();
    let ids = store.add_samples(&[sample("ok", "b", 1), sample("ok", "b", 2)], NOW).expect("added").ids;
    assert_eq!(store.stale("sha256:bb").expect("stale"), ids);
    store.put_embedding(ids[1], "sha256:bb", &[1.0; 3]).expect("stored");
    store.put_embedding(ids[1], "sha256:bb", &[2.0; 3]).expect("replaced");
    assert_eq!(store.stale("sha256:bb").expect("stale"), [ids[0]]);
    let part = store.snapshot("sha256:bb").expect("snapshot");
    assert_eq!((part.ids.as_slice(), part.missing, part.snapshot.width), (&ids[1..], 1, 3));
    assert_eq!(part.snapshot.embeddings[0].to_f32(), 2.0);
    assert!(matches!(store.put_embedding(ids[0], "sha256:bb", &[1.0; 4]), Err(StoreError::Invalid(_))));
    assert!(matches!(store.put_embedding(99, "sha256:bb", &[1.0; 3]), Err(StoreError::NotFound(_))));
    assert_eq!(store.forget_backbone("sha256:bb").expect("forgotten"), 1);
    assert_eq!(store.stale("sha256:bb").expect("stale"), ids);
    assert_eq!(store.snapshot(BACKBONE).expect("snapshot").ids, ids);
}
