//! Export and import.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;

use super::*;
use crate::{Exported, Folder, Imported, Picture, StoreError};

fn embed(picture: &Picture) -> Result<(Vec<u8>, Vec<f32>), String> {
    let bytes = match picture {
        Picture::Crop(bytes) | Picture::Photo(bytes) => bytes,
    };
    if bytes.starts_with(b"broken") {
        return Err("not a picture".into());
    }
    let mut crop = b"crop of ".to_vec();
    crop.extend(bytes);
    Ok((crop, vec![bytes.len() as f32; 8]))
}

fn export(store: &mut Store, dir: &Path) -> Result<Exported, StoreError> {
    store.export(dir, &mut |_, _| ControlFlow::Continue(()))
}

fn import(store: &mut Store, dir: &Path) -> Imported {
    let folder = Folder::open(dir).expect("found");
    let go_on = &mut |_, _| ControlFlow::Continue(());
    store.import(&folder, BACKBONE, NOW, &mut embed, go_on).expect("imported")
}

fn write(root: &Path, path: &str, bytes: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("parent")).expect("made");
    fs::write(path, bytes).expect("written");
}

#[test]
fn what_is_exported_comes_back_equal() {
    let (dir, mut store) = fresh();
    for name in ["Schraube: M4?", "schraube_ M4_", "labels.txt", "empty"] {
        store.add_class(name, NOW).expect("class");
    }
    let given: Vec<_> = (1..=90)
        .map(|n| NewSample {
            class: ["ok", "bad", "Schraube: M4?", "schraube_ M4_", "labels.txt"][n as usize % 5].into(),
            roi: (n % 2 == 0).then_some([0.25, 0.0, 0.1 + 0.2, 1.0]),
            frame: n % 3,
            ..sample("", &format!("b{}", n / 4), n)
        })
        .collect();
    let ids = store.add_samples(&given, NOW).expect("added").ids;
    store.delete(&ids[..1], NOW).expect("deleted");
    let target = dir.path().join("export/here");
    let exported = export(&mut store, &target).expect("exported");
    assert_eq!((exported.samples, exported.classes, exported.skipped.len()), (89, 6, 0));
    let labels = fs::read_to_string(target.join("labels.txt")).expect("labels");
    assert_eq!(
        labels.lines().collect::<Vec<_>>(),
        ["ok", "bad", "Schraube: M4?", "schraube_ M4_", "labels.txt", "empty"]
    );
    assert!(target.join(format!("ok/{}.jpg", ids[4])).is_file());
    assert!(matches!(export(&mut store, &target), Err(StoreError::Conflict(_))));

    let other = tempfile::tempdir().expect("a folder");
    let mut copy = open(other.path());
    let done = import(&mut copy, &target);
    assert_eq!((done.added, done.duplicates, done.classes_added, done.stopped.clone()), (89, 0, 6, None));
    assert!(done.skipped.is_empty(), "{:?}", done.skipped);
    let row = |store: &mut Store| -> Vec<_> {
        let rows = store.samples(&Default::default(), 1000, 0).expect("listed");
        rows.into_iter()
            .map(|row| {
                (row.class, row.burst, row.sha256, row.frame, row.taken_ms, row.source, row.by, row.roi)
            })
            .collect()
    };
    assert_eq!(row(&mut copy), row(&mut store));
    let (a, b) = (copy.snapshot(BACKBONE).expect("snapshot"), store.snapshot(BACKBONE).expect("snapshot"));
    assert_eq!((a.classes, a.digest, a.snapshot.bursts), (b.classes, b.digest, b.snapshot.bursts));

    let again = import(&mut copy, &target);
    assert_eq!((again.added, again.duplicates, again.classes_added, again.rev), (0, 89, 0, done.rev));
    // One undo takes the whole import back, classes too, though it was stored in two groups.
    assert_eq!(copy.undo(NOW).expect("undone").affected, 89);
    assert_eq!((copy.counts().expect("counts").samples, copy.classes().expect("classes").len()), (0, 0));
}

