//! `docs/reference/mqtt.md`: the interface for people.

use super::examples::{Facts, examples, refusals};
use super::schemas::{PATH, command_name, schemas};
use graft_wire::Code;
use graft_wire::command::Op;
use graft_wire::messages::Limits;
use graft_wire::topic::{Payload, Topic};
use serde_json::{Map, Value};
use std::fmt::Write;

const TEMPLATE: &str = include_str!("mqtt.in.md");
const NOTE: &str =
    "<!-- Written from the Rust types by a test; do not edit. See crates/lab/src/docs/. -->\n\n";

/// What a daemon answered, as the page shows it.
#[derive(Default)]
pub struct Replies {
    /// To each of [`examples`].
    pub examples: Vec<String>,
    /// To each of [`refusals`].
    pub refusals: Vec<String>,
}

/// The whole document.
pub fn mqtt_markdown(replies: &Replies) -> String {
    let schemas = schemas();
    let limits = Limits::default();
    let filled = TEMPLATE
        .replace("{{topics}}", topics().trim_end())
        .replace("{{messages}}", messages(&schemas).trim_end())
        .replace("{{commands}}", commands(&schemas, replies).trim_end())
        .replace("{{reply_fields}}", fields(&schemas, &schemas["Reply"]).trim_end())
        .replace("{{refusals}}", refused(replies).trim_end())
        .replace("{{codes}}", codes().trim_end())
        .replace("{{remembered}}", &limits.remembered_ids.to_string())
        .replace("{{command_bytes}}", &limits.command_bytes.to_string());
    format!("{NOTE}{filled}")
}

/// Appends one line; writing into a `String` cannot fail.
fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}

/// A paragraph in lines of at most 100 characters.
fn wrapped(paragraph: &str) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for word in paragraph.split_whitespace() {
        let length = word.chars().count();
        if column > 0 {
            let fits = column + 1 + length <= 100;
            text.push(if fits { ' ' } else { '\n' });
            column = if fits { column + 1 } else { 0 };
        }
        text.push_str(word);
        column += length;
    }
    text
}

