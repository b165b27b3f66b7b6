//! A JSON value as a Rust type: serde does the reading, and what does not fit comes back with its place.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, IntoDeserializer,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

/// Names in error messages are cut after this many characters.
const SHOWN: usize = 64;

/// Why a value is not of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An object has a field that its type does not know.
    UnknownField {
        /// The field.
        name: String,
        /// The fields there are.
        known: &'static [&'static str],
    },
    /// A word, or a tag, that is none of those there are.
    UnknownWord {
        /// The word.
        word: String,
        /// The words there are.
        known: &'static [&'static str],
    },
    /// A field is missing.
    Missing(&'static str),
    /// Something else was expected here.
    Wrong {
        /// What stands there.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// What a type says itself.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField { name, known: [] } => {
                write!(f, "there is no field {name:?} here, nor any other")
            }
            Self::UnknownField { name, known } => {
                write!(f, "there is no field {name:?} here; the fields are {}", known.join(", "))
            }
            Self::UnknownWord { word, known } => {
                write!(f, "{word:?} is none of the words here, which are {}", known.join(", "))
            }
            Self::Missing(name) => write!(f, "the field {name} is missing"),
            Self::Wrong { found, expected } => write!(f, "it has to be {expected}, not {found}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Other(text.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Wrong { found: shown(found), expected: in_words_of_json(&expected.to_string()) }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownWord { word: cut(word), known }
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownField { name: cut(name), known }
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// serde names types in the words of Rust; who sends JSON knows those of JSON.
fn in_words_of_json(expected: &str) -> String {
    match expected {
        "a string" => "text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "u64" | "u32" => "a whole number from 0",
        "f64" => "a number",
        text => text.strip_prefix("struct ").map_or(text, |_| "an object"),
    }
    .to_owned()
}

/// A value as an error message shows it: short.
fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Str(text) if text.chars().count() > 40 => "a longer text".to_owned(),
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Unit => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// A JSON value as an error message shows it.
pub fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Unexpected::Unsigned(number),
            (None, Some(number)) => Unexpected::Signed(number),
            _ => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

/// What does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}{}", if .pointer.is_empty() { String::new() } else { format!(" (at {pointer})") })]
pub struct Misfit {
    /// JSON pointer to it.
    pub pointer: String,
    /// Why it does not fit.
    pub fault: Fault,
}

/// Reads a value as a type.
///
/// # Errors
/// The first thing that does not fit.
pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Misfit> {
    tracked(Node(value))
}

/// Reads a value of an enum of enums: `tags` name the variants from the outermost on, `fields` are those of the last.
///
/// # Errors
/// The first thing that does not fit. An unknown tag has an empty pointer.
pub fn tagged<T: DeserializeOwned>(tags: [&str; 2], fields: Map<String, Value>) -> Result<T, Misfit> {
    let inner = Tagged { tag: tags[1].to_owned(), content: Content::Fields(fields) };
    tracked(Tagged { tag: tags[0].to_owned(), content: Content::Tagged(Box::new(inner)) })
}

fn tracked<'de, T: serde::Deserialize<'de>>(
    from: impl Deserializer<'de, Error = Fault>,
) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(from).map_err(|error| {
        let mut pointer = pointer(error.path());
        let fault = error.into_inner();
        match &fault {
            Fault::Missing(name) => pointer.push_str(&step(name)),
            // A field of a variant that has none was never entered.
            Fault::UnknownField { name, .. } if !pointer.ends_with(&step(name)) => {
                pointer.push_str(&step(name));
            }
            _ => {}
        }
        Misfit { pointer, fault }
    })
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Map { key } => pointer + &step(key),
        Segment::Seq { index } => pointer + &step(&index.to_string()),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

/// `/name` as a part of a JSON pointer.
fn step(name: &str) -> String {
    format!("/{}", cut(name).replace('~', "~0").replace('/', "~1"))
}

/// A value that serde reads with [`Fault`] as the error, which keeps what serde_json makes a text of.
struct Node(Value);

impl IntoDeserializer<'_, Fault> for Node {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

fn entries(map: Map<String, Value>) -> impl Iterator<Item = (String, Node)> {
    map.into_iter().map(|(name, value)| (name, Node(value)))
}

impl<'de> Deserializer<'de> for Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(list) => visitor.visit_seq(SeqDeserializer::new(list.into_iter().map(Node))),
            Value::Object(map) => visitor.visit_map(MapDeserializer::new(entries(map))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(word.into_deserializer()),
            other => Err(Fault::Wrong {
                found: shown(unexpected(&other)),
                expected: format!("one of {}", known.join(", ")),
            }),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant of an enum: its name and what it holds.
struct Tagged {
    tag: String,
    content: Content,
}

enum Content {
    Fields(Map<String, Value>),
    Tagged(Box<Tagged>),
}

impl<'de> Deserializer<'de> for Tagged {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Tagged {
    type Error = Fault;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Fault> {
        Ok((seed.deserialize(self.tag.into_deserializer())?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self {
            Self::Fields(fields) => match fields.keys().next() {
                Some(name) => Err(Fault::unknown_field(name, &[])),
                None => Ok(()),
            },
            Self::Tagged(_) => Err(Fault::custom("it holds nothing")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        match self {
            Self::Fields(fields) => seed.deserialize(Node(Value::Object(fields))),
            Self::Tagged(inner) => seed.deserialize(*inner),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Fields(fields) => visitor.visit_map(MapDeserializer::new(entries(fields))),
            Self::Tagged(_) => Err(Fault::custom("it holds fields")),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(Fault::custom("no variant of these types is a tuple"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        list: Vec<Inner>,
        #[serde(default)]
        by_name: BTreeMap<String, u64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        word: Word,
        share: Option<f64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Yes,
        NotYet,
    }

    fn misfit(value: Value) -> (String, String) {
        let misfit = typed::<Outer>(value).unwrap_err();
        (misfit.pointer, misfit.fault.to_string())
    }

    #[test]
    fn what_fits_is_read() {
        let value = json!({"list": [{"word": "not_yet", "share": 1}, {"word": "yes", "share": null}]});
        let list =
            vec![Inner { word: Word::NotYet, share: Some(1.0) }, Inner { word: Word::Yes, share: None }];
        assert_eq!(typed(value), Ok(Outer { list, by_name: BTreeMap::new() }));
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let cases = [
            (json!({"list": [{"word": "no"}]}), "/list/0/word", "which are yes, not_yet"),
            (json!({"list": [{"word": 7}]}), "/list/0/word", "one of yes, not_yet, not 7"),
            (json!({"list": [{"share": 1}]}), "/list/0/word", "the field word is missing"),
            (json!({"list": [{"word": "yes", "w~/": 1}]}), "/list/0/w~0~1", "the fields are word, share"),
            (json!({"list": [{"word": "yes", "share": "x"}]}), "/list/0/share", "a number, not \"x\""),
            (json!({"list": {}}), "/list", "a list, not an object"),
            (json!({"list": [], "by_name": {"a": -1}}), "/by_name/a", "a whole number from 0, not -1"),
            (json!(7), "", "an object, not 7"),
        ];
        for (value, pointer, says) in cases {
            let (at, text) = misfit(value.clone());
            assert_eq!(at, pointer, "{value}: {text}");
            assert!(text.contains(says), "{value}: {text}");
        }
    }
}
