//! What a field of a command may hold, beyond its Rust type: one rule reads it, says what was expected and gives its
//! JSON schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::digest;
use crate::manifest::is_url;
use crate::strict_json::unexpected;
use crate::timestamp;
use crate::topic::is_device_id;

/// What may stand in a field.
pub trait Rule {
    /// The type of what is read.
    type Value;

    /// What is expected, after "has to be".
    fn expected() -> Cow<'static, str>;

    /// The value, if it keeps to the rule.
    fn read(value: &Value) -> Option<Self::Value>;

    /// The rule as a JSON schema.
    fn schema() -> Schema;
}

/// Puts a rule on a field: `#[serde(with = "As::<Whole<u32, 1, 1000>>")]`. An optional field needs `default` too.
pub struct As<R>(PhantomData<R>);

impl<R: Rule> As<R> {
    /// As the field's own type.
    pub fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    /// Keeps to the rule, or says what was expected.
    pub fn deserialize<'de, T: From<R::Value>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let value = Value::deserialize(from)?;
        let wrong = || D::Error::invalid_value(unexpected(&value), &R::expected().as_ref());
        R::read(&value).map(T::from).ok_or_else(wrong)
    }
}

impl<R: Rule> JsonSchema for As<R> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        R::schema()
    }
}

/// A whole number from `LOW` to `HIGH`; with `i64::MAX` as `HIGH` there is no upper bound.
pub struct Whole<T, const LOW: i64, const HIGH: i64>(PhantomData<T>);

/// A whole number from 0.
pub type Count<T> = Whole<T, 0, { i64::MAX }>;
/// The number of something: a whole number from 1.
pub type Number<T> = Whole<T, 1, { i64::MAX }>;

impl<T: TryFrom<i64>, const LOW: i64, const HIGH: i64> Rule for Whole<T, LOW, HIGH> {
    type Value = T;

    fn expected() -> Cow<'static, str> {
        match HIGH {
            i64::MAX => format!("a whole number from {LOW}"),
            _ => format!("a whole number from {LOW} to {HIGH}"),
        }
        .into()
    }

    fn read(value: &Value) -> Option<T> {
        value
            .as_i64()
            .filter(|number| (LOW..=HIGH).contains(number))
            .and_then(|number| T::try_from(number).ok())
    }

    fn schema() -> Schema {
        match HIGH {
            i64::MAX => json_schema!({"type": "integer", "minimum": LOW}),
            _ => json_schema!({"type": "integer", "minimum": LOW, "maximum": HIGH}),
        }
    }
}

/// 1 to `MAX` numbers of things.
pub struct Numbers<const MAX: usize>;

impl<const MAX: usize> Rule for Numbers<MAX> {
    type Value = Vec<i64>;

    fn expected() -> Cow<'static, str> {
        format!("a list of 1 to {MAX} whole numbers from 1").into()
    }

    fn read(value: &Value) -> Option<Vec<i64>> {
        let list = value.as_array().filter(|list| (1..=MAX).contains(&list.len()))?;
        list.iter().map(Number::<i64>::read).collect()
    }

    fn schema() -> Schema {
        json_schema!({"type": "array", "minItems": 1, "maxItems": MAX, "items": {"type": "integer", "minimum": 1}})
    }
}

/// A number from `LOW` to `HIGH` tenths; with `i64::MAX` as `HIGH` there is no upper bound.
pub struct Tenths<const LOW: i64, const HIGH: i64>;

impl<const LOW: i64, const HIGH: i64> Tenths<LOW, HIGH> {
    fn bounds() -> (f64, f64) {
        (LOW as f64 / 10.0, if HIGH == i64::MAX { f64::MAX } else { HIGH as f64 / 10.0 })
    }
}

impl<const LOW: i64, const HIGH: i64> Rule for Tenths<LOW, HIGH> {
    type Value = f64;

