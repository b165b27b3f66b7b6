//! Manifests and files that must not get in, each sent to a running daemon by the way that a real one takes (F9).

use super::host::{Made, TestHost, made, noted, now_ms};
use super::{apply, ended, send, taught};
use crate::support::Board;
use graft_wire::{BackboneManifest, Key, timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const QUOTA: u64 = 8_000_000;

/// Signs whatever the manifest says, checks or not.
fn signed(manifest: &mut BackboneManifest, key: &Key) {
    manifest.key_id = key.id();
    manifest.sig = key.sign(manifest.statement().as_bytes());
}

/// Bytes in the folder of backbones.
fn stored(board: &Board) -> u64 {
    let entries = std::fs::read_dir(board.path("state/backbones")).into_iter().flatten().flatten();
    entries.map(|entry| entry.metadata().unwrap().len()).sum()
}

#[test]
fn every_attack_is_refused_with_its_own_reason_and_nothing_is_stored_above_quota() {
    let host = TestHost::start();
    let mut board = Board::new();
    board.set("offload.quota", &format!("{QUOTA} B"));
    board.set("offload.probation_s", "1");
    board.set("camera.fps", "60");
    let board = taught(board, &host.key.public());
    let first = board.json(&["status"])["backbone"]["digest"].clone();
    let base = first.as_str().unwrap();

    // A good one first: attacks with old versions need something to be older than.
    let good = made(noted("good"));
    let manifest = good.offered_by(&host, 5, None, base);
    let job = send(&board, "backbone", &apply(&host, &manifest)).unwrap()["job"].as_str().unwrap().to_owned();
    let done = ended(&board, &job);
    assert_eq!(done["result"]["promoted"], true, "{done:#}");
    let begun = std::time::Instant::now();
    while board.json(&["backbone", "list"])["backbones"][0]["stage"] != "confirmed" {
        assert!(begun.elapsed() < crate::support::PATIENCE, "it is not confirmed\n{}", board.log());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let serving = board.json(&["status"]);
    let head = serving["head"]["version"].clone();

    let mut reasons: Vec<(String, String)> = Vec::new();
    // What the manifest alone gives away: nothing is fetched.
    let plain = || good.offered_by(&host, 6, None, base);
    let resigned = |change: &dyn Fn(&mut BackboneManifest)| {
        let mut forged = plain();
        change(&mut forged);
        signed(&mut forged, &host.key);
        serde_json::to_value(&forged).unwrap()
    };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut forged = serde_json::to_value(plain()).unwrap();
        change(&mut forged);
        forged
    };
    let other_key = Key::from_seed(&mut [9; 32]);
    let by_other = {
        let mut forged = plain();
        signed(&mut forged, &other_key);
        serde_json::to_value(&forged).unwrap()
    };
    let ours = |m: &mut BackboneManifest, job: &str| {
        (m.device, m.group, m.job) = (Some("board".into()), None, Some(job.into()));
    };
    let asked = host.shelf.lock().unwrap().requests.len();
    for (attack, manifest, reason) in [
        ("a forged figure", changed(&|m| m["metrics"]["accuracy"] = json!(0.99)), "bad_signature"),
        ("no signature", changed(&|m| m["sig"] = json!("")), "bad_signature_text"),
        ("a key that is not pinned", by_other, "unknown_key"),
        ("a replay", serde_json::to_value(&manifest).unwrap(), "replayed"),
        ("an older version", resigned(&|m| m.version = 4), "older_version"),
        ("a version of far ahead", resigned(&|m| m.version = 5000), "fast_forward"),
        ("a version that JSON cannot say", resigned(&|m| m.version = 1 << 60), "bad_version"),
        (
            "another device",
            resigned(&|m| {
                ours(m, "9");
                m.device = Some("other".into());
            }),
            "wrong_device",
        ),
        ("another group", resigned(&|m| m.group = Some("line-4".into())), "wrong_group"),
        ("a device and a group", resigned(&|m| m.device = Some("board".into())), "bad_target"),
        ("the result of a job that was not given", resigned(&|m| ours(m, "9")), "wrong_job"),
        ("another line", resigned(&|m| m.line = "mobilenet".into()), "wrong_line"),
        ("a path in a name", resigned(&|m| m.line = "../../etc/passwd".into()), "bad_line"),
        ("a path as a digest", resigned(&|m| m.files.onnx.digest = "sha256:../../x".into()), "bad_files"),
        ("past its time", resigned(&|m| m.expires = timestamp::rfc3339(now_ms() - 1000)), "expired"),
        ("more than there is room for", resigned(&|m| m.files.golden.size = QUOTA), "over_budget"),
        ("another width", resigned(&|m| m.width += 1), "wrong_width"),
    ] {
        let body =
            json!({"action": "apply", "url": host.url, "token": super::host::TOKEN, "manifest": manifest});
        let (_, found) = send(&board, "backbone", &body).unwrap_err();
        assert_eq!(found, reason, "{attack}");
        reasons.push((attack.into(), found));
    }
    // What is no manifest at all is refused where the command is read, with its place.
    for (attack, manifest, place) in [
        ("a field of nobody", changed(&|m| m["run"] = json!("sh")), "there is no field \"run\" here"),
        ("a text where a number belongs", changed(&|m| m["version"] = json!("six")), "version"),
    ] {
        let body =
            json!({"action": "apply", "url": host.url, "token": super::host::TOKEN, "manifest": manifest});
        let (code, message) = send(&board, "backbone", &body).unwrap_err();
        let refused = matches!(code.as_str(), "unknown_field" | "bad_request");
        assert!(refused && message.contains(place), "{attack}: {code}: {message}");
        reasons.push((attack.into(), message));
    }
    let body = json!({"action": "apply", "url": host.url, "token": super::host::TOKEN,
        "manifest": changed(&|m| m["classes"] = json!(vec!["x".repeat(60); 2000]))});
    let (code, _) = send(&board, "backbone", &body).unwrap_err();
    assert_eq!(code, "too_large");
    reasons.push(("endless data".into(), code));
    assert_eq!(host.shelf.lock().unwrap().requests.len(), asked, "something was fetched");

    // What only the files give away.
    let with = |change: &dyn Fn(&mut Made)| {
        let mut bad = made(noted("good"));
        change(&mut bad);
        bad.offered_by(&host, 7, None, base)
    };
    let nan = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8].fill(0xff);
    };
    // Another network than the one that was promised, under its digest.
    let swapped = with(&|m| m.onnx = noted("one"));
    let other = noted("two");
    host.shelf.lock().unwrap().blobs.insert(swapped.files.onnx.hex().to_owned(), other);
    for (attack, manifest, reason) in [
        ("another file under the digest", swapped, "digest_mismatch"),
        ("a network cut short", with(&|m| m.onnx.truncate(900_000)), "onnx_truncated"),
        ("a page for a network", with(&|m| m.onnx = b"<html>not found</html>".to_vec()), "not_onnx"),
        ("a weight that is no number", with(&|m| nan(&mut m.onnx)), "not_finite"),
        (
            "a head of other classes",
            with(&|m| {
                m.weight.truncate(m.width * 3);
                m.bias.truncate(3);
                m.logits.truncate(8 * 3);
            }),
            "wrong_shape",
        ),
        ("a head of another result", with(&|m| m.bias[0] += 1.0), "golden_mixed"),
        ("vectors of another network", with(&|m| m.inputs.reverse()), "golden_mismatch"),
        ("another cut", with(&|m| m.tensor = "elsewhere".into()), "wrong_interface"),
        ("other preprocessing", with(&|m| m.card.mean = [0.1, 0.2, 0.3]), "wrong_preprocess"),
        ("a card of another size", with(&|m| m.card.size = 64), "wrong_input"),
    ] {
        let reply = send(&board, "backbone", &apply(&host, &manifest));
        let job = reply.unwrap_or_else(|e| panic!("{attack}: {e:?}"))["job"].as_str().unwrap().to_owned();
        let ended = ended(&board, &job);
        assert_eq!(ended["error"]["detail"]["reason"], reason, "{attack}: {ended:#}");
        reasons.push((attack.into(), reason.into()));
        assert!(stored(&board) <= QUOTA, "{attack}");
        // Sent again it is not looked at again.
        if reason == "not_finite" {
            assert_eq!(send(&board, "backbone", &apply(&host, &manifest)).unwrap_err().1, "judged");
            reasons.push(("once refused, sent again".into(), "judged".into()));
        }
    }
    let distinct: BTreeSet<_> = reasons.iter().map(|(_, reason)| reason).collect();
    assert_eq!(distinct.len(), reasons.len(), "two attacks share a reason: {reasons:#?}");
    assert!(reasons.len() >= 24, "{}", reasons.len());
    println!("{} attacks, {} reasons", reasons.len(), distinct.len());

    let after = board.json(&["status"]);
    assert_eq!((&after["backbone"], &after["head"]["version"]), (&serving["backbone"], &head));
    assert_eq!(board.json(&["backbone", "list"])["backbones"].as_array().unwrap().len(), 11);
}
