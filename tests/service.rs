//! The main job over a real broker: predict, label, train, gate, swap, publish, restart.

use crate::support::{Board, PATIENCE, block_on, body, broker, operator, order, refused};
use graft_camera::pattern::{CLASSES, PatternSettings, Scene};
use graft_testing::operator::{Message, Operator};
use graft_wire::{Expected, HeadFile, Manifest, PublicKey, parts};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// The scene that [`Board::new`] configures.
pub fn scene() -> Scene {
    Scene::new(PatternSettings {
        width: 160,
        height: 120,
        fps: 20.0,
        hold_frames: 40,
        ..PatternSettings::default()
    })
}

fn is(message: &Message, ending: &str) -> bool {
    message.topic.ends_with(ending)
}

/// Labels of a class that are enough for a head whose answers can be looked at.
const ENOUGH: usize = 10;

/// Labels the frames that are predicted, as a person who knows the truth would, until every class has more than
/// this many bursts, and labels enough: a slow board predicts few frames of each burst.
pub async fn label_truth(operator: &mut Operator, bursts: usize) {
    let scene = scene();
    // Of each class: the bursts, and the number of labels.
    let mut seen = vec![(HashSet::new(), 0usize); CLASSES.len()];
    let mut heard = operator.now();
    while !seen.iter().all(|(those, labels)| those.len() > bursts && *labels >= ENOUGH) {
        let message =
            operator.wait_for(heard, PATIENCE, "a prediction", |m| is(m, "/prediction")).await.unwrap();
        heard = message.number;
        let frame = body(&message)["frame"].as_u64().unwrap();
        if !frame.is_multiple_of(5) {
            continue;
        }
        let (truth, appearance) = (scene.truth(frame), scene.appearance(frame));
        let name = format!("appearance-{appearance}");
        let label = json!({"action": "set", "class": CLASSES[truth], "frame": frame, "burst": name});
        let reply = order(operator, "label", label).await;
        assert!(reply["data"]["sample"].as_i64().is_some(), "{reply}");
        seen[truth].0.insert(appearance);
        seen[truth].1 += 1;
    }
}

/// Reads the published head of a version back and verifies it against the pinned key.
pub async fn published_head(operator: &mut Operator, version: u64) -> (Manifest, HeadFile) {
    let info: Value = serde_json::from_slice(&operator.retained("info", PATIENCE).await.unwrap()).unwrap();
    let key = PublicKey::from_base64(info["public_key"].as_str().unwrap()).unwrap();
    let ours = |m: &Message| is(m, "/head") && body(m)["version"] == version;
    let message = operator.wait_for(0, PATIENCE, "the head", ours).await.unwrap();
    let manifest = Manifest::from_json(&message.payload).unwrap();
    manifest.verify(&key, &Expected { device: Some("board"), ..Expected::default() }).unwrap();
    let mut bytes = HashMap::new();
    for part in &manifest.parts {
        bytes.insert(
            part.n,
            operator.retained(&format!("head/{version}/{}", part.n), PATIENCE).await.unwrap(),
        );
    }
    let file = parts::join(&manifest.parts, |n| bytes.get(&n).map(|b| &b[..])).unwrap();
    let head = manifest.open(&file).unwrap();
    (manifest, head)
}

