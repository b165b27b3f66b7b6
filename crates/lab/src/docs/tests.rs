#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::schemas::{command_name, schemas};
use super::*;
use graft_wire::command::{Op, parse};
use graft_wire::manifest::Expected;
use graft_wire::{Manifest, PublicKey};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The schema of the commands of one op.
fn command_schema(op: Op) -> Value {
    schemas().remove(command_name(op)).unwrap()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

/// The page with the bodies alone as replies: what a daemon answers is compared in tests/commands.rs.
fn page() -> String {
    let replies = Replies {
        examples: examples().iter().map(|example| example.about.to_owned()).collect(),
        refusals: refusals().map(|(_, body)| body.to_owned()).to_vec(),
    };
    mqtt_markdown(&replies)
}

#[test]
fn openapi_json_is_fresh() {
    compare(&file("openapi.json"), &openapi_json()).unwrap();
}

#[test]
fn asyncapi_json_is_fresh() {
    compare(&file("asyncapi.json"), &asyncapi_json()).unwrap();
}

#[test]
fn config_md_is_fresh() {
    compare(&file("config.md"), &config_markdown()).unwrap();
}

#[test]
fn head_format_md_is_fresh() {
    compare(&file("head-format.md"), &head_format_markdown()).unwrap();
}

#[test]
fn no_place_of_a_template_is_left_open() {
    for text in [page(), head_format_markdown()] {
        assert!(!text.contains("{{"), "{}", &text[text.find("{{").unwrap()..][..60]);
    }
}

#[test]
fn every_example_is_read_and_every_action_has_one() {
    let facts = Facts::shown();
    let mut shown: Vec<(Op, String)> = Vec::new();
    for example in examples() {
        let body = example.body(&facts);
        let envelope = parse(example.op, body.as_bytes()).unwrap_or_else(|e| panic!("{body}: {e}"));
        shown.push((example.op, envelope.command.to_value()["action"].as_str().unwrap().to_owned()));
    }
    for &op in Op::ALL {
        for action in command_schema(op)["oneOf"].as_array().unwrap() {
            let action = action["properties"]["action"]["const"].as_str().unwrap().to_owned();
            assert!(shown.contains(&(op, action.clone())), "{} {action} has no example", op.as_str());
        }
    }
    for (op, body) in refusals() {
        assert!(parse(op, body.as_bytes()).is_err(), "{body}");
    }
}

/// The bounds that a schema tells are those that the reader keeps.
#[test]
fn what_a_schema_rules_out_is_refused() {
    let mut tried = 0;
    for example in examples() {
        let Ok(body) = serde_json::from_str::<Value>(&example.body(&Facts::shown())) else { continue };
        let schema = command_schema(example.op);
        let mine = |action: &&Value| action["properties"]["action"]["const"] == body["action"];
        let action = schema["oneOf"].as_array().unwrap().iter().find(mine).unwrap();
        assert_eq!(action["additionalProperties"], json!(false), "{body}");
        for (name, field) in action["properties"].as_object().unwrap() {
            let number = |bound: &str, by: f64| field[bound].as_f64().map(|value| json!(value + by));
            let text = |bound: &str, by: i64| {
                let length = field[bound].as_i64().map(|length| usize::try_from(length + by).unwrap());
                length.map(|length| json!("1".repeat(length)))
            };
            let beyond = [
                number("minimum", -1.0),
                number("maximum", 1.0),
                text("minLength", -1),
                text("maxLength", 1),
                field.get("pattern").map(|_| json!("=")),
            ];
            for value in beyond.into_iter().flatten() {
                let mut wrong = body.clone();
                wrong[name] = value;
                let refused = parse(example.op, wrong.to_string().as_bytes()).unwrap_err();
                assert_eq!(refused.detail["pointer"], format!("/{name}"), "{wrong}");
                tried += 1;
            }
        }
    }
    assert!(tried > 50, "{tried}");
}

/// Every command body in the shell examples of the document, whoever wrote it there.
#[test]
fn every_body_in_mqtt_md_is_read() {
    let text = page();
    let mut bodies = 0;
    for line in text.lines().filter(|l| l.starts_with("mosquitto_pub") || l.starts_with("mosquitto_rr")) {
        let word = line.split("/cmd/").nth(1).unwrap().split(' ').next().unwrap();
        let op = Op::parse(word).unwrap_or_else(|| panic!("{line}"));
        let body = line.split(" -m ").nth(1).unwrap();
        let body = match body.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next().unwrap(),
            None => body.split(' ').next().unwrap(),
        };
        let refused = refusals().contains(&(op, body));
        assert_eq!(parse(op, body.as_bytes()).is_err(), refused, "{line}");
        bodies += 1;
    }
    assert!(bodies > 35, "{bodies}");
}

#[test]
fn the_example_of_the_head_format_can_be_checked_from_the_document_alone() {
    let text = head_format_markdown();
    let block = |kind: &str| -> Vec<&str> {
        let fence = format!("```{kind}\n");
        let starts = text.match_indices(&fence).map(|(at, _)| at + fence.len());
        starts.map(|at| text[at..].split("```").next().unwrap()).collect()
    };
    let texts = block("text");
    let mut key = texts[0].lines();
    let public = PublicKey::from_base64(key.next().unwrap()).unwrap();
    assert_eq!(key.next().unwrap(), public.id());
    let manifest = Manifest::from_json(block("json")[0].as_bytes()).unwrap();
    assert_eq!(texts[1], manifest.statement());
    manifest.verify(&public, &Expected::default()).unwrap();
    manifest.open(&example::example_file().encode().unwrap()).unwrap();
}

/// Each `$ref` of the AsyncAPI file leads somewhere.
#[test]
fn references_lead_somewhere() {
    fn check(value: &Value, root: &Value, count: &mut usize) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(root.pointer(pointer).is_some(), "{target} leads nowhere");
                    *count += 1;
                }
                map.values().for_each(|v| check(v, root, count));
            }
            Value::Array(list) => list.iter().for_each(|v| check(v, root, count)),
            _ => {}
        }
    }
    let file = asyncapi::asyncapi();
    let mut count = 0;
    check(&file, &file, &mut count);
    assert!(count > 50, "{count}");
}

#[test]
fn schema_names_are_those_of_the_types() {
    let schemas = schemas();
    for &op in Op::ALL {
        assert!(schemas.contains_key(command_name(op)), "{}", op.as_str());
    }
    for name in
        ["Info", "State", "Stats", "PredictionMessage", "Event", "JobMessage", "Reply", "Manifest", "Error"]
    {
        assert!(schemas.contains_key(name), "{name}");
    }
}
