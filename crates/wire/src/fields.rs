//! Reads the fields of one command: unknown ones refused with the nearest known name, wrong types and
//! missing ones with the JSON pointer.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::backbone_manifest::BackboneManifest;
use super::class_name::ClassName;
use super::error::{Code, Error};
use super::nearest::nearest;

/// The fields of one object that was checked for unknown names.
pub struct Fields {
    map: Map<String, Value>,
}

impl Fields {
    /// Refuses every field that is not in `known`.
    pub fn new(map: Map<String, Value>, known: &[&str]) -> Result<Self, Error> {
        for name in map.keys() {
            if !known.contains(&name.as_str()) {
                return Err(unknown(name, known));
            }
        }
        Ok(Self { map })
    }

    /// The field, `null` being as good as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Text of 1 to `max` characters without control characters.
    pub fn text(&mut self, name: &str, max: usize) -> Result<Option<String>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::String(text) = value else { return Err(wrong(name, "text", &value)) };
        let fits = (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if !fits {
            let message = format!("{name} takes 1 to {max} characters, none of them control characters");
            return Err(Error::bad_request(&pointer(name), message));
        }
        Ok(Some(text))
    }

    /// A class name.
    pub fn class(&mut self, name: &str) -> Result<Option<ClassName>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Value::String(text) = value else { return Err(wrong(name, "a class name as text", &value)) };
        ClassName::new(&text).map(Some).map_err(|e| Error::bad_request(&pointer(name), e.to_string()))
    }

    /// A whole number within `range`.
    pub fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_i64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = match (range.start(), range.end()) {
                    (low, &i64::MAX) => format!("a whole number from {low}"),
                    (low, high) => format!("a whole number from {low} to {high}"),
                };
                Err(wrong(name, &expected, &value))
            }
        }
    }

    /// A number within `range`.
    pub fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                Err(wrong(name, &expected, &value))
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(name, "true or false", &value))
    }

    /// The signed manifest of a backbone, which has to be there. Its signature is not yet checked.
    pub fn manifest(&mut self, name: &str) -> Result<BackboneManifest, Error> {
        let value = required(name, self.take(name))?;
        BackboneManifest::from_value(value).map_err(|e| Error::from(e).with("pointer", pointer(name)))
    }

    /// An object of any content.
    pub fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(wrong(name, "an object", &other)),
        }
    }
}

/// Turns an absent field into the error that names it.
pub fn required<T>(name: &str, field: Option<T>) -> Result<T, Error> {
    field.ok_or_else(|| Error::bad_request(&pointer(name), format!("the field {name} is missing")))
}

/// `/name` as a JSON pointer.
pub fn pointer(name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn wrong(name: &str, expected: &str, found: &Value) -> Error {
    Error::bad_request(&pointer(name), format!("{name} has to be {expected}, not {}", shown(found)))
}

/// A value as an error message shows it: short.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > 40 => "a longer text".to_owned(),
        other => other.to_string(),
    }
}

fn unknown(name: &str, known: &[&str]) -> Error {
    let at = pointer(name);
    let shown: String = name.chars().take(64).collect();
    match nearest(name, known) {
        Some(near) => Error::new(
            Code::UnknownField,
            format!("there is no field {shown:?} here; did you mean {near:?}? Nothing was done"),
        )
        .with("pointer", at)
        .with("nearest", near),
        None => Error::new(
            Code::UnknownField,
            format!(
                "there is no field {shown:?} here; the fields are {}. Nothing was done",
                known.join(", ")
            ),
        )
        .with("pointer", at),
    }
}
