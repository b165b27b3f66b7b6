//! A whole session on a recorder, and the same session replayed from its events alone.

use super::event::Event;
use super::testing::{Session, replay, settings};
use graft_camera::Status;
use serde_json::json;

const QUICK: [&str; 5] = [
    "learn.min_samples_per_class=4",
    "learn.min_bursts_per_class=2",
    "learn.bootstrap=50",
    "predict.vote=2",
    "predict.max_hz=10",
];

/// Frames of one kind for a while, captured as one class.
fn capture(session: &mut Session, kind: usize, class: &str) {
    session.frame(kind);
    session.request("capture", &format!(r#"{{"action":"start","class":"{class}","max":6}}"#));
    for _ in 0..8 {
        session.frame(kind);
    }
    session.request("dataset", r#"{"action":"seal"}"#);
}

/// Frames, labels, captures, a round, its head in use, and a camera that is lost and found.
fn scripted(session: &mut Session) {
    session.tell(Event::Connected { max_packet_out: 1 << 20 });
    session.tell(Event::Camera(Status::Open("a camera".into())));
    for _ in 0..3 {
        capture(session, 0, "ok");
        capture(session, 1, "bad");
    }
    let frame = session.frame(1);
    let label = session.request("label", &format!(r#"{{"class":"bad","frame":{frame},"id":"l1"}}"#));
    assert_eq!(session.answer(label).unwrap()["status"], "ok", "{:?}", session.answer(label));
    session.request("label", &format!(r#"{{"class":"bad","frame":{frame},"id":"l1"}}"#));
    let train = session.request("train", r#"{"action":"start"}"#);
    assert_eq!(session.answer(train).unwrap()["status"], "accepted");
    for n in 0..6 {
        session.frame(n / 3);
    }
    session.tell(Event::Camera(Status::Lost("unplugged".into())));
    session.message("label", r#"{"class":"ok"}"#);
    session.wait(3000);
    session.tell(Event::Camera(Status::Open("a camera".into())));
    session.frame(0);
    session.tell(Event::Stop);
}

#[test]
fn a_session_does_what_it_is_for_and_its_events_alone_do_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder, &QUICK);
    let mut session = Session::begin(&folder, &settings);
    scripted(&mut session);
    for part in [
        r#""graft/d/prediction""#,
        r#"\"type\":\"captured\""#,
        r#"\"type\":\"labelled\""#,
        r#"\"type\":\"head_applied\""#,
        r#"Sequence { stages: [[Publication { topic: "graft/d/head/parts/1/"#,
        r#"\"type\":\"camera_lost\""#,
        r#"\"type\":\"camera_back\""#,
        r#"there is no frame of the last 2 seconds"#,
    ] {
        assert!(session.did(0, part), "{part} is missing from\n{}", session.effects.join("\n"));
    }
    let again = replay(&settings, &session.events);
    for (at, (first, second)) in session.effects.iter().zip(&again).enumerate() {
        assert_eq!(first, second, "effect {at}");
    }
    assert_eq!(session.effects.len(), again.len());
}

#[test]
fn a_command_sent_twice_has_one_effect_and_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder, &[]);
    let mut session = Session::begin(&folder, &settings);
    session.frame(0);
    let body = r#"{"class":"ok","id":"twice"}"#;
    let (first, second) = (session.request("label", body), session.request("label", body));
    let answer = session.answer(first).cloned().unwrap();
    assert_eq!(answer["status"], "ok");
    assert_eq!(session.answer(second), Some(&answer));
    let list = session.request("dataset", r#"{"action":"list"}"#);
    assert_eq!(session.answer(list).unwrap()["data"]["samples"].as_array().unwrap().len(), 1);
    // Over MQTT it is acknowledged, once.
    let before = session.effects.len();
    let third = session.message("label", body);
    assert!(session.did(before, "graft/d/reply/label") && session.did(before, "twice"));
    let acknowledged = format!("Acknowledge({third:?})");
    assert_eq!(session.effects[before..].iter().filter(|e| **e == acknowledged).count(), 1);
    assert_eq!(session.answers.len(), 3);
    assert_eq!(answer["data"]["class"], json!("ok"));
}
