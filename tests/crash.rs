//! kill -9 at random moments of a labelling session: no acknowledged label is lost (I1).

use crate::service::scene;
use crate::support::{Board, PATIENCE, block_on, body, broker, operator};
use graft_camera::pattern::CLASSES;
use graft_testing::operator::Message;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn i1_no_acknowledged_label_is_lost_by_kill_9() {
    let kills = if crate::full() { 200 } else { 20 };
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    board.set("camera.fps", "30");
    board.set("capture.ring_hz", "30");
    board.set("predict.max_hz", "30");
    let scene = scene();
    let mut acknowledged: BTreeMap<i64, String> = BTreeMap::new();
    for turn in 0..kills {
        board.start();
        block_on(async {
            let mut operator = operator(&broker).await;
            let mut heard = operator.now();
            // From "at once" to "in the middle of it": other moments in each turn.
            let moment = Duration::from_millis(50 + (turn * 137) % 900);
            let begun = tokio::sync::Notify::new();
            let labelling = async {
                loop {
                    let next = |m: &Message| m.topic.ends_with("/prediction");
                    let message = operator.wait_for(heard, PATIENCE, "a prediction", next).await.unwrap();
                    heard = message.number;
                    let frame = body(&message)["frame"].as_u64().unwrap();
                    let class = CLASSES[scene.truth(frame)];
                    let label = json!({"action": "set", "class": class, "frame": frame, "id": format!("{turn}-{frame}")});
                    // No answer, or a refusal, is no acknowledgement.
                    let Ok(reply) = operator.command("label", &label, PATIENCE).await else { return };
                    if reply["status"] == "ok" {
                        acknowledged.insert(reply["data"]["sample"].as_i64().unwrap(), class.to_owned());
                        begun.notify_one();
                    }
                }
            };
            let first = async {
                // The clock starts with the first label, so that each turn has something to lose.
                begun.notified().await;
                tokio::time::sleep(moment).await;
            };
            tokio::select! { () = labelling => {}, () = first => {} }
            board.kill();
        });
    }
    board.start();
    let mut stored = BTreeMap::new();
    loop {
        let offset = stored.len().to_string();
        let page = board.json(&["dataset", "ls", "--limit", "1000", "--offset", &offset]);
        let rows = page["samples"].as_array().unwrap().clone();
        if rows.is_empty() {
            break;
        }
        for row in rows {
            stored.insert(row["id"].as_i64().unwrap(), row["class"].as_str().unwrap().to_owned());
        }
    }
    println!("{kills} kills, {} acknowledged labels, {} stored samples", acknowledged.len(), stored.len());
    assert!(acknowledged.len() >= kills as usize, "too few labels to say anything: {}", acknowledged.len());
    for (sample, class) in &acknowledged {
        assert_eq!(stored.get(sample), Some(class), "sample {sample} was acknowledged");
    }
    assert!(!board.log().contains("moved aside"), "the database was damaged");
}