#[test]
fn from_first_label_to_published_head_and_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    board.start();
    block_on(async {
        let mut operator = operator(&broker).await;
        assert_eq!(operator.retained("availability", PATIENCE).await.unwrap(), "online");
        for class in CLASSES {
            order(&mut operator, "dataset", json!({"action": "add_class", "class": class})).await;
        }
        // Untrained: predictions flow, by version 0, and no label is agreed.
        let message = operator.wait_for(0, PATIENCE, "a prediction", |m| is(m, "/prediction")).await.unwrap();
        assert_eq!(body(&message)["head"], 0);
        assert_eq!(operator.retained("label", PATIENCE).await.unwrap(), "none");
        refused(&mut operator, "head", json!("publish")).await;

        label_truth(&mut operator, 2).await;
        let from = operator.now();
        order(&mut operator, "mode", json!("start")).await;
        let applied = |m: &Message| is(m, "/event") && body(m)["type"] == "head_applied";
        let event = operator.wait_for(from, PATIENCE, "a head", applied).await.unwrap();
        let version = body(&event)["data"]["version"].as_u64().unwrap();
        let (manifest, head) = published_head(&mut operator, version).await;
        assert_eq!(manifest.classes, CLASSES);
        assert_eq!(head.head.classes, CLASSES.len());
        let by_it = |m: &Message| is(m, "/prediction") && body(m)["head"] == version;
        operator.wait_for(from, PATIENCE, "a prediction of the new head", by_it).await.unwrap();

        // Adaptation stays wanted over a power cut, and the head serves again.
        board.kill();
        let gone = |m: &Message| is(m, "/availability") && m.payload == "offline";
        operator.wait_for(from, PATIENCE, "the last will", gone).await.unwrap();
        let from = operator.now();
        board.start();
        let state = |m: &Message| is(m, "/state") && body(m)["head"]["version"] == version;
        let message = operator.wait_for(from, PATIENCE, "the state after the restart", state).await.unwrap();
        assert_eq!(body(&message)["wanted"], "adapt");
        let by_it = |m: &Message| is(m, "/prediction") && body(m)["head"] == version;
        operator.wait_for(from, PATIENCE, "a prediction after the restart", by_it).await.unwrap();

        order(&mut operator, "mode", json!("stop")).await;
        // A roll back is a new version that says where it came from.
        let reply = order(&mut operator, "head", json!({"action": "apply", "version": version})).await;
        let again = reply["data"]["version"].as_u64().unwrap();
        assert!(again > version);
        let (manifest, restored) = published_head(&mut operator, again).await;
        assert_eq!(manifest.restored_from, Some(version));
        assert_eq!(restored.head.weight, head.head.weight);
    });
    board.stop();
    // A clean stop says goodbye itself.
    block_on(async {
        let mut operator = operator(&broker).await;
        assert_eq!(operator.retained("availability", PATIENCE).await.unwrap(), "offline");
    });
}

#[test]
fn commands_given_while_the_board_restarts_are_each_answered_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    let mut expected = Vec::new();
    block_on(async {
        let mut operator = operator(&broker).await;
        for round in ["stop", "kill"] {
            let from = operator.now();
            board.start();
            // It says so once its subscription is in place.
            let online = |m: &Message| is(m, "/availability") && m.payload == "online";
            operator.wait_for(from, PATIENCE, "the board at the broker", online).await.unwrap();
            if round == "stop" {
                board.stop()
            } else {
                board.kill()
            }
            let from = operator.now();
            let ids: Vec<String> = (0..20).map(|n| format!("{round}-{n}")).collect();
            for id in &ids {
                let command = json!({"action": "add_class", "class": id, "id": id}).to_string();
                operator.publish("graft/board/cmd/dataset", command, false).await.unwrap();
            }
            let sent = |m: &Message| is(m, "/cmd/dataset") && body(m)["id"] == ids[19].as_str();
            operator.wait_for(from, PATIENCE, "the last command at the broker", sent).await.unwrap();
            board.start();
            for id in &ids {
                let reply = |m: &Message| is(m, "/reply/dataset") && body(m)["id"] == id.as_str();
                let reply = operator.wait_for(from, PATIENCE, "a reply", reply).await.unwrap();
                assert_eq!(body(&reply)["status"], "ok", "{:?}", reply.payload);
            }
            expected.extend(ids);
            // Behind all replies of before.
            order(&mut operator, "config", json!("get")).await;
            board.stop();
        }
        let replies = operator.messages().into_iter().filter(|m| is(m, "/reply/dataset"));
        let answered: Vec<String> = replies.map(|m| body(&m)["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(answered, expected);
    });
}

#[test]
fn a_round_needs_two_classes_and_says_so() {
    let mut board = Board::new();
    board.start();
    board.until("frames", |s| s["frame"]["id"].as_u64().is_some());
    board.label("bolt");
    let output = board.cli(&["train", "--wait"]);
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(text.contains("class"), "{text}");
    let status = board.json(&["status"]);
    assert!(status["head"].is_null());
}
