//! Commands that are wrong, late, doubled or retained: each is answered with its code, none has a partial
//! effect.

mod documented;

use crate::support::{Board, PATIENCE, block_on, body, broker, operator, order, refused};
use graft_testing::operator::Message;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn every_wrong_command_is_answered_with_its_code_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    board.start();
    board.until("frames", |s| s["frame"]["id"].is_u64());
    block_on(async {
        let mut operator = operator(&broker).await;
        order(&mut operator, "dataset", json!({"action": "add_class", "class": "ok"})).await;
        let before = board.json(&["status"])["dataset"].clone();
        let table = [
            ("label", json!({"action": "set", "clas": "ok"}), "unknown_field"),
            ("label", json!({"action": "set"}), "bad_request"),
            ("label", json!({"action": "set", "class": 7}), "bad_request"),
            ("label", json!({"action": "set", "class": "a/b"}), "bad_request"),
            ("label", json!({"action": "set", "class": "ok", "frame": 99_999_999}), "not_found"),
            ("label", json!({"action": "fly"}), "bad_request"),
            ("label", json!({"action": "relabel", "sample": 12345, "class": "ok"}), "not_found"),
            ("label", json!({"action": "set", "class": "ok", "expires": "2001-01-01T00:00:00Z"}), "expired"),
            ("label", json!({"action": "set", "class": "ok", "if_rev": 9999}), "conflict"),
            ("capture", json!("stop"), "not_found"),
            ("capture", json!({"action": "start", "class": "ok", "seconds": 0}), "bad_request"),
            ("dataset", json!({"action": "add_class", "class": "ok"}), "conflict"),
            (
                "dataset",
                json!({"action": "remove_class", "class": "none such", "dry_run": false}),
                "not_found",
            ),
            ("dataset", json!({"action": "import", "path": "/etc"}), "denied"),
            ("dataset", json!({"action": "import", "path": "../.."}), "denied"),
            ("dataset", json!({"action": "export", "path": "/tmp/x"}), "denied"),
            ("head", json!("publish"), "not_found"),
            ("head", json!("rollback"), "not_found"),
            ("head", json!({"action": "apply", "version": 77}), "not_found"),
            ("head", json!({"action": "pin"}), "not_found"),
            ("job", json!({"action": "cancel", "job": "12"}), "not_found"),
            ("config", json!({"action": "set", "values": {"predict.hertz": 1}}), "unknown_field"),
            ("config", json!({"action": "set", "values": {"mqtt.host": "elsewhere"}}), "bad_request"),
            ("config", json!({"action": "set", "values": {"predict.max_hz": "often"}}), "bad_request"),
            ("telepathy", json!({"action": "start"}), "unsupported"),
        ];
        for (op, command, code) in table {
            let error = refused(&mut operator, op, command.clone()).await;
            assert_eq!(error["code"], code, "{op} {command}: {error}");
            assert!(error["message"].as_str().is_some_and(|m| m.len() > 15), "{error}");
        }
        let error = refused(&mut operator, "label", json!({"action": "set", "clas": "ok"})).await;
        assert_eq!(
            (&error["detail"]["pointer"], &error["detail"]["nearest"]),
            (&json!("/clas"), &json!("class"))
        );
        for garbage in [&b"\xff\xfe"[..], b"", b"{", b"[1,2", &[b'{'; 70_000]] {
            let reply = operator.command_bytes("label", garbage.to_vec(), PATIENCE).await.unwrap();
            let reply: Value = serde_json::from_slice(&reply).unwrap();
            assert_eq!(reply["status"], "error");
        }
        let after = board.json(&["status"])["dataset"].clone();
        assert_eq!(after["counts"], before["counts"], "nothing was stored");
        assert_eq!(after["rev"], before["rev"]);
    });
}

#[test]
fn a_repeated_id_takes_effect_once_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    board.start();
    board.until("frames", |s| s["frame"]["id"].is_u64());
    let command = json!({"action": "set", "class": "ok", "id": "once"});
    let first = block_on(async {
        let mut operator = operator(&broker).await;
        let first = order(&mut operator, "label", command.clone()).await;
        assert_eq!(order(&mut operator, "label", command.clone()).await, first);
        first
    });
    board.kill();
    board.start();
    block_on(async {
        let mut operator = operator(&broker).await;
        assert_eq!(order(&mut operator, "label", command.clone()).await, first);
    });
    assert_eq!(board.json(&["status"])["dataset"]["counts"], json!({"ok": 1}));
}

#[test]
fn a_retained_command_is_ignored_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    block_on(async {
        let mut operator = operator(&broker).await;
        operator.publish("graft/board/cmd/mode", "adapt", true).await.unwrap();
        board.start();
        let told = |m: &Message| m.topic.ends_with("/event") && body(m)["type"] == "retained_command";
        operator.wait_for(0, PATIENCE, "the retained command's event", told).await.unwrap();
    });
    assert_eq!(board.json(&["status"])["wanted"], "infer");
}

