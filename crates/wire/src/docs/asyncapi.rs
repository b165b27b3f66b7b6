//! `docs/reference/asyncapi.yaml`: the interface for tools.

use serde_json::{Map, Value, json};

use super::schemas::{command_name, schemas};
use super::yaml::yaml;
use crate::command::Op;
use crate::digest;
use crate::head_file;
use crate::messages::API;
use crate::parts::PART_BYTES;

/// One topic that the device writes.
pub struct Topic {
    /// Key in the AsyncAPI file.
    pub key: &'static str,
    /// Below the root.
    pub address: &'static str,
    /// Name of the schema, or a whole schema for what is no JSON.
    pub payload: Payload,
    /// Kept by the broker.
    pub retain: bool,
    /// Quality of service.
    pub qos: u8,
    /// Seconds after which the broker drops it.
    pub expiry_s: Option<u32>,
    /// What it says.
    pub about: &'static str,
}

/// What a topic carries.
pub enum Payload {
    /// JSON of the schema of this name.
    Json(&'static str),
    /// Plain text, one of these words.
    Word(&'static [&'static str]),
    /// Plain text.
    Text,
    /// The bytes of a part of a head file.
    Bytes,
}

/// Every topic that the device writes, in the order of the documentation.
pub const TOPICS: [Topic; 11] = [
    topic(
        "availability",
        "availability",
        Payload::Word(&["online", "offline"]),
        true,
        1,
        None,
        "Whether the device is there. `offline` is the last will, and is said before a clean goodbye, too.",
    ),
    topic(
        "info",
        "info",
        Payload::Json("Info"),
        true,
        1,
        None,
        "What the device is and can do: commands, limits, camera, configuration without secrets, public key.",
    ),
    topic(
        "state",
        "state",
        Payload::Json("State"),
        true,
        1,
        None,
        "What it is doing and why: mode, head with its accuracy, backbone, samples by class, running job. On change, at most once a second.",
    ),
    topic("stats", "stats", Payload::Json("Stats"), false, 0, None, "Figures for graphs, every 30 seconds."),
    topic(
        "label",
        "label",
        Payload::Text,
        true,
        1,
        None,
        "The agreed class as plain text, on change only: three frames in a row (setting `predict.vote`) have to say the same with enough confidence. `none` while there is no agreed class: before the first one, and while the camera is lost (`reasons` of `state` has `camera_lost` then).",
    ),
    topic(
        "prediction",
        "prediction",
        Payload::Json("PredictionMessage"),
        false,
        0,
        Some(10),
        "What one frame looks like to the head, at most twice a second. Its `frame` is what `label` takes.",
    ),
    topic(
        "event",
        "event",
        Payload::Json("Event"),
        false,
        1,
        None,
        "Things that happened: captures, rounds, heads that came or were refused, camera lost and back.",
    ),
    topic(
        "head",
        "head",
        Payload::Json("Manifest"),
        true,
        1,
        None,
        "The signed manifest of the active head. Published after its parts.",
    ),
    topic(
        "headPart",
        "head/{version}/{n}",
        Payload::Bytes,
        true,
        1,
        None,
        "Part `n` (from 0) of the head file, at most 64 KiB. Those of the active and the previous version are kept; older ones are cleared with an empty message.",
    ),
    topic(
        "job",
        "job/{job}",
        Payload::Json("JobMessage"),
        true,
        1,
        Some(604_800),
        "How far a job is. Cleared a day after its end, or by `cmd/job`.",
    ),
    topic(
        "offload",
        "offload/{job}",
        Payload::Json("Offer"),
        true,
        1,
        Some(604_800),
        "A fine-tuning job that waits for a training host, or that a host has claimed. Cleared with an empty message when it is over. See [offload.md](offload.md).",
    ),
];

const fn topic(
    key: &'static str,
    address: &'static str,
    payload: Payload,
    retain: bool,
    qos: u8,
    expiry_s: Option<u32>,
    about: &'static str,
) -> Topic {
    Topic { key, address, payload, retain, qos, expiry_s, about }
}

/// The whole file.
pub fn asyncapi_yaml() -> String {
    let mut text =
        String::from("# Written from the Rust types by a test; do not edit. See crates/wire/src/docs/.\n");
    text.push_str(&yaml(&asyncapi()));
    text
}

/// The file as a value.
pub fn asyncapi() -> Value {
    let mut channels = Map::new();
    let mut operations = Map::new();
    for topic in &TOPICS {
        channels.insert(topic.key.into(), channel(topic));
        let mut binding = json!({"qos": topic.qos, "retain": topic.retain, "bindingVersion": "0.2.0"});
        if let Some(seconds) = topic.expiry_s {
            binding["messageExpiryInterval"] = seconds.into();
        }
        let key = format!("send{}{}", topic.key[..1].to_uppercase(), &topic.key[1..]);
        let operation = json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{}", topic.key)},
            "bindings": {"mqtt": binding},
        });
        operations.insert(key, operation);
    }
    for op in Op::ALL {
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
                "description": "Replies to commands that name no response topic.",
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
        "messages": {topic.key: message},
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
    for op in Op::ALL {
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
