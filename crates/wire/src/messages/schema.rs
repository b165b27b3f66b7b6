//! The version mark of a message.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Is written `1`, and reads nothing else: the shape of a message, raised when fields change meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schema1;

impl Serialize for Schema1 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(1)
    }
}

impl<'de> Deserialize<'de> for Schema1 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u32::deserialize(from)? {
            1 => Ok(Self),
            other => Err(serde::de::Error::custom(format!(
                "message schema {other} is not known to this version, which reads schema 1"
            ))),
        }
    }
}

impl JsonSchema for Schema1 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Schema1".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"const": 1})
    }
}