    fn expected() -> Cow<'static, str> {
        match Self::bounds() {
            (low, f64::MAX) => format!("a number from {low}"),
            (low, high) => format!("a number from {low} to {high}"),
        }
        .into()
    }

    fn read(value: &Value) -> Option<f64> {
        let (low, high) = Self::bounds();
        value.as_f64().filter(|number| (low..=high).contains(number))
    }

    fn schema() -> Schema {
        match Self::bounds() {
            (low, f64::MAX) => json_schema!({"type": "number", "minimum": low}),
            (low, high) => json_schema!({"type": "number", "minimum": low, "maximum": high}),
        }
    }
}

/// Text of 1 to `MAX` characters, none of them control characters.
pub struct Text<const MAX: usize>;

impl<const MAX: usize> Rule for Text<MAX> {
    type Value = String;

    fn expected() -> Cow<'static, str> {
        format!("text of 1 to {MAX} characters, none of them control characters").into()
    }

    fn read(value: &Value) -> Option<String> {
        let text = value.as_str()?;
        let fits = (1..=MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned())
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": MAX})
    }
}

/// Text that a predicate knows.
macro_rules! texts {
    ($($(#[$about:meta])* $name:ident: $is:expr, $expected:literal, $schema:tt;)*) => {$(
        $(#[$about])*
        pub struct $name;

        impl Rule for $name {
            type Value = String;

            fn expected() -> Cow<'static, str> {
                $expected.into()
            }

            fn read(value: &Value) -> Option<String> {
                let is: fn(&str) -> bool = $is;
                value.as_str().filter(|text| is(text)).map(str::to_owned)
            }

            fn schema() -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

texts! {
    /// The id of a job.
    JobId: is_job_id, "a job id: 1 to 64 letters, digits and '-'",
        {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"};
    /// The id of a host.
    HostId: is_device_id, "a host id: 1 to 64 of a-z, 0-9 and '-'",
        {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"};
    /// A SHA-256 digest.
    Digest: digest::is_digest, "sha256: and 64 lower-case hex digits",
        {"type": "string", "pattern": (digest::PATTERN)};
    /// A web address.
    Url: is_url, "an http or https address of at most 2048 plain characters",
        {"type": "string", "minLength": 8, "maxLength": 2048};
    /// A bearer token.
    Token: is_token, "a token of 32 to 128 letters and digits",
        {"type": "string", "minLength": 32, "maxLength": 128};
    /// A time.
    Time: |text| timestamp::parse_rfc3339(text).is_some(), "a time like 2026-03-01T12:00:00Z",
        {"type": "string", "format": "date-time"};
}

/// Whether `text` may be the id of a job, which is a level of a topic.
pub fn is_job_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether `text` is a bearer token: 32 to 128 letters and digits.
pub fn is_token(text: &str) -> bool {
    (32..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Most settings in one command.
const MAX_SETTINGS: usize = 64;

/// Settings by dotted key.
pub struct Settings;

/// The dotted key of a setting.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let key = String::deserialize(from)?;
        let word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if key.len() <= 128 && key.split('.').all(word) {
            return Ok(Self(key));
        }
        Err(D::Error::custom("a setting is named by its dotted key, like camera.fps: a-z, 0-9, '_' and dots"))
    }
}

impl Settings {
    /// As an object.
    pub fn serialize<S: Serializer>(values: &BTreeMap<String, Value>, to: S) -> Result<S::Ok, S::Error> {
        values.serialize(to)
    }

    /// 1 to 64 of them.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Value>, D::Error> {
        let values = BTreeMap::<Key, Value>::deserialize(from)?;
        if values.is_empty() || values.len() > MAX_SETTINGS {
            return Err(D::Error::custom(format!("values takes 1 to {MAX_SETTINGS} settings")));
        }
        Ok(values.into_iter().map(|(key, value)| (key.0, value)).collect())
    }
}

impl JsonSchema for Settings {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object", "additionalProperties": true, "minProperties": 1, "maxProperties": MAX_SETTINGS,
        })
    }
}
