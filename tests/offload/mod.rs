//! Offload as the board sees it, against a host made for tests: the way there, the way back, what is refused, and what a
//! power cut leaves.

mod admission;
mod attacks;
mod crash;
pub mod host;

use crate::service::scene;
use crate::support::{Board, PATIENCE, block_on, body, broker, operator};
use graft::web::Client;
use graft_camera::pattern::CLASSES;
use graft_testing::operator::Message;
use graft_wire::{BackboneManifest, PublicKey};
use host::{TestHost, made, noted};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A board that trusts this host and was taught the scene.
pub fn taught(mut board: Board, host: &PublicKey) -> Board {
    board.set("offload.host_keys", &json!([host.base64()]).to_string());
    board.set("offload.group", "line-3");
    // What a frame takes on a busy machine is no question of these tests.
    board.set("offload.max_frame_ms", "60000");
    board.set("learn.head", "ridge");
    let (folder, scene) = (board.path("pictures"), scene());
    for class in CLASSES {
        std::fs::create_dir_all(folder.join(class)).unwrap();
    }
    let mut seen = [0; CLASSES.len()];
    for n in (0..).step_by(40) {
        let truth = scene.truth(n);
        if seen[truth] < 6 {
            seen[truth] += 1;
            let jpeg = graft_camera::encode_jpeg(&scene.render(n), 90);
            std::fs::write(folder.join(CLASSES[truth]).join(format!("{n}.jpg")), jpeg).unwrap();
        }
        if seen.iter().all(|count| *count == 6) {
            break;
        }
    }
    board.start();
    board.json(&["dataset", "import", "--wait", folder.to_str().unwrap()]);
    board.json(&["train", "--wait"]);
    board.until("a head", |status| status["head"]["version"] == 1);
    board
}

/// Sends a command over the socket; gives the reply, or the code of the refusal and its reason.
fn send(board: &Board, op: &str, body: &Value) -> Result<Value, (String, String)> {
    // On a thread of its own: the client brings a runtime.
    let socket = board.path("graft.sock");
    let answer = std::thread::scope(|s| s.spawn(|| Client::new(socket).command(op, body)).join().unwrap());
    answer.map_err(|error| match error {
        graft::web::ClientError::Refused { error, reply, .. } => {
            let reason = reply.pointer("/error/detail/reason").and_then(Value::as_str);
            (error.code.to_string(), reason.map_or(error.message, str::to_owned))
        }
        other => panic!("{op} {body}: {other}"),
    })
}

