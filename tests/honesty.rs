//! What the daemon says of its own knowledge: advice, suspect labels, a camera that shows nothing. Kept over restarts.

use crate::support::{Board, PATIENCE, block_on, broker, operator};
use graft_base::frame::Rgb;
use graft_camera::encode_jpeg;
use graft_camera::pattern::{CLASSES, PatternSettings, Scene};
use graft_testing::operator::Message;
use serde_json::json;
use std::path::Path;

/// Pictures of the drawn scene, a folder a class, `wrong` of them in the folder of the next class. Gives the classes that these
/// really are.
fn lesson(folder: &Path, pictures: u64, wrong: &[u64]) -> Vec<&'static str> {
    let hold = 10;
    let scene =
        Scene::new(PatternSettings { width: 160, height: 120, hold_frames: hold, ..Default::default() });
    let mut truth = Vec::new();
    for picture in 0..pictures {
        let n = picture * u64::from(hold) + 3;
        let class = scene.truth(n);
        let mut told = class;
        if wrong.contains(&picture) {
            told = (class + 1) % CLASSES.len();
            truth.push(CLASSES[class]);
        }
        let dir = folder.join(CLASSES[told]);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{picture:03}.jpg")), encode_jpeg(&scene.render(n), 92)).unwrap();
    }
    truth.sort_unstable();
    truth
}

#[test]
fn advice_suspects_and_a_black_camera_are_told_and_survive_a_power_cut() {
    let mut board = Board::new();
    let black = board.path("black");
    std::fs::create_dir(&black).unwrap();
    for picture in ["a.jpg", "b.jpg"] {
        std::fs::write(black.join(picture), encode_jpeg(&Rgb::black(160, 120), 90)).unwrap();
    }
    board.set("camera.source", "directory");
    board.set("camera.path", black.to_str().unwrap());
    board.set("camera.repeat", "true");
    board.set("capture.burst_gap_s", "0.5");
    // Things fill more of the centred square: what is wrong then stands out in so few pictures.
    board.set("backbone.crop", "center");
    board.start();
    let folder = board.path("lesson");
    let wrong: Vec<u64> = vec![5, 22, 39];
    let truth = lesson(&folder, 96, &wrong);
    board.json(&["dataset", "import", "--wait", folder.to_str().unwrap()]);
    let job = board.json(&["train", "--wait"]);
    let advice = &job["metrics"]["advice"];
    assert!(advice["next"].is_string() && advice["similarity"].is_number(), "{advice}");
    assert_eq!(advice["curve"].as_array().unwrap().len(), 4, "{advice}");
    assert_eq!(board.json(&["status"])["advice"], *advice);

    let list = |board: &Board| board.json(&["dataset", "suspects"])["suspects"].as_array().unwrap().clone();
    let found = list(&board);
    let mut said: Vec<&str> = found.iter().take(3).map(|row| row["said"].as_str().unwrap()).collect();
    said.sort_unstable();
    assert_eq!(said, truth, "{found:#?}");
    let saved = board.path("look");
    board.json(&["dataset", "suspects", "--limit", "1", "--save", saved.to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(&saved).unwrap().count(), 1);

    let dark =
        |status: &serde_json::Value| status["drift"]["fault"] == "black" && status["drift"]["head"] == 1;
    let drift = board.until("a black camera", dark)["drift"].clone();
    assert_eq!(drift["verdict"], "camera_fault");
    board.kill();
    // A camera that gives nothing at all, so that all that is said is what was kept.
    board.set("camera.source", "pipe");
    board.set("camera.command", "sleep 600");
    board.start();
    let status = board.json(&["status"]);
    assert_eq!((&status["advice"], &status["drift"]), (advice, &drift));
    assert_eq!(list(&board), found);

    let first = found[0]["id"].to_string();
    board.json(&["label", "relabel", &first, found[0]["said"].as_str().unwrap()]);
    assert_eq!(list(&board).len(), found.len() - 1, "one that was looked at is off the list");
}

#[test]
fn a_lost_camera_takes_its_label_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    let (seen, gone) = (board.path("seen"), board.path("gone"));
    std::fs::create_dir_all(&seen).unwrap();
    let folder = board.path("lesson");
    lesson(&folder, 96, &[]);
    let class = CLASSES[0];
    let mut pictures = std::fs::read_dir(folder.join(class)).unwrap();
    std::fs::copy(pictures.next().unwrap().unwrap().path(), seen.join("one.jpg")).unwrap();
    board.set("camera.source", "pipe");
    board.set("camera.command", &format!("while true; do cat {}/*.jpg; sleep 0.05; done", seen.display()));
    board.set("predict.threshold", "0");
    board.start();
    board.json(&["dataset", "import", "--wait", folder.to_str().unwrap()]);
    board.json(&["train", "--wait"]);
    block_on(async {
        let mut operator = operator(&broker).await;
        let says = |label: &str| {
            let label = label.to_owned();
            move |m: &Message| m.topic.ends_with("/board/label") && m.payload == label
        };
        operator.wait_for(0, PATIENCE, "the class of the picture", says(class)).await.unwrap();
        let from = operator.now();
        std::fs::rename(&seen, &gone).unwrap();
        operator.wait_for(from, PATIENCE, "no label", says("none")).await.unwrap();
        assert_eq!(board.json(&["status"])["reasons"], json!(["camera_lost"]));
        let from = operator.now();
        std::fs::rename(&gone, &seen).unwrap();
        operator.wait_for(from, PATIENCE, "the same class again", says(class)).await.unwrap();

        // What the broker kept of the last start does not outlive the next one's begin.
        board.kill();
        std::fs::rename(&seen, &gone).unwrap();
        let from = operator.now();
        board.start();
        operator.wait_for(from, PATIENCE, "no label at the start", says("none")).await.unwrap();
    });
}

