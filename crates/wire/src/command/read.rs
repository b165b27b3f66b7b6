//! From the bytes of a message to a checked command.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::rules::{As, Count, Text, Time};
use super::{Backbone, Command, Envelope, Mode, Offload, Op};
use crate::error::{Code, Error};
use crate::nearest::nearest;
use crate::strict_json::{self, Fault, Misfit};
use crate::timestamp;

/// Largest command in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// What any command may have besides its own fields.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    #[serde(default, with = "As::<Text<128>>")]
    id: Option<String>,
    #[serde(default, with = "As::<Time>")]
    expires: Option<String>,
    #[serde(default, with = "As::<Count<i64>>")]
    if_rev: Option<i64>,
}

impl Common {
    /// Its fields, and the one that names the action.
    const NAMES: [&str; 4] = ["action", "id", "expires", "if_rev"];
}

/// Reads the body of a command of `op`: a JSON object with `action`, or a bare word (with or without the
/// quotes of JSON) where one word says it all. Nothing is ever half read: the first fault refuses it.
pub fn parse(op: Op, body: &[u8]) -> Result<Envelope, Error> {
    let text = body_text(body)?;
    if text.starts_with('{') {
        return read_object(op, object(text)?);
    }
    let word = bare_word(text)?;
    let mut map = Map::new();
    match op {
        Op::Label if word != "undo" => {
            map.insert("action".into(), "set".into());
            map.insert("class".into(), word.into());
        }
        Op::Mode => {
            map.insert("action".into(), Mode::bare(&word).into());
        }
        _ => {
            map.insert("action".into(), word.into());
        }
    }
    read_object(op, map)
}

/// The `id` of a body that may be wrong otherwise, so that its refusal can carry it.
pub fn peek_id(body: &[u8]) -> Option<String> {
    let id = object(body_text(body).ok()?).ok()?.remove_entry("id")?;
    let common: Common = strict_json::typed(Value::Object(Map::from_iter([id]))).ok()?;
    common.id
}

fn body_text(body: &[u8]) -> Result<&str, Error> {
    if body.len() > MAX_BYTES {
        let message = format!("a command takes at most {MAX_BYTES} bytes; this one has {}", body.len());
        return Err(Error::new(Code::TooLarge, message).with("limit", MAX_BYTES).with("size", body.len()));
    }
    let text = std::str::from_utf8(body).map_err(|e| {
        Error::bad_request("", format!("the body is not UTF-8 from byte {} on", e.valid_up_to()))
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::bad_request(
            "",
            "the body is empty; send a JSON object with an action, or a bare word",
        ));
    }
    Ok(text)
}

fn object(text: &str) -> Result<Map<String, Value>, Error> {
    match strict_json::read(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::bad_request("", "the body has to be a JSON object or a bare word")),
        Err(e) => Err(Error::bad_request("", format!("the body is not JSON that can be read: {e}"))),
    }
}

/// The word of a body that is no object.
fn bare_word(text: &str) -> Result<String, Error> {
    let word = if text.starts_with('"') {
        match strict_json::read(text) {
            Ok(Value::String(word)) => word,
            _ => return Err(Error::bad_request("", "the body starts like a JSON text but is none")),
        }
    } else {
        text.to_owned()
    };
    let word = word.trim();
    if word.starts_with(['[', '{']) {
        return Err(Error::bad_request("", "the body has to be a JSON object or a bare word"));
    }
    Ok(word.to_owned())
}

fn read_object(op: Op, mut map: Map<String, Value>) -> Result<Envelope, Error> {
    let refuse = |misfit| refusal(op, misfit);
    let action = match map.remove("action") {
        Some(Value::String(action)) => action,
        Some(_) => {
            let message = format!("action has to be one of: {}", actions(op).join(", "));
            return Err(Error::bad_request("/action", message));
        }
        None => return Err(no_action(op, &map)),
    };
    let action = if op == Op::Mode { Mode::action(&action).to_owned() } else { action };
    let common = Common::NAMES.iter().filter_map(|name| map.remove_entry(*name));
    let common = common.filter(|(_, value)| !value.is_null()).collect();
    let common: Common = strict_json::typed(Value::Object(common)).map_err(refuse)?;
    let command = command(op, &action, map).map_err(refuse)?;
    check(&command)?;
    let expires_ms = common.expires.as_deref().and_then(timestamp::parse_rfc3339);
    Ok(Envelope { id: common.id, expires_ms, if_rev: common.if_rev, command })
}