#[test]
fn a_plain_folder_is_imported_with_or_without_splits() {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path(), "train/ants/0001.jpg", "a1");
    write(root.path(), "train/ants/0002.JPG", "a2");
    write(root.path(), "val/ants/0001.jpg", "a3");
    write(root.path(), "val/bees/1.png", "b1");
    write(root.path(), "val/bees/notes.txt", "x");
    write(root.path(), "val/bees/bad.jpg", "broken");
    write(root.path(), "val/bees/deeper/1.pbm", "b2");
    write(root.path(), "val/.hidden/1.jpg", "x");
    let (_dir, mut store) = fresh();
    let done = import(&mut store, root.path());
    assert_eq!((done.added, done.classes_added, done.stopped.clone()), (5, 2, None));
    let mut reasons: Vec<_> = done
        .skipped
        .iter()
        .map(|skipped| format!("{}: {}", skipped.path.display(), skipped.reason))
        .collect();
    reasons.sort();
    assert_eq!(
        reasons,
        ["val/bees/bad.jpg: not a picture", "val/bees/notes.txt: not the name of a picture",]
    );
    let rows = store.samples(&Default::default(), 10, 0).expect("listed");
    assert_eq!(rows[0].source, "file:train/ants/0001.jpg");
    assert_eq!(store.image(rows[0].id).expect("there"), b"crop of a1");
    assert_eq!(store.counts().expect("counts").bursts, 5);
    assert_eq!(import(&mut store, root.path()).duplicates, 5);

    // The same pictures elsewhere, without splits, are the same samples.
    let flat = tempfile::tempdir().expect("a folder");
    write(flat.path(), "ants/x.jpg", "a1");
    write(flat.path(), "bees/train/1.jpg", "odd");
    let done = import(&mut store, flat.path());
    assert_eq!((done.added, done.duplicates, done.skipped.len()), (1, 1, 0));
}

#[test]
fn nothing_outside_of_the_folder_is_read() {
    let outside = tempfile::tempdir().expect("a folder");
    write(outside.path(), "secret.jpg", "secret");
    write(outside.path(), "class/secret.jpg", "secret");
    let root = tempfile::tempdir().expect("a folder");
    write(root.path(), "ok/1.jpg", "1");
    symlink(outside.path().join("secret.jpg"), root.path().join("ok/2.jpg")).expect("linked");
    symlink(outside.path().join("class"), root.path().join("linked")).expect("linked");
    symlink(root.path(), root.path().join("ok/loop.jpg")).expect("linked");
    symlink("1.jpg", root.path().join("ok/inside.jpg")).expect("linked");
    let (_dir, mut store) = fresh();
    let done = import(&mut store, root.path());
    // The link to a picture inside is the same picture.
    assert_eq!((done.added, done.duplicates), (1, 1), "{:?}", done.skipped);
    assert_eq!(done.skipped.len(), 3, "{:?}", done.skipped);
    assert!(done.skipped.iter().filter(|skipped| skipped.reason.contains("out of the folder")).count() == 2);

    let secret = outside.path().join("secret.jpg");
    for file in [
        "../secret.jpg",
        &secret.display().to_string(),
        "ok/../../secret.jpg",
        "ok",
        "missing.jpg",
        "ok/2.jpg",
    ] {
        let line = serde_json::json!({
            "id": 1, "file": file, "class": "ok", "burst": "b", "sha256": "00", "taken_ms": 0, "source": "", "by": "x"
        });
        fs::write(root.path().join("samples.jsonl"), format!("{line}\n")).expect("written");
        let done = import(&mut store, root.path());
        assert_eq!((done.added, done.skipped.len()), (0, 1), "{file}");
    }
}

#[test]
fn a_hostile_index_is_reported_line_by_line() {
    let root = tempfile::tempdir().expect("a folder");
    write(root.path(), "ok/1.jpg", "1");
    let digest = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    let line = |class: &str, burst: &str, digest: &str, frame: &str| {
        format!(
            "{{\"id\":1,\"file\":\"ok/1.jpg\",\"class\":\"{class}\",\"burst\":\"{burst}\",\"sha256\":\"{digest}\",\"taken_ms\":1,\"source\":\"s\",\"by\":\"x\",\"frame\":{frame}}}\n"
        )
    };
    let index = [
        "not json\n".to_owned(),
        "{}\n".into(),
        line("ok", "b", "00", "0"),
        line("../evil", "b", digest, "0"),
        line("ok", "", digest, "0"),
        line("ok", "b", digest, "18446744073709551615"),
        line("ok", "b", digest, "3"),
    ];
    fs::write(root.path().join("samples.jsonl"), index.concat()).expect("written");
    let (_dir, mut store) = fresh();
    let done = import(&mut store, root.path());
    assert_eq!((done.added, done.skipped.len(), done.stopped), (1, 6, None), "{:?}", done.skipped);
    assert_eq!(store.image(1).expect("there"), b"1");
    fs::write(root.path().join("samples.jsonl"), [0xff; 10]).expect("written");
    assert!(matches!(Folder::open(root.path()), Err(StoreError::Invalid(_))));
    assert!(matches!(Folder::open(&root.path().join("no")), Err(StoreError::NotFound(_))));
    let empty = tempfile::tempdir().expect("a folder");
    assert!(matches!(Folder::open(empty.path()), Err(StoreError::Invalid(_))));
}