/// Samples are cut anew where their pictures show enough of the frame; otherwise they are set aside, and it is said.
#[test]
fn another_region_cuts_samples_anew_or_sets_them_aside() {
    let mut board = Board::new();
    board.set("camera.width", "320");
    board.set("camera.height", "180");
    board.start();
    board.until("frames", |s| s["frame"]["id"].is_u64());
    for class in ["a", "b"] {
        board.label(class);
        board.json(&["dataset", "seal"]);
    }
    let restart = |board: &mut Board, roi: &str, crop: &str| {
        board.stop();
        board.set("backbone.roi", roi);
        board.set("backbone.crop", crop);
        board.start();
    };
    let trains = |board: &Board| board.cli(&["--json", "train", "--wait"]).status.success();
    let aside = |status: &serde_json::Value| status["dataset"]["set_aside"].as_u64();
    assert!(trains(&board), "the whole frame");
    // All of the frame is there: any part of it can be cut.
    restart(&mut board, "[0.25, 0, 0.5, 1]", "whole");
    board.until("a round", |_| trains(&board));
    assert_eq!(aside(&board.json(&["status"])), None);
    board.json(&["dataset", "clear", "--yes"]);
    for class in ["a", "b"] {
        board.label(class);
        board.json(&["dataset", "seal"]);
    }
    assert!(trains(&board), "the region alone");
    // What lies inside the region can be cut out of its pictures, what lies outside cannot.
    restart(&mut board, "[0.5, 0, 0.25, 1]", "whole");
    board.until("a round", |_| trains(&board));
    restart(&mut board, "[0, 0, 0.5, 1]", "whole");
    board.until("samples set aside", |s| aside(s) == Some(2));
    assert!(!trains(&board), "nothing is left to learn from");
    assert!(board.log().contains("2 samples are set aside"), "{}", board.log());
    restart(&mut board, "[0.25, 0, 0.5, 1]", "center");
    board.until("a round", |_| trains(&board));
    assert_eq!(aside(&board.json(&["status"])), None);
}
