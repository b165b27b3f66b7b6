//! Samples on the page: the last half minute, bursts, bulk changes, what is near, pictures in and out.

use super::Page;
use crate::support::PATIENCE;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Cursor, Read, Write};
use std::time::{Duration, Instant};
use zip::write::SimpleFileOptions;

/// A zip with these files.
fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Three JPEGs that differ.
fn pictures(page: &Page) -> [Vec<u8>; 3] {
    let frames = page.frames(3);
    [0, 1, 2].map(|at| page.get(&format!("ring/{}/image", frames[at])).body)
}

fn classes(page: &Page) -> Value {
    page.see("dataset")["counts"].clone()
}

#[test]
fn what_has_passed_is_labelled_and_bursts_are_changed_as_one() {
    let page = Page::start(|_| {});
    let frames = page.frames(6);
    let image = page.get(&format!("ring/{}/image", frames[0]));
    assert!(image.status == 200 && image.body.starts_with(&[0xff, 0xd8]), "{image:?}");
    assert_eq!(page.get("ring/999999999/image").refusal(), (404, "not_found".into()));
    let ok = page.burst("ok", "b1", &frames[..3]);
    let no = page.burst("no", "b2", &frames[3..]);
    let ring = page.see("ring");
    let named = ring["frames"].as_array().unwrap().iter().find(|f| f["frame"] == frames[1]).unwrap();
    assert_eq!((&named["sample"], &named["class"]), (&json!(ok[1]), &json!("ok")), "{ring}");
    let bursts = page.see("bursts");
    assert_eq!(bursts["total"], 2);
    let first = &bursts["bursts"][0];
    assert_eq!((&first["burst"], &first["class"], &first["ids"]), (&json!("b2"), &json!("no"), &json!(no)));
    assert_eq!(
        (&first["samples"], &first["first"], &first["suspect"]),
        (&json!(3), &json!(no[0]), &json!(0))
    );
    assert_eq!(page.see("bursts?class=ok&limit=1")["total"], 1);
    assert_eq!(page.get("bursts?limit=101").refusal(), (400, "bad_request".into()));

    let moved = page.order("label", json!({"action": "relabel", "burst": "b2", "class": "ok"}));
    assert_eq!(moved["data"]["affected"], 3, "{moved}");
    assert_eq!(classes(&page), json!({"ok": 6, "no": 0}));
    page.order("label", json!({"action": "undo"}));
    assert_eq!(classes(&page), json!({"ok": 3, "no": 3}), "one step takes all back");
    page.order("label", json!({"action": "delete", "samples": [ok[0], no[0]]}));
    assert_eq!(classes(&page), json!({"ok": 2, "no": 2}));
    page.order("label", json!({"action": "undo"}));
    page.order("label", json!({"action": "delete", "burst": "b1"}));
    assert_eq!(classes(&page), json!({"ok": 0, "no": 3}));
    page.order("label", json!({"action": "undo"}));
    assert_eq!(classes(&page), json!({"ok": 3, "no": 3}));
    for body in [
        json!({"action": "delete"}),
        json!({"action": "delete", "sample": 1, "burst": "b1"}),
        json!({"action": "relabel", "samples": [], "class": "ok"}),
    ] {
        let answer = page.post("cmd/label", body.to_string().as_bytes());
        assert_eq!(answer.refusal(), (400, "bad_request".into()), "{body}");
    }
    let none = page.post("cmd/label", br#"{"action":"delete","burst":"none"}"#);
    assert_eq!(none.refusal(), (404, "not_found".into()));
    // All or none.
    let one_gone = json!({"action": "delete", "samples": [ok[0], 99_999]}).to_string();
    assert_eq!(page.post("cmd/label", one_gone.as_bytes()).refusal(), (404, "not_found".into()));
    assert_eq!(classes(&page), json!({"ok": 3, "no": 3}));
}

#[test]
fn a_picture_is_answered_and_a_head_is_looked_into() {
    let page = Page::start(|_| {});
    let [picture, ..] = pictures(&page);
    let said = page.post("predict", &picture);
    assert_eq!(
        (said.status, &said.json()["why"], &said.json()["label"]),
        (200, &json!("no_head"), &json!(null))
    );
    assert_eq!(page.see("held_out"), json!({"head": null, "rows": [], "total": 0}));
    for (class, burst) in [("ok", "b1"), ("no", "b2"), ("ok", "b3"), ("no", "b4")] {
        let frames = page.frames(4);
        page.burst(class, burst, &frames);
    }
    let job = page.order("train", json!({"action": "start"}))["job"].as_str().unwrap().to_owned();
    page.ended(&job);
    page.until("status", |status| status["head"].is_object());
    let said = page.post("predict", &picture).json();
    let top = said["top"].as_array().unwrap();
    assert!(top.len() == 2 && said["head"].as_u64() > Some(0), "{said}");
    let label = said["label"].as_str();
    assert!(label.is_some() || said["why"] == "unknown", "{said}");
    let held_out = page.see("held_out");
    let rows = held_out["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 16, "{held_out}");
    let right: Vec<bool> = rows.iter().map(|row| row["class"] == row["said"]).collect();
    assert!(right.is_sorted(), "wrong ones come first: {held_out}");
    let sample = rows[0]["id"].as_i64().unwrap();
    let near = page.see(&format!("samples/{sample}/near"));
    let own = near["own"].as_array().unwrap();
    assert!(near["class"] == rows[0]["class"] && own.len() == 4, "{near}");
    assert!(own.iter().all(|near| near["similarity"].as_f64().is_some_and(|s| s <= 1.001)), "{near}");
    assert_eq!(near["said"].is_null(), rows[0]["class"] == rows[0]["said"], "{near}");
    assert_eq!(page.get("samples/99999/near").refusal(), (404, "not_found".into()));
}

#[test]
fn pictures_come_in_as_a_zip_and_all_goes_out_again() {
    let page = Page::start(|_| {});
    let [a, b, c] = pictures(&page);
    let zip = zipped(&[
        ("parts/<img src=x onerror=alert(1)>/1.jpg", &a),
        ("parts/no/2.jpg", &b),
        ("../../../evil.jpg", &c),
        ("parts/no/../../../evil2.jpg", &c),
        ("parts/run.sh", b"#!/bin/sh"),
    ]);
    let taken = page.post("import", &zip);
    assert_eq!(taken.status, 202, "{taken:?}");
    let job = page.ended(taken.json()["job"].as_str().unwrap());
    assert_eq!((&job["status"], &job["result"]["added"]), (&json!("successful"), &json!(2)), "{job}");
    // HTML in a name is a name.
    let html = "<img src=x onerror=alert(1)>";
    assert_eq!(classes(&page), json!({html: 1, "no": 1}));
    assert_eq!(page.see("dataset")["classes"][0], html);
    let one = page.post("import?class=ok", &c);
    assert_eq!(page.ended(one.json()["job"].as_str().unwrap())["status"], "successful");
    assert_eq!(classes(&page)["ok"], 1);
    // Nothing is left over, inside the state folder or beside it.
    let left = |folder: &str| std::fs::read_dir(page.board.path(folder)).map_or(0, |entries| entries.count());
    assert_eq!(left("state/imports"), 0);
    let names: BTreeSet<_> =
        std::fs::read_dir(page.board.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("evil")), "{names:?}");

    let export = page.get("export");
    assert_eq!((export.status, export.header("content-type")), (200, Some("application/zip")));
    let begun = Instant::now();
    while left("state/exports") > 0 {
        assert!(begun.elapsed() < PATIENCE, "what was written for the download goes");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(&export.body)).unwrap();
    let names: Vec<String> =
        (0..archive.len()).map(|at| archive.by_index(at).unwrap().name().unwrap().into_owned()).collect();
    assert!(names.iter().any(|name| name == "samples.jsonl"), "{names:?}");
    let mut lines = String::new();
    archive.by_name("samples.jsonl").unwrap().read_to_string(&mut lines).unwrap();
    assert_eq!(lines.lines().count(), 3);
    let second = Page::start(|_| {});
    let taken = second.post("import", &export.body);
    assert_eq!(second.ended(taken.json()["job"].as_str().unwrap())["result"]["added"], 3);
    assert_eq!(classes(&second), classes(&page));
}
