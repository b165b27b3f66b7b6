use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::command::{Op, parse};
use crate::keys::PublicKey;
use crate::manifest::{Expected, Manifest};
use crate::reply::Reply;

/// Compares a document with its file; with `GRAFT_BLESS=1` writes the file.
fn compare(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("GRAFT_BLESS").is_some_and(|v| v == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    if file != text {
        let line = file.lines().zip(text.lines()).position(|(a, b)| a != b).map_or(0, |n| n + 1);
        panic!(
            "docs/reference/{name} is not what the types say (first difference at line {line}); \
             run GRAFT_BLESS=1 cargo test --lib wire::docs"
        );
    }
}

#[test]
fn mqtt_md_is_fresh() {
    compare("mqtt.md", &mqtt_markdown());
}

#[test]
fn asyncapi_yaml_is_fresh() {
    compare("asyncapi.yaml", &asyncapi_yaml());
}

#[test]
fn head_format_md_is_fresh() {
    compare("head-format.md", &head_format_markdown());
}

#[test]
fn no_place_of_a_template_is_left_open() {
    for text in [mqtt_markdown(), head_format_markdown()] {
        assert!(!text.contains("{{"), "{}", &text[text.find("{{").unwrap()..][..60]);
    }
}

#[test]
fn every_example_is_read_and_every_action_has_one() {
    let mut shown: Vec<(Op, String)> = Vec::new();
    for example in examples() {
        let envelope =
            parse(example.op, example.body.as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", example.body));
        assert_eq!(envelope.id, example.reply.id, "{}", example.body);
        assert_eq!(Reply::from_json(example.reply.to_json().as_bytes()).unwrap(), example.reply);
        shown.push((example.op, envelope.command.to_value()["action"].as_str().unwrap().to_owned()));
    }
    for op in Op::ALL {
        for action in command_schema(op)["oneOf"].as_array().unwrap() {
            let action = action["properties"]["action"]["const"].as_str().unwrap().to_owned();
            assert!(shown.contains(&(op, action.clone())), "{} {action} has no example", op.as_str());
        }
    }
    for (op, body) in examples::refusals() {
        assert!(parse(op, body.as_bytes()).is_err(), "{body}");
    }
}

/// Every command body in the shell examples of the document, whoever wrote it there.
#[test]
fn every_body_in_mqtt_md_is_read() {
    let text = mqtt_markdown();
    let mut bodies = 0;
    for line in text.lines().filter(|l| l.starts_with("mosquitto_pub") || l.starts_with("mosquitto_rr")) {
        let word = line.split("/cmd/").nth(1).unwrap().split(' ').next().unwrap();
        let op = Op::parse(word).unwrap_or_else(|| panic!("{line}"));
        let body = line.split(" -m ").nth(1).unwrap();
        let body = match body.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next().unwrap(),
            None => body.split(' ').next().unwrap(),
        };
        let refused = examples::refusals().contains(&(op, body));
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
    for op in Op::ALL {
        assert!(schemas.contains_key(schemas::command_name(op)), "{}", op.as_str());
    }
    for name in
        ["Info", "State", "Stats", "PredictionMessage", "Event", "JobMessage", "Reply", "Manifest", "Error"]
    {
        assert!(schemas.contains_key(name), "{name}");
    }
}