#[test]
fn an_import_that_fills_the_store_keeps_what_it_stored() {
    let root = tempfile::tempdir().expect("a folder");
    for n in 0..250 {
        write(root.path(), &format!("ok/{n:03}.jpg"), &format!("{n}{}", "x".repeat(60_000)));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = open_with(dir.path(), Limits { quota_bytes: 16 << 20, free_floor_bytes: 0 });
    let done = import(&mut store, root.path());
    assert!(matches!(done.stopped, Some(StoreError::Full { .. })), "{:?}", done.stopped);
    assert_eq!(store.counts().expect("counts").samples, done.added);
    assert!(done.added >= 64 && done.added < 200, "{}", done.added);
}

#[test]
fn an_import_or_export_can_be_ended_early() {
    let root = tempfile::tempdir().expect("a folder");
    for n in 0..10 {
        write(root.path(), &format!("ok/{n:03}.jpg"), &format!("{n}"));
    }
    let (dir, mut store) = fresh();
    let folder = Folder::open(root.path()).expect("found");
    let mut until_five =
        |at: usize, _| if at == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let done = store.import(&folder, BACKBONE, NOW, &mut embed, &mut until_five).expect("imported");
    assert_eq!((done.added, done.cancelled), (5, true));
    import(&mut store, root.path());
    let target = dir.path().join("out");
    assert!(store.export(&target, &mut until_five).expect("exported").cancelled);
    assert!(!target.join("samples.jsonl").exists());
}

/// Each picture is a scene, `.` and what is its own.
fn scenes(picture: &Picture) -> Result<(Vec<u8>, Vec<f32>), String> {
    let (Picture::Crop(bytes) | Picture::Photo(bytes)) = picture;
    let text = String::from_utf8_lossy(bytes);
    let (scene, own) = text.split_once('.').expect("a dot");
    let draw = |seed: &str, size: f32| {
        let mut random = fastrand::Rng::with_seed(seed.parse().expect("a number"));
        (0..32).map(move |_| size * (random.f32() - 0.5)).collect::<Vec<_>>()
    };
    let values = draw(scene, 2.0).into_iter().zip(draw(own, 1.0)).map(|(scene, own)| scene + own);
    Ok((bytes.clone(), values.collect()))
}

fn import_scenes(store: &mut Store, dir: &Path) -> Imported {
    let folder = Folder::open(dir).expect("found");
    store
        .import(&folder, BACKBONE, NOW, &mut scenes, &mut |_, _| ControlFlow::Continue(()))
        .expect("imported")
}

#[test]
fn pictures_that_were_taken_together_are_one_burst() {
    let root = tempfile::tempdir().expect("a folder");
    for at in 0..60 {
        for (class, first) in [("a", 0), ("b", 100)] {
            write(
                root.path(),
                &format!("{class}/IMG_{at:03}.jpg"),
                &format!("{}.{}", first + at / 6, 1000 + first + at),
            );
        }
    }
    let (_dir, mut store) = fresh();
    let done = import_scenes(&mut store, root.path());
    let assumed = done.assumed.expect("assumed");
    assert_eq!((done.added, assumed.as_str(), assumed.pictures), (120, "neighbours", 120));
    let bursts = store.counts().expect("counts").bursts;
    assert!(bursts == assumed.bursts && (8..=24).contains(&bursts), "{assumed}");
    assert!(assumed.to_string().contains("that follow each other in a class are alike"), "{assumed}");
    // The same folder again changes nothing.
    let again = import_scenes(&mut store, root.path());
    assert_eq!((again.added, again.duplicates, store.counts().expect("counts").bursts), (0, 120, bursts));
    assert_eq!(store.undo(NOW).expect("undone").affected, 120);
}

#[test]
fn names_say_what_was_taken_together_before_likeness_does() {
    let root = tempfile::tempdir().expect("a folder");
    for at in 0..12 {
        for class in ["a", "b"] {
            let text = format!("{at}.{}", if class == "a" { 50 + at } else { 90 + at });
            write(root.path(), &format!("{class}/person{}_{at}.jpg", ["x", "y", "z"][at % 3]), &text);
        }
    }
    let (_dir, mut store) = fresh();
    let assumed = import_scenes(&mut store, root.path()).assumed.expect("assumed");
    // A person is held out in all classes at once.
    assert_eq!((assumed.as_str(), assumed.bursts, store.counts().expect("counts").bursts), ("names", 3, 3));
    let mut bursts: Vec<_> = store
        .samples(&Default::default(), 100, 0)
        .expect("listed")
        .iter()
        .map(|row| row.burst.clone())
        .collect();
    bursts.dedup();
    assert!(bursts.iter().all(|burst| burst.starts_with("files:")), "{bursts:?}");
}