/// A round is under way when the power fails: its message at the broker does not stay `executing`.
#[test]
fn a_job_that_a_kill_cut_off_is_told_as_ended() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let host = graft_wire::Key::from_seed(&mut [7; 32]);
    let mut board = crate::offload::taught(Board::on(&broker), &host.public());
    let job = block_on(async {
        let mut operator = operator(&broker).await;
        let reply = order(&mut operator, "train", json!("start")).await;
        // The store works in order: once this is answered, the job is on disk too.
        order(&mut operator, "dataset", json!({"action": "add_class", "class": "later"})).await;
        reply["job"].as_str().unwrap().to_owned()
    });
    board.kill();
    board.start();
    let told = block_on(async {
        let mut operator = operator(&broker).await;
        let topic = format!("/job/{job}");
        let ended = |m: &Message| m.topic.ends_with(&topic) && body(m)["status"] != "executing";
        body(&operator.wait_for(0, PATIENCE, "the end of the job", ended).await.unwrap())
    });
    assert_eq!(board.json(&["job", "show", &job])["status"], told["status"]);
    if told["status"] == "canceled" {
        assert!(told["error"]["message"].as_str().unwrap().contains("restarted"), "{told}");
    }
}

#[test]
fn a_second_label_of_a_frame_corrects_the_first_and_undo_takes_steps_back() {
    let mut board = Board::new();
    board.start();
    board.until("frames", |s| s["frame"]["id"].is_u64());
    let first = board.label("good");
    let frame = first["data"]["frame"].as_u64().unwrap().to_string();
    let second = board.json(&["label", "set", "bad", "--frame", &frame]);
    assert_eq!(first["data"]["sample"], second["data"]["sample"]);
    assert_eq!(board.json(&["status"])["dataset"]["counts"], json!({"good": 0, "bad": 1}));
    board.json(&["label", "undo"]);
    assert_eq!(board.json(&["status"])["dataset"]["counts"]["good"], 1);
}

#[test]
fn settings_change_while_it_runs_and_stay_changed() {
    let mut board = Board::new();
    board.start();
    board.json(&["config", "set", "learn.new_samples=3"]);
    let shown = |board: &Board| board.json(&["status"])["adaptation"]["needed"].clone();
    assert_eq!(shown(&board), 3);
    board.stop();
    board.start();
    assert_eq!(shown(&board), 3);
}

#[test]
fn a_lost_camera_is_told_survived_and_found_again() {
    let mut board = Board::new();
    let pictures = board.path("pictures");
    let scene = crate::service::scene();
    std::fs::create_dir_all(&pictures).unwrap();
    for n in 0..4u64 {
        let jpeg = graft_camera::encode_jpeg(&scene.render(n), 90);
        std::fs::write(pictures.join(format!("{n}.jpg")), jpeg).unwrap();
    }
    let command = format!("while true; do cat {}/*.jpg; sleep 0.05; done", pictures.display());
    board.set("camera.source", "pipe");
    board.set("camera.command", &command);
    board.start();
    board.until("frames", |s| s["frame"]["id"].is_u64() && s["reasons"] == json!([]));
    let gone = board.path("gone");
    std::fs::rename(&pictures, &gone).unwrap();
    board.until("the loss", |s| {
        s["reasons"] == json!(["camera_lost"]) && s["frame"]["age_ms"].as_u64() > Some(2000)
    });
    // A stale picture is never labelled.
    let output = board.cli(&["label", "set", "ok"]);
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&gone, &pictures).unwrap();
    board.until("the return", |s| s["reasons"] == json!([]) && s["frame"]["age_ms"].as_u64() < Some(1000));
    board.label("ok");
}

#[test]
fn a_capture_of_some_seconds_ends_by_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    let pictures = board.path("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let jpeg = graft_camera::encode_jpeg(&crate::service::scene().render(0), 90);
    std::fs::write(pictures.join("rest.jpg"), jpeg).unwrap();
    let command = format!("while true; do cat {}/*.jpg; sleep 0.05; done", pictures.display());
    board.set("camera.source", "pipe");
    board.set("camera.command", &command);
    board.start();
    // Asks again while a busy machine has no fresh frame.
    let capture = |seconds: &str| {
        let begun = Instant::now();
        loop {
            let output = board.cli(&["capture", "start", "--class", "ok", "--seconds", seconds]);
            match output.status.code() {
                Some(0) => break,
                Some(69) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(50)),
                _ => panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
            }
        }
    };
    block_on(async {
        let mut operator = operator(&broker).await;
        let captured = |m: &Message| m.topic.ends_with("/event") && body(m)["type"] == "captured";
        // A scene at rest: after 0, ¼, ½, 1 and 2 s a frame is kept; no number of samples ends it.
        let from = operator.now();
        capture("2");
        let ended = operator.wait_for(from, PATIENCE, "the end of the capture", captured).await.unwrap();
        let kept = body(&ended)["data"]["kept"].as_u64().unwrap();
        assert!((1..=5).contains(&kept), "{}", body(&ended));
        assert_eq!(
            body(&ended)["data"]["waiting_for"],
            "only ok has samples: capture one burst of a second class"
        );
        // A camera that gives no frame any more.
        let from = operator.now();
        capture("4");
        std::fs::rename(&pictures, board.path("gone")).unwrap();
        operator.wait_for(from, PATIENCE, "the end of the capture", captured).await.unwrap();
    });
}