/// Waits for the end of a job.
pub fn ended(board: &Board, job: &str) -> Value {
    let begun = Instant::now();
    loop {
        let job = board.json(&["job", "show", job]);
        if matches!(job["status"].as_str(), Some("successful" | "failed" | "canceled")) {
            return job;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end: {job:#}\n{}", board.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the host's shelf says so.
fn shelf(board: &Board, host: &TestHost, what: &str, wanted: impl Fn(&host::Shelf) -> bool) {
    let begun = Instant::now();
    while !wanted(&host.shelf.lock().unwrap()) {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}\n{}", board.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn apply(host: &TestHost, manifest: &BackboneManifest) -> Value {
    json!({"action": "apply", "url": host.url, "token": host::TOKEN, "manifest": manifest})
}

fn fed(shelf: &host::Shelf) -> bool {
    let Some(list) = &shelf.list else { return false };
    let dataset = graft_wire::offload::Dataset::from_json(list.to_string().as_bytes()).unwrap();
    dataset.blobs().iter().all(|b| shelf.asked.get(b.hex()).is_some_and(|have| have.len() as u64 == b.size))
}

#[test]
fn from_offer_to_promoted_pair_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let host = TestHost::start();
    let mut board = Board::on(&broker);
    board.set("offload.upload_rate", "300 KB");
    let mut board = taught(board, &host.key.public());
    let before = board.json(&["status"]);
    let job = send(&board, "offload", &json!("start")).unwrap()["job"].as_str().unwrap().to_owned();
    send(&board, "offload", &json!("cancel")).unwrap();
    assert_eq!(ended(&board, &job)["status"], "canceled");
    assert_eq!(send(&board, "offload", &host.claim(&job, "first")).unwrap_err().0, "not_found");
    let job = send(&board, "offload", &json!({"action": "start", "recipe": "gradual"})).unwrap();
    let job = job["job"].as_str().unwrap().to_owned();
    let again = send(&board, "offload", &json!("start")).unwrap_err();
    assert_eq!(again.0, "busy");
    block_on(async {
        let mut operator = operator(&broker).await;
        let topic = format!("/offload/{job}");
        let offer = |state: &'static str| {
            let topic = topic.clone();
            move |m: &Message| m.topic.ends_with(&topic) && body(m)["state"] == state
        };
        let message = operator.wait_for(0, PATIENCE, "the offer", offer("offered")).await.unwrap();
        assert_eq!(body(&message)["recipe"], "gradual");
        assert_eq!(body(&message)["dataset"]["samples"], 24);
        // The first piece finds the host busy: what came before it stays, and the rest follows.
        host.shelf.lock().unwrap().faults = 1;
        let mut stranger = host.claim(&job, "stranger");
        stranger["sig"] = "A".repeat(88).into();
        assert_eq!(send(&board, "offload", &stranger).unwrap_err().0, "bad_signature");
        send(&board, "offload", &host.claim(&job, "first")).unwrap();
        assert_eq!(send(&board, "offload", &host.claim(&job, "second")).unwrap_err().0, "conflict");
        operator.wait_for(0, PATIENCE, "the yes", offer("claimed")).await.unwrap();
    });
    // In the middle of the transfer the power fails.
    shelf(&board, &host, "some files", |shelf| shelf.requests.len() > 6);
    board.kill();
    let pieces = host.shelf.lock().unwrap().requests.len();
    board.start();
    shelf(&board, &host, "every file", fed);
    {
        let shelf = host.shelf.lock().unwrap();
        assert!(shelf.requests.contains(&"fault".to_owned()));
        let twice = shelf.requests.iter().filter(|r| r.starts_with("bytes 0-")).count();
        let files = shelf.asked.len();
        assert!(twice <= files + 2, "{twice} beginnings of {files} files, {pieces} before the cut");
        let samples = shelf.list.as_ref().unwrap()["samples"].as_array().unwrap();
        assert!(samples.iter().any(|s| s["split"] == "val") && samples.iter().any(|s| s["split"] == "train"));
    }
    let begun = Instant::now();
    while board.json(&["offload", "status"])["offered"]["fed"] != true {
        assert!(begun.elapsed() < PATIENCE, "the board does not see that all is there\n{}", board.log());
    }
    let told = json!({"action": "progress", "job": job, "host": "first", "stage": "full", "step": 3, "steps": 9, "loss": 0.5});
    send(&board, "offload", &told).unwrap();
    assert_eq!(board.json(&["job", "show", &job])["progress"]["done"], 3.0);

    let base = before["backbone"]["digest"].as_str().unwrap();
    let manifest = made(noted("first")).offered_by(&host, 1, Some(&job), base);
    let result = json!({"action": "result", "job": job, "host": "first", "manifest": manifest});
    let other = json!({"action": "result", "job": job, "host": "second", "manifest": manifest});
    assert_eq!(send(&board, "offload", &other).unwrap_err().0, "conflict");
    let foreign = made(noted("first")).offered_by(&host, 1, Some(&job), &graft_wire::digest::sha256(b"x"));
    let foreign = json!({"action": "result", "job": job, "host": "first", "manifest": foreign});
    assert_eq!(send(&board, "offload", &foreign).unwrap_err().1, "wrong_base");
    host.shelf.lock().unwrap().cut = Some(200_000);
    send(&board, "offload", &result).unwrap();
    let done = ended(&board, &job);
    assert_eq!(
        (&done["status"], &done["result"]["promoted"]),
        (&json!("successful"), &json!(true)),
        "{done:#}"
    );
    let after = board.until("the pair", |s| s["backbone"]["digest"] == manifest.files.onnx.digest.as_str());
    assert!(after["head"]["version"].as_u64() > before["head"]["version"].as_u64());
    let offered = board.json(&["offload", "status"]);
    assert!(offered["offered"].is_null(), "{offered:#}");
    block_on(async {
        let operator = operator(&broker).await;
        let begun = Instant::now();
        while operator.holds(&format!("offload/{job}")).is_some_and(|offer| !offer.is_empty()) {
            assert!(begun.elapsed() < PATIENCE, "the offer stays");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let listed = board.json(&["backbone", "list"]);
    assert_eq!((&listed["backbones"][0]["slot"], &listed["probation"]), (&json!("active"), &json!(true)));

    assert!(!board.log().contains("embedded anew"), "what was embedded for the trial was thrown away");

    // It serves after a restart, labels go on, and the pair before comes back on request.
    board.stop();
    board.start();
    board.until("frames", |s| s["frame"]["id"].as_u64().is_some());
    assert_eq!(board.json(&["status"])["backbone"]["digest"], manifest.files.onnx.digest.as_str());
    board.label(CLASSES[0]);
    let restored = board.json(&["backbone", "rollback"]);
    assert!(restored["data"]["version"].as_u64() > after["head"]["version"].as_u64());
    board.until("the pair before", |s| s["backbone"]["digest"] == base);
    assert_eq!(board.cli(&["backbone", "rollback"]).status.code(), Some(5));
    let judged =
        send(&board, "backbone", &apply(&host, &made(noted("first")).offered_by(&host, 1, None, base)));
    assert!(judged.is_ok(), "another manifest is another judgement: {judged:?}");
}

/// Pictures of which a quarter bears the wrong label: more of them would not help, and the round says so.
#[test]
fn a_job_is_offered_by_itself_when_a_round_advises_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let host = TestHost::start();
    let mut board = Board::on(&broker);
    board.set("offload.automatic", "true");
    board.set("offload.host_keys", &json!([host.key.public().base64()]).to_string());
    board.set("learn.head", "ridge");
    let (folder, scene) = (board.path("pictures"), scene());
    for (number, n) in (0u64..80 * 40).step_by(40).enumerate() {
        let class = CLASSES[(scene.truth(n) + usize::from(number % 4 == 3)) % CLASSES.len()];
        // A folder is a burst.
        let burst = folder.join(class).join(format!("{n}"));
        std::fs::create_dir_all(&burst).unwrap();
        for frame in 0..2 {
            let jpeg = graft_camera::encode_jpeg(&scene.render(n + frame), 90);
            std::fs::write(burst.join(format!("{frame}.jpg")), jpeg).unwrap();
        }
    }
    board.start();
    board.json(&["dataset", "import", "--wait", folder.to_str().unwrap()]);
    board.json(&["train", "--wait"]);
    let advised =
        board.until("a head", |s| s["head"]["version"].as_u64().is_some())["advice"]["next"].clone();
    assert_eq!(advised, "fine_tune");
    let begun = Instant::now();
    while board.json(&["offload", "status"])["offered"]["offer"]["state"] != "offered" {
        assert!(begun.elapsed() < PATIENCE, "nothing is offered\n{}", board.log());
    }
    // Once cancelled it is not offered again for the same samples.
    let job = send(&board, "offload", &json!("cancel")).unwrap()["job"].as_str().unwrap().to_owned();
    assert_eq!(ended(&board, &job)["status"], "canceled");
    board.json(&["train", "--wait"]);
    board.until("the head of that round", |s| s["head"]["version"] == 2);
    assert!(board.json(&["offload", "status"])["offered"].is_null());
}