/// The command of an op, an action and its own fields.
fn command(op: Op, action: &str, fields: Map<String, Value>) -> Result<Command, Misfit> {
    let tags = [op.as_str(), action];
    let (absent, fields): (Map<String, Value>, _) =
        fields.into_iter().partition(|(_, value)| value.is_null());
    // `null` is as good as absent, but not under a name that nobody knows.
    for field in absent {
        let alone = strict_json::tagged::<Command>(tags, Map::from_iter([field]));
        if let Err(misfit @ Misfit { fault: Fault::UnknownField { .. }, .. }) = alone {
            return Err(misfit);
        }
    }
    strict_json::tagged(tags, fields)
}

/// What is beyond single fields.
fn check(command: &Command) -> Result<(), Error> {
    match command {
        Command::Offload(Offload::Result { manifest, .. })
        | Command::Backbone(Backbone::Apply { manifest, .. }) => {
            manifest.check().map_err(|e| Error::from(e).with("pointer", "/manifest"))
        }
        Command::Label(label) => label.chosen().map(drop),
        _ => Ok(()),
    }
}

/// The actions of an op, as serde knows them.
pub(super) fn actions(op: Op) -> &'static [&'static str] {
    match strict_json::tagged::<Command>([op.as_str(), ""], Map::new()) {
        Err(Misfit { fault: Fault::UnknownWord { known, .. }, .. }) => known,
        _ => &[],
    }
}

/// The refusal of a body without `action`; a slip like `acton` deserves to be named as such.
fn no_action(op: Op, map: &Map<String, Value>) -> Error {
    let slip = map.keys().find(|name| nearest(name, &["action"]).is_some());
    match slip {
        Some(name) => unknown_field(format!("/{name}"), name, &Common::NAMES),
        None => {
            let listed = actions(op).join(", ");
            let message = format!("the field action is missing; {} takes: {listed}", op.as_str());
            Error::bad_request("/action", message)
        }
    }
}

/// What does not fit, as the answer says it.
fn refusal(op: Op, Misfit { pointer, fault }: Misfit) -> Error {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    match fault {
        Fault::UnknownField { name, known } => {
            // The fields of the envelope are known at the top alone.
            let common = if pointer.rfind('/') == Some(0) { &Common::NAMES[..] } else { &[] };
            unknown_field(pointer, &name, &[known, common].concat())
        }
        Fault::UnknownWord { word, known } => {
            let listed = known.join(", ");
            let error = if pointer.is_empty() {
                let message = format!("{} has no action {word:?}; it takes: {listed}", op.as_str());
                Error::bad_request("/action", message).with("actions", known.to_vec())
            } else {
                Error::bad_request(&pointer, format!("there is no {name} {word:?}; it takes: {listed}"))
            };
            match nearest(&word, known) {
                Some(near) => error.with("nearest", near),
                None => error,
            }
        }
        Fault::Wrong { found, expected } => {
            let message = format!("{name} has to be {expected}, not {found}");
            Error::bad_request(&pointer, message)
        }
        fault @ (Fault::Missing(_) | Fault::Other(_)) => Error::bad_request(&pointer, fault.to_string()),
    }
}

fn unknown_field(pointer: String, name: &str, known: &[&str]) -> Error {
    let error = |message| Error::new(Code::UnknownField, message).with("pointer", pointer);
    match nearest(name, known) {
        Some(near) => {
            error(format!("there is no field {name:?} here; did you mean {near:?}? Nothing was done"))
                .with("nearest", near)
        }
        None => error(format!(
            "there is no field {name:?} here; the fields are {}. Nothing was done",
            known.join(", ")
        )),
    }
}
