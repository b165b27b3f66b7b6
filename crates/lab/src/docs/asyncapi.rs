//! `docs/reference/asyncapi.json`: the interface for tools.

use super::schemas::{command_name, schemas};
use graft_wire::command::Op;
use graft_wire::messages::API;
use graft_wire::parts::PART_BYTES;
use graft_wire::topic::{Payload, Topic};
use graft_wire::{digest, head_file};
use serde_json::{Map, Value, json};

/// The whole file.
pub fn asyncapi_json() -> String {
    // A tree of texts and numbers can always be written.
    serde_json::to_string_pretty(&asyncapi()).unwrap_or_default() + "\n"
}

/// Name of a topic in the file: `job/{job}` is `job`, `head/{version}/{n}` is `headPart`.
fn key(topic: &Topic) -> &str {
    match *topic == Topic::HEAD_PART {
        true => "headPart",
        false => topic.address.split('/').next().unwrap_or_default(),
    }
}

/// The file as a value.
pub fn asyncapi() -> Value {
    let mut channels = Map::new();
    let mut operations = Map::new();
    for topic in Topic::ALL.iter().filter(|topic| **topic != Topic::REPLY) {
        let key = key(topic);
        channels.insert(key.into(), channel(topic));
        let mut binding = json!({"qos": topic.qos, "retain": topic.retain, "bindingVersion": "0.2.0"});
        if let Some(seconds) = topic.expiry_s {
            binding["messageExpiryInterval"] = seconds.into();
        }
        let operation = json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{key}")},
            "bindings": {"mqtt": binding},
        });
        operations.insert(format!("send{}{}", key[..1].to_uppercase(), &key[1..]), operation);
    }
    for &op in Op::ALL {
        let (word, name) = (op.as_str(), command_name(op));
        channels.insert(
            format!("cmd-{word}"),
            json!({
                "address": format!("{{base}}/{{device}}/cmd/{word}"),
                "parameters": root(),
                "messages": {"command": {"$ref": format!("#/components/messages/{name}")}},
            }),
        );
        channels.insert(
            format!("reply-{word}"),
            json!({
                "address": format!("{{base}}/{{device}}/reply/{word}"),
                "description": Topic::REPLY.about,
                "parameters": root(),
                "messages": {"reply": {"$ref": "#/components/messages/Reply"}},
            }),
        );
        operations.insert(format!("receive{name}"), json!({
            "action": "receive",
            "channel": {"$ref": format!("#/channels/cmd-{word}")},
            "bindings": {"mqtt": {"qos": 1, "retain": false, "messageExpiryInterval": 60, "bindingVersion": "0.2.0"}},
            "reply": {
                "address": {"location": "$message.header#/responseTopic"},
                "channel": {"$ref": format!("#/channels/reply-{word}")},
            },
        }));
    }
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "graft MQTT interface",
            "version": format!("{API}.0.0"),
            "description": "A device writes everything under {base}/{device} except cmd/, which it reads. JSON in UTF-8 \
                unless a contentType says otherwise. Readers pass over fields they do not know; the device refuses \
                commands with such fields (code unknown_field).",
        },
        "defaultContentType": "application/json",
        "servers": {"broker": server()},
        "channels": channels,
        "operations": operations,
        "components": components(),
    })
}

fn server() -> Value {
    json!({
        "host": "127.0.0.1:1883",
        "protocol": "mqtt",
        "protocolVersion": "5.0",
        "bindings": {"mqtt": {
            "clientId": "graft-{device}",
            "lastWill": {"topic": "{base}/{device}/availability", "qos": 1, "message": "offline", "retain": true},
            "maximumPacketSize": 1_048_576,
            "bindingVersion": "0.2.0",
        }},
    })
}

fn root() -> Value {
    json!({
        "base": {"$ref": "#/components/parameters/base"},
        "device": {"$ref": "#/components/parameters/device"},
    })
}

fn channel(topic: &Topic) -> Value {
    let mut parameters = root();
    for name in ["version", "n", "job"] {
        if topic.address.contains(&format!("{{{name}}}")) {
            parameters[name] = json!({"$ref": format!("#/components/parameters/{name}")});
        }
    }
    let message = match topic.payload {
        Payload::Json(name) => json!({"payload": {"$ref": format!("#/components/schemas/{name}")}}),
        Payload::Word(words) => {
            json!({"contentType": "text/plain", "payload": {"type": "string", "enum": words}})
        }
        Payload::Text => json!({"contentType": "text/plain", "payload": {"type": "string"}}),
        Payload::Bytes => json!({
            "contentType": "application/octet-stream",
            "payload": {"type": "string", "format": "binary", "maxLength": PART_BYTES},
        }),
    };
    json!({
        "address": format!("{{base}}/{{device}}/{}", topic.address),
        "description": topic.about,
        "parameters": parameters,
        "messages": {key(topic): message},
    })
}

fn components() -> Value {
    let mut schemas = schemas();
    schemas.insert("CommandId".into(), json!({
        "type": "string", "minLength": 1, "maxLength": 128,
        "description": "Comes back in the reply. A command with an id that was seen before is not carried out again; it gets the same reply.",
    }));
    schemas.insert("Expires".into(), json!({
        "type": "string", "format": "date-time",
        "description": "Not to be carried out after this time; not judged while the clock of the device is unsynced.",
    }));
    schemas.insert("IfRev".into(), json!({
        "type": "integer", "minimum": 0,
        "description": "Only to be carried out if the data set is at this revision; for head commands, if this version is active.",
    }));
    let headers = json!({"type": "object", "properties": {
        "responseTopic": {"type": "string"}, "correlationData": {"type": "string"},
    }});
    let correlation = json!({"location": "$message.header#/correlationData"});
    let mut messages = Map::new();
    for &op in Op::ALL {
        let name = command_name(op);
        messages.insert(name.into(), json!({
            "headers": headers,
            "correlationId": correlation,
            "payload": {"anyOf": [
                {"$ref": format!("#/components/schemas/{name}")},
                {"type": "string", "description": "A bare word, with or without the quotes of JSON; see mqtt.md."},
            ]},
        }));
    }
    messages.insert(
        "Reply".into(),
        json!({
            "headers": {"type": "object", "properties": {"correlationData": {"type": "string"}}},
            "correlationId": correlation,
            "payload": {"$ref": "#/components/schemas/Reply"},
        }),
    );
    json!({
        "parameters": {
            "base": {"description": "Topic base of the site, one to four levels; `graft` unless configured.", "default": "graft"},
            "device": {"description": "Device id: 1 to 64 of a-z, 0-9 and '-'."},
            "version": {"description": "Version of a head."},
            "n": {"description": "Number of the part, from 0."},
            "job": {"description": "Job id."},
        },
        "messages": messages,
        "schemas": schemas,
        "x-limits": {
            "digest": digest::PATTERN,
            "headBytes": head_file::MAX_BYTES,
            "partBytes": PART_BYTES,
        },
    })
}
