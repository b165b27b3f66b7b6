//! The recipes of fine-tuning, by name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most stages that `partial:k` may train.
const MAX_STAGES: u32 = 64;

/// What of the network trains, and in which order. Written as one word: `auto`, `partial:2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recipe {
    /// The head alone on a fixed backbone: the baseline.
    Head,
    /// The top so many stages and the head.
    Partial(u32),
    /// The head first, then stage by stage from the top down.
    Gradual,
    /// Everything from the first step on.
    Full,
    /// Everything, from random weights: the control run.
    Scratch,
    /// `head`, then `gradual`; the better one on bursts that were held out.
    #[default]
    Auto,
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Partial(stages) => write!(f, "partial:{stages}"),
            Self::Gradual => f.write_str("gradual"),
            Self::Full => f.write_str("full"),
            Self::Scratch => f.write_str("scratch"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let recipe = match text {
            "head" => Some(Self::Head),
            "gradual" => Some(Self::Gradual),
            "full" => Some(Self::Full),
            "scratch" => Some(Self::Scratch),
            "auto" => Some(Self::Auto),
            // One spelling each: no sign, no zero in front.
            other => other
                .strip_prefix("partial:")
                .and_then(|k| k.parse().ok().filter(|n: &u32| n.to_string() == k))
                .filter(|k| (1..=MAX_STAGES).contains(k))
                .map(Self::Partial),
        };
        recipe.ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            format!(
                "there is no recipe {shown:?}; the recipes are auto, head, partial:1 to \
                 partial:{MAX_STAGES}, gradual, full and scratch"
            )
        })
    }
}

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recipe {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Recipe {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Recipe".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(auto|head|partial:[1-9][0-9]?|gradual|full|scratch)$"})
    }
}
