//! JSON schemas of everything on the wire, from the types.

use graft_wire::command::{self, Op};
use graft_wire::messages::{Event, Info, JobMessage, PredictionMessage, State, Stats};
use graft_wire::offload::Offer;
use graft_wire::{BackboneManifest, Manifest, Reply};
use schemars::SchemaGenerator;
use schemars::generate::{Contract, SchemaSettings};
use serde_json::{Map, Value, json};

/// Where schemas are found in the AsyncAPI file.
pub const PATH: &str = "/components/schemas";

/// The name of the schema of an op's commands.
pub fn command_name(op: Op) -> &'static str {
    match op {
        Op::Mode => "ModeCommand",
        Op::Capture => "CaptureCommand",
        Op::Label => "LabelCommand",
        Op::Dataset => "DatasetCommand",
        Op::Train => "TrainCommand",
        Op::Head => "HeadCommand",
        Op::Offload => "OffloadCommand",
        Op::Backbone => "BackboneCommand",
        Op::Config => "ConfigCommand",
        Op::Job => "JobCommand",
    }
}

/// Every schema by name; references point into [`PATH`].
pub fn schemas() -> Map<String, Value> {
    // What is sent always has its fields; what is received may leave those with a default out.
    let mut sent = generator(Contract::Serialize);
    sent.subschema_for::<Info>();
    sent.subschema_for::<State>();
    sent.subschema_for::<Stats>();
    sent.subschema_for::<PredictionMessage>();
    sent.subschema_for::<Event>();
    sent.subschema_for::<JobMessage>();
    sent.subschema_for::<Reply>();
    sent.subschema_for::<Manifest>();
    sent.subschema_for::<Offer>();
    sent.subschema_for::<BackboneManifest>();
    let mut all = sent.take_definitions(true);
    let mut heard = generator(Contract::Deserialize);
    heard.subschema_for::<command::Mode>();
    heard.subschema_for::<command::Capture>();
    heard.subschema_for::<command::Label>();
    heard.subschema_for::<command::Dataset>();
    heard.subschema_for::<command::Train>();
    heard.subschema_for::<command::Head>();
    heard.subschema_for::<command::Offload>();
    heard.subschema_for::<command::Backbone>();
    heard.subschema_for::<command::Config>();
    heard.subschema_for::<command::Job>();
    let mut heard = heard.take_definitions(true);
    for &op in Op::ALL {
        if let Some(schema) = heard.get_mut(command_name(op)) {
            add_envelope(schema);
        }
    }
    all.append(&mut heard);
    for schema in all.values_mut() {
        tidy(schema);
    }
    all
}

fn generator(contract: Contract) -> SchemaGenerator {
    SchemaSettings::draft07()
        .with(|settings| {
            settings.definitions_path = PATH.into();
            settings.meta_schema = None;
            settings.contract = contract;
        })
        .into_generator()
}

/// Adds `id`, `expires` and `if_rev` to each action.
fn add_envelope(schema: &mut Value) {
    let Some(actions) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { return };
    for action in actions {
        if let Some(properties) = action.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert("id".into(), json!({"$ref": "#/components/schemas/CommandId"}));
            properties.insert("expires".into(), json!({"$ref": "#/components/schemas/Expires"}));
            properties.insert("if_rev".into(), json!({"$ref": "#/components/schemas/IfRev"}));
        }
        if let Some(action) = action.as_object_mut() {
            action.insert("additionalProperties".into(), false.into());
        }
    }
}

/// Takes line breaks out of descriptions, and number formats that only Rust knows.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
                map.remove("format");
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}
