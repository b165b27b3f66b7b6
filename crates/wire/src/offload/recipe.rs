//! The recipes of fine-tuning, by name.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most stages that `partial:k` may train.
const MAX_STAGES: u32 = 64;

/// How the backbone is trained. Written as one word: `auto`, `partial:2`, `full+live`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// What of the network trains, and in which order.
    pub train: Train,
    /// What becomes of batch normalisation; `None`: what is usual for `train`.
    pub norm: Option<Norm>,
}

/// What of the network trains, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Train {
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
    /// `head`, `gradual` and `full+live`; the best one on bursts that were held out.
    #[default]
    Auto,
}

/// What becomes of batch normalisation that the exporter has folded into the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// It stays folded: usual for all but `scratch`.
    Plain,
    /// It is put back with the statistics of the pretrained network.
    Frozen,
    /// It is put back with the statistics of each batch: usual for `scratch`.
    Live,
}

const NORMS: [(Norm, &str); 3] = [(Norm::Plain, "plain"), (Norm::Frozen, "frozen"), (Norm::Live, "live")];

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.train {
            Train::Head => f.write_str("head"),
            Train::Partial(stages) => write!(f, "partial:{stages}"),
            Train::Gradual => f.write_str("gradual"),
            Train::Full => f.write_str("full"),
            Train::Scratch => f.write_str("scratch"),
            Train::Auto => f.write_str("auto"),
        }?;
        match NORMS.iter().find(|(norm, _)| Some(*norm) == self.norm) {
            Some((_, word)) => write!(f, "+{word}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, norm) = text.split_once('+').map_or((text, None), |(word, norm)| (word, Some(norm)));
        let train = match word {
            "head" => Some(Train::Head),
            "gradual" => Some(Train::Gradual),
            "full" => Some(Train::Full),
            "scratch" => Some(Train::Scratch),
            "auto" => Some(Train::Auto),
            // One spelling each: no sign, no zero in front.
            other => other
                .strip_prefix("partial:")
                .and_then(|k| k.parse().ok().filter(|n: &u32| n.to_string() == k))
                .filter(|k| (1..=MAX_STAGES).contains(k))
                .map(Train::Partial),
        };
        let norm = norm.map(|word| NORMS.iter().find(|(_, known)| *known == word).map(|(norm, _)| *norm));
        match (train, norm) {
            (Some(train), None) => Ok(Self { train, norm: None }),
            (Some(train), Some(Some(norm))) => Ok(Self { train, norm: Some(norm) }),
            _ => {
                let shown: String = text.chars().take(40).collect();
                Err(format!(
                    "there is no recipe {shown:?}; the recipes are auto, head, partial:1 to partial:{MAX_STAGES}, \
                     gradual, full and scratch, with +plain, +frozen or +live for batch normalisation"
                ))
            }
        }
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
        json_schema!({
            "type": "string",
            "pattern": "^(auto|head|partial:[1-9][0-9]?|gradual|full|scratch)(\\+(plain|frozen|live))?$"
        })
    }
}
