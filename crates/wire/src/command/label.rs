//! `cmd/label`: give, change and take back the class of frames and samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{As, Count, Number, Numbers, Text};
use crate::class_name::ClassName;
use crate::error::Error;

/// What to do about labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "LabelCommand", tag = "action")]
pub enum Label {
    /// Store a frame as a sample of `class`. The bare word `ok` means this, with class `ok`.
    Set {
        /// The class; made if it is new.
        class: ClassName,
        /// The frame, by its number in `prediction`; absent: the newest. Frames are kept for 30 seconds.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Count<u64>>")]
        frame: Option<u64>,
        /// The burst it belongs to; absent: one of its own, or that of labels just before it.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Text<128>>")]
        burst: Option<String>,
    },
    /// Give stored samples another class: one, several, or all of a burst, as one change.
    Relabel {
        /// The sample.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Number<i64>>")]
        sample: Option<i64>,
        /// Several of them, in place of `sample`.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Numbers<1000>>")]
        samples: Option<Vec<i64>>,
        /// All samples of this burst, in place of `sample`.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Text<512>>")]
        burst: Option<String>,
        /// Their new class; made if it is new.
        class: ClassName,
    },
    /// Delete stored samples: one, several, or all of a burst, as one change.
    Delete {
        /// The sample.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Number<i64>>")]
        sample: Option<i64>,
        /// Several of them, in place of `sample`.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Numbers<1000>>")]
        samples: Option<Vec<i64>>,
        /// All samples of this burst, in place of `sample`.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "As::<Text<512>>")]
        burst: Option<String>,
    },
    /// Take back the last change of the data set; again and again for the ones before.
    Undo,
}

/// The samples that a command means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// These.
    Samples(Vec<i64>),
    /// All of this burst.
    Burst(String),
}

impl Label {
    /// The samples that it means; `None`: it means none, as it is another action.
    ///
    /// # Errors
    /// None are named, or in two ways.
    pub fn chosen(&self) -> Result<Option<Chosen>, Error> {
        let (Self::Relabel { sample, samples, burst, .. } | Self::Delete { sample, samples, burst }) = self
        else {
            return Ok(None);
        };
        match (sample, samples, burst) {
            (Some(one), None, None) => Ok(Some(Chosen::Samples(vec![*one]))),
            (None, Some(several), None) => Ok(Some(Chosen::Samples(several.clone()))),
            (None, None, Some(burst)) => Ok(Some(Chosen::Burst(burst.clone()))),
            (None, None, None) => Err(Error::bad_request(
                "/sample",
                "the field sample is missing: name a sample, several samples, or a burst",
            )),
            _ => Err(Error::bad_request("/sample", "name one of sample, samples and burst, not two of them")),
        }
    }
}
