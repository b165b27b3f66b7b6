use serde_json::{Value, json};

use super::*;

#[test]
fn the_schema_mark_is_one_and_nothing_else() {
    assert_eq!(serde_json::to_value(Schema1).unwrap(), json!(1));
    assert!(serde_json::from_value::<Schema1>(json!(1)).is_ok());
    let error = serde_json::from_value::<Schema1>(json!(2)).unwrap_err().to_string();
    assert!(error.contains("schema 2"), "{error}");
}

#[test]
fn a_prediction_says_null_for_an_unknown_frame_and_nothing_before_the_first_head() {
    let message = PredictionMessage {
        schema: Schema1,
        ts: "2026-03-01T12:00:00.000Z".into(),
        frame: 812,
        label: Some(None),
        why: Some(NoLabel::Unknown),
        score: Some(0.5),
        top: vec![TopClass { class: "ok".into(), score: 0.5 }],
        unknown: Some(1.25),
        head: 3,
        infer_ms: None,
        age_ms: None,
        reused: false,
        file: None,
    };
    let value: Value = serde_json::from_str(&to_json(&message)).unwrap();
    assert_eq!(
        value,
        json!({"schema": 1, "ts": "2026-03-01T12:00:00.000Z", "frame": 812, "label": null, "why": "unknown", "score": 0.5,
               "top": [{"class": "ok", "score": 0.5}], "unknown": 1.25, "head": 3})
    );
    assert_eq!(serde_json::from_value::<PredictionMessage>(value).unwrap(), message);
    let message = PredictionMessage {
        label: None,
        why: Some(NoLabel::NoHead),
        score: None,
        top: Vec::new(),
        unknown: None,
        head: 0,
        ..message
    };
    let value = serde_json::to_value(&message).unwrap();
    let named = ["label", "score"].into_iter().filter(|name| value.get(name).is_some());
    assert_eq!((named.count(), &value["why"]), (0, &json!("no_head")));
    assert_eq!(serde_json::from_value::<PredictionMessage>(value).unwrap(), message);
}

#[test]
fn receivers_pass_over_fields_of_later_versions() {
    let text = r#"{"schema":1,"id":"r-1","op":"train","status":"executing","colour":"red"}"#;
    let job: JobMessage = serde_json::from_str(text).unwrap();
    assert_eq!(job, JobMessage { status: JobStatus::Executing, ..JobMessage::new("r-1", "train") });
    assert!(!job.status.is_final() && JobStatus::Canceled.is_final());
}

#[test]
fn events_are_written_with_their_type() {
    let event = Event::new("2026-03-01T12:00:00.000Z".into(), EventType::HeadApplied).with("version", 3);
    let value = serde_json::to_value(&event).unwrap();
    assert_eq!(value["type"], "head_applied");
    assert_eq!(value["data"], json!({"version": 3}));
    assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event);
}