fn topics() -> String {
    let mut text = String::new();
    for topic in &Topic::ALL {
        let payload = match topic.payload {
            // It has a chapter of its own.
            Payload::Json("Reply") => "[`Reply`](#replies)".to_owned(),
            Payload::Json(name) => format!("[`{name}`](#{})", name.to_lowercase()),
            Payload::Word(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or "),
            Payload::Text => "plain text".to_owned(),
            Payload::Bytes => "bytes".to_owned(),
        };
        let expiry = match topic.expiry_s {
            Some(seconds) if seconds >= 86_400 => format!(" Expires after {} days.", seconds / 86_400),
            Some(seconds) => format!(" Expires after {seconds} s."),
            None => String::new(),
        };
        let retained = if topic.retain { "yes" } else { "no" };
        let address = topic.address.replace('{', "<").replace('}', ">");
        line(
            &mut text,
            format_args!(
                "| `{address}` | {payload} | {retained} | {} | {}{expiry} |",
                topic.qos, topic.about
            ),
        );
    }
    text
}

fn messages(schemas: &Map<String, Value>) -> String {
    let mut text = String::new();
    for topic in Topic::ALL.iter().filter(|topic| **topic != Topic::REPLY) {
        let Payload::Json(name) = topic.payload else { continue };
        let schema = &schemas[name];
        let said = wrapped(&about(schema));
        line(&mut text, format_args!("#### {name}\n\n{said}\n\n{}", fields(schemas, schema)));
        // Objects within it that have fields of their own.
        for inner in references(schema) {
            let inner_schema = &schemas[inner.as_str()];
            if inner_schema.get("properties").is_some() && !["BackboneRef", "Error"].contains(&inner.as_str())
            {
                let heading = wrapped(&format!("*{inner}*: {}", about(inner_schema)));
                line(&mut text, format_args!("{heading}\n\n{}", fields(schemas, inner_schema)));
            }
        }
    }
    text
}

fn commands(schemas: &Map<String, Value>, replies: &Replies) -> String {
    let mut text = String::new();
    let (examples, facts) = (examples(), Facts::shown());
    for &op in Op::ALL {
        let word = op.as_str();
        line(&mut text, format_args!("### cmd/{word}\n"));
        line(&mut text, format_args!("| Action | Fields | |\n|---|---|---|"));
        for action in schemas[command_name(op)]["oneOf"].as_array().into_iter().flatten() {
            let name = action["properties"]["action"]["const"].as_str().unwrap_or_default();
            let own = own_fields(schemas, action);
            line(&mut text, format_args!("| `{name}` | {own} | {} |", cell(&about(action))));
        }
        line(&mut text, format_args!("\n```sh"));
        for (example, reply) in examples.iter().zip(&replies.examples).filter(|(e, _)| e.op == op) {
            let body = example.body(&facts);
            let body = if body.starts_with('{') { format!("'{body}'") } else { body };
            line(&mut text, format_args!("# {}", example.about));
            line(&mut text, format_args!("mosquitto_pub -h BROKER -q 1 -t $D/cmd/{word} -m {body}"));
            line(&mut text, format_args!("# reply: {reply}"));
        }
        line(&mut text, format_args!("```\n"));
    }
    text
}

/// The fields of one action, apart from those of the envelope, in one table cell.
fn own_fields(schemas: &Map<String, Value>, action: &Value) -> String {
    let required: Vec<&str> =
        action["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut cells = Vec::new();
    for (name, schema) in action["properties"].as_object().into_iter().flatten() {
        if ["action", "id", "expires", "if_rev"].contains(&name.as_str()) {
            continue;
        }
        let default = match schema.get("default") {
            Some(default) => format!(" = {default}"),
            None if required.contains(&name.as_str()) => " (needed)".to_owned(),
            None => String::new(),
        };
        let about = about(schema);
        let kind = kind(schemas, schema);
        let kind = kind.trim_end_matches(" or `null`");
        cells.push(format!("`{name}`: {kind}{default}. {}", cell(&about)));
    }
    cells.join("<br>")
}

/// A table of the fields of an object.
fn fields(schemas: &Map<String, Value>, schema: &Value) -> String {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = String::from("| Field | Type | |\n|---|---|---|\n");
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let mut kind = kind(schemas, field);
        if !required.contains(&name.as_str()) {
            // Absent and null are one thing; these types leave the field out.
            kind = format!("{}, may be absent", kind.trim_end_matches(" or `null`"));
        }
        line(&mut text, format_args!("| `{name}` | {kind} | {} |", cell(&about(field))));
    }
    text
}

/// What kind of value a schema allows, in a few words.
fn kind(schemas: &Map<String, Value>, schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    if let Some(words) = words(schema) {
        return words;
    }
    if let Some(name) = reference(schema) {
        let target = &schemas[name];
        return match words(target) {
            Some(words) => words,
            None if target["type"] == "string" => "text".to_owned(),
            None => format!("*{name}*"),
        };
    }
    for all in ["anyOf", "oneOf", "allOf"] {
        if let Some(choices) = schema.get(all).and_then(Value::as_array) {
            return choices.iter().map(|c| kind(schemas, c)).collect::<Vec<_>>().join(" or ");
        }
    }
    let one = |name: &str| match name {
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "string" => "text".to_owned(),
        "integer" => format!("whole number{}", range(schema)),
        "number" => format!("number{}", range(schema)),
        "boolean" => "`true` or `false`".to_owned(),
        "array" => format!("list of {}", kind_of_items(schemas, schema)),
        "null" => "`null`".to_owned(),
        "object" => match schema.get("additionalProperties") {
            Some(inner @ Value::Object(_)) => format!("object of {} by name", kind(schemas, inner)),
            _ => "object".to_owned(),
        },
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(kind) => one(kind),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

fn kind_of_items(schemas: &Map<String, Value>, schema: &Value) -> String {
    kind(schemas, schema.get("items").unwrap_or(&Value::Null))
}

/// The words of an enumeration, however it is written.
fn words(schema: &Value) -> Option<String> {
    let listed: Vec<&Value> = match (schema.get("enum"), schema.get("oneOf")) {
        (Some(Value::Array(words)), _) => words.iter().collect(),
        (_, Some(Value::Array(choices))) => choices
            .iter()
            .map(|choice| choice.get("const").or_else(|| choice["enum"].as_array().and_then(|e| e.first())))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    let words: Vec<&str> = listed.into_iter().filter_map(Value::as_str).collect();
    if words.len() > 13 {
        return Some("code, see [Errors](#errors)".to_owned());
    }
    Some(words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" "))
}

fn range(schema: &Value) -> String {
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(low), Some(high)) => format!(" {low} to {high}"),
        _ => String::new(),
    }
}

/// The name of the schema that `schema` stands for, alone or with a description beside it.
fn reference(schema: &Value) -> Option<&str> {
    let single =
        schema.get("allOf").and_then(Value::as_array).filter(|all| all.len() == 1).map(|all| &all[0]);
    let target = schema.get("$ref").or_else(|| single?.get("$ref"))?.as_str()?;
    target.strip_prefix('#')?.strip_prefix(PATH)?.strip_prefix('/')
}

/// Names of the schemas that the fields of `schema` refer to, in order.
fn references(schema: &Value) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        if let Some(name) = reference(value)
            && !found.iter().any(|f| f == name)
        {
            found.push(name.to_owned());
        }
        match value {
            Value::Object(map) => map.values().for_each(|v| collect(v, found)),
            Value::Array(list) => list.iter().for_each(|v| collect(v, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&schema["properties"], &mut found);
    found
}

fn about(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Text that stays within a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn refused(replies: &Replies) -> String {
    let mut text = String::from("```sh\n");
    for ((op, body), reply) in refusals().iter().zip(&replies.refusals) {
        line(&mut text, format_args!("mosquitto_pub -h BROKER -q 1 -t $D/cmd/{} -m '{body}'", op.as_str()));
        line(&mut text, format_args!("# reply: {reply}"));
    }
    text.push_str("```\n");
    text
}

fn codes() -> String {
    let mut text = String::new();
    for code in Code::ALL {
        let row = code.row();
        let again = if row.retryable { " (retryable)" } else { "" };
        line(
            &mut text,
            format_args!(
                "| `{code}`{again} | {} | {} | {} | {} |",
                row.meaning,
                row.remedy,
                row.http,
                row.exit.code()
            ),
        );
    }
    text
}
