//! The labelled stream of a real camera, played into the real daemon: labels for the first half over a
//! real broker, predictions of the second half compared with the truth.

use crate::service::published_head;
use crate::support::{Board, PATIENCE, block_on, body, broker, operator, order};
use graft_backbone::{Backbone, Card, Crop};
use graft_testing::operator::Message;
use graft_testing::skip;
use serde_json::json;
use std::collections::HashMap;

/// Labels by file name; `unclear` ones left out.
fn labels(folder: &std::path::Path) -> HashMap<String, String> {
    let table = std::fs::read_to_string(folder.join("labels.csv")).unwrap();
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.split(',');
            let (_, label, jpeg) = (cells.next()?, cells.next()?, cells.next()?);
            (!jpeg.is_empty() && label != "unclear").then(|| (jpeg.to_owned(), label.to_owned()))
        })
        .collect()
}

#[test]
fn the_second_half_of_the_bottle_stream_is_predicted_from_labels_of_the_first() {
    let Some(shared) = crate::shared() else {
        return skip("shared", "the labelled stream is not here (GRAFT_SHARED)");
    };
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let stream = shared.join("data/streams/bottle");
    let labels = labels(&stream);
    let mut names: Vec<String> = std::fs::read_dir(stream.join("frames"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let half = names[names.len() / 2].clone();

    let onnx = shared.join("models/mobilenetv2_1.0_224_imagenet.onnx");
    let card = dir.path().join("card.toml");
    let mut board = Board::on(&broker);
    let made = board.cli(&[
        "backbone",
        "card",
        onnx.to_str().unwrap(),
        "--mean",
        "0.5,0.5,0.5",
        "--std",
        "0.5,0.5,0.5",
        "--crop",
        "stretch",
        "--out",
        card.to_str().unwrap(),
    ]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    board.set("backbone.file", onnx.to_str().unwrap());
    board.set("backbone.card", card.to_str().unwrap());
    board.set("camera.source", "directory");
    board.set("camera.path", stream.join("frames").to_str().unwrap());
    // Slow enough that a busy machine drops no frame.
    board.set("camera.fps", "5");
    board.set("capture.ring_hz", "30");
    board.set("predict.max_hz", "30");
    board.set("learn.min_samples_per_class", "3");
    board.start();

    let (mut right, mut all, mut by_head) = (0, 0, 0);
    block_on(async {
        let mut operator = operator(&broker).await;
        for class in ["full", "hand", "missing"] {
            order(&mut operator, "dataset", json!({"action": "add_class", "class": class})).await;
        }
        let (mut heard, mut version, mut last_label) = (0, 0, None);
        loop {
            let message = operator
                .wait_for(heard, PATIENCE, "a prediction", |m: &Message| m.topic.ends_with("/prediction"))
                .await
                .unwrap();
            heard = message.number;
            let prediction = body(&message);
            let file = prediction["file"].as_str().unwrap().to_owned();
            let truth = labels.get(&file);
            if file < half {
                if let Some(class) = truth {
                    let frame = prediction["frame"].as_u64().unwrap();
                    order(&mut operator, "label", json!({"action": "set", "class": class, "frame": frame}))
                        .await;
                }
                if last_label.is_none() {
                    order(&mut operator, "mode", json!("adapt")).await;
                }
                last_label = Some(file);
                continue;
            }
            if version == 0 {
                // One round over everything that was labelled; rounds of adaptation may have run before it.
                loop {
                    let reply = operator.command("train", &json!("start"), PATIENCE).await.unwrap();
                    if reply["status"] == "accepted" {
                        let job = reply["job"].as_str().unwrap().to_owned();
                        let ended = |m: &Message| {
                            m.topic.ends_with(&format!("/job/{job}"))
                                && matches!(
                                    body(m)["status"].as_str(),
                                    Some("successful" | "failed" | "canceled")
                                )
                        };
                        let message = operator.wait_for(0, PATIENCE, "the round", ended).await.unwrap();
                        println!("round: {}", body(&message)["result"]);
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                order(&mut operator, "mode", json!("infer")).await;
                version = board.until("a head", |s| s["head"]["version"].is_u64())["head"]["version"]
                    .as_u64()
                    .unwrap();
            }
            if let Some(truth) = truth {
                by_head = prediction["head"].as_u64().unwrap();
                if by_head == 0 {
                    continue;
                }
                all += 1;
                right += u32::from(prediction["top"][0]["class"] == truth.as_str());
            }
            if file == *names.last().unwrap() {
                break;
            }
        }
        assert!(by_head > 0);
        // Loaded elsewhere, the published head says the same.
        let (_, head) = published_head(&mut operator, by_head).await;
        let card = Card { crop: Crop::Stretch, ..Card::read(&card).unwrap() };
        let mut backbone = Backbone::load(&onnx, &card).unwrap();
        for message in operator.messages().iter().filter(|m| m.topic.ends_with("/prediction")).rev().take(12)
        {
            let prediction = body(message);
            let file = stream.join("frames").join(prediction["file"].as_str().unwrap());
            let embedding = backbone.embed(&graft_camera::read_image(&file).unwrap(), None).unwrap();
            let said = head.head.predict(&embedding);
            assert_eq!(prediction["head"], by_head);
            assert_eq!(prediction["top"][0]["class"], head.meta.classes[said.class].as_str());
            assert!((prediction["score"].as_f64().unwrap() - f64::from(said.confidence)).abs() < 1e-4);
        }
    });
    println!("bottle stream, second half: {right} of {all} right");
    assert!(all >= 75, "{all} frames were compared");
    assert!(f64::from(right) >= 0.95 * f64::from(all), "{right} of {all}");
}
