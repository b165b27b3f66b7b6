//! From the bytes of a message to a checked command.

use serde_json::{Map, Value};

use super::{Command, Envelope, Op};
use crate::error::{Code, Error};
use crate::fields::{Fields, pointer};
use crate::nearest::nearest;
use crate::{strict_json, timestamp};

/// Largest command in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Fields that any command may have.
const ENVELOPE: [&str; 4] = ["action", "id", "expires", "if_rev"];
const ID_CHARS: usize = 128;

/// Reads the body of a command of `op`: a JSON object with `action`, or a bare word (with or without the
/// quotes of JSON) where one word says it all. Nothing is ever half read: the first fault refuses it.
pub fn parse(op: Op, body: &[u8]) -> Result<Envelope, Error> {
    let text = body_text(body)?;
    if text.starts_with('{') {
        return read_object(op, object(text)?);
    }
    let word = bare_word(op, text)?;
    let mut map = Map::new();
    if op == Op::Label && word != "undo" {
        map.insert("action".into(), "set".into());
        map.insert("class".into(), word.into());
    } else {
        map.insert("action".into(), word.into());
    }
    read_object(op, map)
}

/// The `id` of a body that may be wrong otherwise, so that its refusal can carry it.
pub fn peek_id(body: &[u8]) -> Option<String> {
    match object(body_text(body).ok()?).ok()?.remove("id")? {
        Value::String(id) if is_id(&id) => Some(id),
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    (1..=ID_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
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
fn bare_word(op: Op, text: &str) -> Result<String, Error> {
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
    Ok(match op {
        Op::Mode => match word {
            "ON" => "adapt".to_owned(),
            "OFF" => "infer".to_owned(),
            other => other.to_owned(),
        },
        _ => word.to_owned(),
    })
}

fn read_object(op: Op, mut map: Map<String, Value>) -> Result<Envelope, Error> {
    let (action, own) = action(op, &map)?;
    let known: Vec<&str> = own.iter().chain(&ENVELOPE).copied().collect();
    map.remove("action");
    let mut fields = Fields::new(map, &known)?;
    let id = fields.text("id", ID_CHARS)?;
    let expires_ms = match fields.text("expires", 64)? {
        None => None,
        Some(text) => Some(timestamp::parse_rfc3339(&text).ok_or_else(|| {
            Error::bad_request("/expires", "expires has to be a time like 2026-03-01T12:00:00Z")
        })?),
    };
    let if_rev = fields.whole("if_rev", 0..=i64::MAX)?;
    Ok(Envelope { id, expires_ms, if_rev, command: Command::read(op, action, &mut fields)? })
}

/// The action of a body and the names of its own fields.
fn action(op: Op, map: &Map<String, Value>) -> Result<(&'static str, &'static [&'static str]), Error> {
    let words: Vec<&str> = op.actions().iter().map(|(word, _)| *word).collect();
    let listed = words.join(", ");
    let asked = match map.get("action") {
        Some(Value::String(asked)) => asked,
        Some(_) => {
            return Err(Error::bad_request("/action", format!("action has to be one of: {listed}")));
        }
        None => {
            // A slip like "acton" deserves to be named as such.
            let known: Vec<&str> =
                op.actions().iter().flat_map(|(_, own)| own.iter()).chain(&ENVELOPE).copied().collect();
            Fields::new(map.clone(), &known)?;
            return Err(Error::bad_request(
                "/action",
                format!("the field action is missing; {op} takes: {listed}", op = op.as_str()),
            ));
        }
    };
    if let Some(&found) = op.actions().iter().find(|(word, _)| word == asked) {
        return Ok(found);
    }
    let shown: String = asked.chars().take(64).collect();
    let error = Error::bad_request(
        &pointer("action"),
        format!("{} has no action {shown:?}; it takes: {listed}", op.as_str()),
    )
    .with("actions", words.clone());
    Err(match nearest(asked, &words) {
        Some(near) => error.with("nearest", near),
        None => error,
    })
}
