//! What documents from outside share: how a manifest is read, and the rules of the fields that several have.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::class_name::are_class_names;
use crate::digest::is_digest;
use crate::error::Code;
use crate::strict_json::{self, Fault};
use crate::timestamp::parse_rfc3339;

/// Longest text in characters.
const TEXT_CHARS: usize = 256;
/// Highest version: the largest whole number that every JSON reader keeps exact.
pub(crate) const MAX_VERSION: u64 = (1 << 53) - 1;
/// Most figures in a manifest.
pub(crate) const MAX_METRICS: usize = 64;
/// Figures are rounded to so many decimals, so that any program writes the same digits for them.
const METRIC_DECIMALS: f64 = 1e6;

/// A field that does not keep to its rule, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadField(pub(crate) &'static str, pub(crate) &'static str);

/// Why a manifest is not well-formed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Its bytes, and the limit.
    #[error("a manifest of {0} bytes is over the limit of {1}")]
    TooLarge(usize, usize),
    /// No JSON, a field twice, missing, or of a wrong type.
    #[error("the manifest is not JSON that can be read: {0}")]
    Json(String),
    /// A field that nobody knows.
    #[error("the manifest has a field of a newer version: {0}")]
    UnknownField(String),
    /// A field.
    #[error("the field {} of the manifest {}", .0.0, .0.1)]
    Field(BadField),
}

impl Malformed {
    /// One word for the reason, for logs and programs.
    pub fn reason(&self) -> String {
        match self {
            Self::TooLarge(..) => "manifest_too_large".to_owned(),
            Self::Json(_) => "malformed".to_owned(),
            Self::UnknownField(_) => "unknown_field".to_owned(),
            Self::Field(bad) => format!("bad_{}", bad.0),
        }
    }

    /// The code of the interface for it.
    pub fn code(&self) -> Code {
        match self {
            Self::TooLarge(..) => Code::TooLarge,
            _ => Code::Incompatible,
        }
    }
}

impl From<BadField> for Malformed {
    fn from(bad: BadField) -> Self {
        Self::Field(bad)
    }
}

/// Reads a manifest of at most `limit` bytes: no unknown field, no field twice.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, Malformed> {
    if bytes.len() > limit {
        return Err(Malformed::TooLarge(bytes.len(), limit));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| Malformed::Json(e.to_string()))?;
    let value = strict_json::read(text).map_err(|e| Malformed::Json(e.to_string()))?;
    strict_json::typed(value).map_err(|misfit| match misfit.fault {
        Fault::UnknownField { .. } => Malformed::UnknownField(misfit.to_string()),
        _ => Malformed::Json(misfit.to_string()),
    })
}

/// `Ok` if the field keeps to its rule, which `why` tells.
pub(crate) fn rule(holds: bool, field: &'static str, why: &'static str) -> Result<(), BadField> {
    if holds { Ok(()) } else { Err(BadField(field, why)) }
}

pub(crate) fn version(version: u64) -> Result<(), BadField> {
    rule((1..=MAX_VERSION).contains(&version), "version", "is not from 1 to 2^53 - 1")
}

pub(crate) fn digest(field: &'static str, text: &str) -> Result<(), BadField> {
    rule(is_digest(text), field, "is no sha256 digest")
}

pub(crate) fn line(field: &'static str, text: &str) -> Result<(), BadField> {
    rule(is_line(text), field, "is not one line of 1 to 256 characters")
}

pub(crate) fn time(field: &'static str, text: &str) -> Result<(), BadField> {
    rule(parse_rfc3339(text).is_some(), field, "is no time like 2026-03-01T12:00:00Z")
}

pub(crate) fn key_id(id: &str) -> Result<(), BadField> {
    let holds = id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit());
    rule(holds, "key_id", "is not 16 hex digits")
}

pub(crate) fn class_names(classes: &[String]) -> Result<(), BadField> {
    rule(are_class_names(classes), "classes", "holds a name twice, or one that is no class name")
}

pub(crate) fn metrics(metrics: &BTreeMap<String, f64>) -> Result<(), BadField> {
    let holds = metrics.len() <= MAX_METRICS && metrics.iter().all(|(name, &value)| is_metric(name, value));
    rule(
        holds,
        "metrics",
        "has more than 64 figures, a name outside a-z, 0-9 and _, or a figure of over six decimals",
    )
}

/// Whether a figure can be part of a statement: a plain name, a bounded number of six decimals.
pub(crate) fn is_metric(name: &str, value: f64) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && value.is_finite()
        && value.abs() <= 1e9
        && rounded(value).to_bits() == value.to_bits()
}

/// `value` with six decimals.
pub(crate) fn rounded(value: f64) -> f64 {
    let rounded = (value * METRIC_DECIMALS).round() / METRIC_DECIMALS;
    // No minus before a zero: the two would be written differently and compare equal.
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// Text that fits one line of a statement.
pub(crate) fn is_line(text: &str) -> bool {
    (1..=TEXT_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
