//! What a power cut leaves (F8): at every step one backbone with a head that was trained on it, and it runs. And the ways
//! back: by failed starts, by a damaged file, by what the frames are like.

use super::host::{TestHost, made, noted};
use super::{apply, ended, send, taught};
use crate::support::{Board, PATIENCE};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The digest of the backbone that serves, after a look at whether everything fits together.
fn serves(board: &Board) -> String {
    let status = board.until("frames and a head", |s| {
        s["frame"]["id"].as_u64().is_some() && s["head"]["version"].as_u64().is_some()
    });
    let heads = board.json(&["head", "list"]);
    assert_eq!(heads["active"], status["head"]["version"], "{status:#}");
    let head = board.json(&["head", "show", &status["head"]["version"].to_string()]);
    assert_eq!(head["backbone"], status["backbone"]["digest"], "a head of another backbone\n{}", board.log());
    let listed = board.json(&["backbone", "list"]);
    let active = listed["backbones"].as_array().unwrap().iter().find(|b| b["slot"] == "active");
    let digest = status["backbone"]["digest"].as_str().unwrap().to_owned();
    if let Some(active) = active {
        assert_eq!(active["digest"], digest.as_str());
    }
    digest
}

/// Applies the built-in backbone with this note, as this version. Gives the job and the digest.
fn begin(board: &Board, host: &TestHost, version: u64) -> (String, String) {
    let manifest = made(noted(&format!("number {version}"))).offered_by(host, version, None, &base());
    let reply = send(board, "backbone", &apply(host, &manifest)).unwrap();
    (reply["job"].as_str().unwrap().to_owned(), manifest.files.onnx.digest)
}

fn base() -> String {
    graft_wire::digest::sha256(graft_backbone::tiny().0)
}

fn promoted(board: &Board, host: &TestHost, version: u64) -> String {
    let (job, digest) = begin(board, host, version);
    let done = ended(board, &job);
    assert_eq!(done["result"]["promoted"], true, "{done:#}");
    board.until("the pair", |s| s["backbone"]["digest"] == digest.as_str());
    digest
}

#[test]
fn i4_whatever_step_the_power_fails_at_one_valid_pair_runs() {
    let host = TestHost::start();
    let mut board = taught(Board::new(), &host.key.public());
    board.set("offload.probation_s", "1");
    board.set("camera.fps", "60");
    board.stop();
    board.start();
    let mut serving = serves(&board);
    // A step of the job, or a moment after it.
    let mut cuts = vec![("fetch", 0), ("admit", 0), ("embed", 0), ("gate", 0), ("pair", 0), ("pair", 1500)];
    if crate::full() {
        for after in [3, 10, 30, 60, 120, 250, 500, 1000] {
            cuts.extend([("fetch", after), ("admit", after), ("embed", after), ("pair", after)]);
        }
    }
    for (number, (step, after)) in cuts.into_iter().enumerate() {
        let (job, digest) = begin(&board, &host, number as u64 + 1);
        let begun = Instant::now();
        let there = |job: &Value| match step {
            "fetch" => true,
            "pair" => job["status"] == "successful",
            // Steps are short: a later one will do.
            step => job["step"] == step || job["status"] == "successful",
        };
        while !there(&board.json(&["job", "show", &job])) {
            assert!(begun.elapsed() < PATIENCE, "{step} does not come\n{}", board.log());
        }
        std::thread::sleep(Duration::from_millis(after));
        board.kill();
        board.start();
        let now = serves(&board);
        assert!(now == serving || now == digest, "neither the old nor the new pair serves after {step}");
        // What was begun is brought to its end.
        board.until("the new pair", |s| s["backbone"]["digest"] == digest.as_str());
        serving = serves(&board);
        let rows = board.json(&["backbone", "list"]);
        assert_eq!(rows["backbones"][0]["digest"], serving.as_str());
        assert_ne!(rows["backbones"][0]["stage"], "pending");
    }
    let begun = Instant::now();
    while board.json(&["backbone", "list"])["backbones"][0]["stage"] != "confirmed" {
        assert!(begun.elapsed() < PATIENCE, "it is not confirmed\n{}", board.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_pair_before_comes_back_after_three_crashes_a_damaged_file_and_bad_frames() {
    let host = TestHost::start();
    let mut board = taught(Board::new(), &host.key.public());
    let first = serves(&board);
    let back = |board: &Board, why: &str| {
        assert_eq!(serves(board), first, "{why}");
        let row = board.json(&["backbone", "list"])["backbones"][0].clone();
        assert_eq!(row["stage"], "rolled_back", "{row}");
        assert!(row["reason"].as_str().unwrap().contains(why), "{row}");
    };

    // A stop in order is no crash, however often.
    let second = promoted(&board, &host, 1);
    for _ in 0..3 {
        board.stop();
        board.start();
        assert_eq!(serves(&board), second);
    }
    for _ in 0..2 {
        board.kill();
        board.start();
        assert_eq!(serves(&board), second);
    }
    board.kill();
    board.start();
    back(&board, "3 times");

    // A file that is not what it was.
    let third = promoted(&board, &host, 2);
    board.stop();
    let path = board.path(&format!("state/backbones/{}.onnx", third.trim_start_matches("sha256:")));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    board.start();
    back(&board, "SHA-256");

    // Frames that take longer than was allowed, as if the board were another.
    board.set("offload.probation_s", "2");
    promoted(&board, &host, 3);
    board.stop();
    let db = rusqlite::Connection::open(board.path("state/graft.db")).unwrap();
    let strict = json!({"starts": 0, "unknown": null, "frame_ms": 0.001}).to_string();
    let rows = db.execute("UPDATE state SET value = ?1 WHERE key = 'probation'", [strict]).unwrap();
    assert_eq!(rows, 1);
    drop(db);
    board.set("camera.fps", "60");
    board.start();
    board.until("the pair before", |s| s["backbone"]["digest"] == first.as_str());
    back(&board, "are allowed");
    assert!(board.log().contains("rolled_back"), "an event tells of it");
}
