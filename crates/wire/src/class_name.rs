//! Names of classes: the one place that says which are allowed.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Most characters of a class name.
pub const MAX_CHARS: usize = 64;

/// A class name that is safe as text, as a folder of an exported data set and as an MQTT payload.
///
/// The rules: 1 to 64 characters after white space at the ends is cut off; no control characters; no
/// `/` and no `\` (classes become folders); not `.` or `..`; not `unknown` in any case, which the device
/// says for frames that are like no class. `none` is allowed: a class of that name means "nothing of
/// interest here", and the label topic says `none` for no class as well, so both read the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct ClassName(#[schemars(length(min = 1, max = 64))] String);

/// Why a class name was refused; the text says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassNameError {
    /// Nothing but white space.
    #[error("a class name needs at least one character")]
    Empty,
    /// Over [`MAX_CHARS`].
    #[error("a class name takes at most 64 characters")]
    TooLong,
    /// A character that has no place in a name.
    #[error("a class name takes no control characters, no '/' and no '\\'; found {0:?}")]
    Character(char),
    /// A word with a meaning of its own.
    #[error("{0:?} cannot be the name of a class (`.`, `..` and `unknown` have a meaning of their own)")]
    Reserved(String),
}

impl ClassName {
    /// Checks `text` against the rules, white space at the ends cut off.
    pub fn new(text: &str) -> Result<Self, ClassNameError> {
        let name = text.trim();
        if name.is_empty() {
            return Err(ClassNameError::Empty);
        }
        if name.chars().count() > MAX_CHARS {
            return Err(ClassNameError::TooLong);
        }
        if let Some(bad) = name.chars().find(|c| c.is_control() || matches!(c, '/' | '\\')) {
            return Err(ClassNameError::Character(bad));
        }
        if matches!(name, "." | "..") || name.eq_ignore_ascii_case("unknown") {
            return Err(ClassNameError::Reserved(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether each of `names` is a class name as it stands, and none is there twice.
pub(crate) fn are_class_names(names: &[String]) -> bool {
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().all(|name| ClassName::new(name).is_ok_and(|read| read.0 == *name) && seen.insert(name))
}

impl std::ops::Deref for ClassName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ClassName> for String {
    fn from(name: ClassName) -> Self {
        name.0
    }
}

impl std::str::FromStr for ClassName {
    type Err = ClassNameError;
    fn from_str(text: &str) -> Result<Self, ClassNameError> {
        Self::new(text)
    }
}

impl<'de> Deserialize<'de> for ClassName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_pass_and_lose_outer_space() {
        for good in ["ok", "none", "Schraube fehlt", "犬", "a.b", "...", "undo", "x y\u{301}"] {
            assert_eq!(ClassName::new(good).unwrap().as_str(), good);
        }
        assert_eq!(ClassName::new(" ok\n").unwrap().as_str(), "ok");
        assert!(ClassName::new(&"ä".repeat(64)).is_ok());
    }

    #[test]
    fn each_rule_has_its_own_refusal() {
        assert_eq!(ClassName::new(" \n"), Err(ClassNameError::Empty));
        assert_eq!(ClassName::new(&"ä".repeat(65)), Err(ClassNameError::TooLong));
        assert_eq!(ClassName::new("a/b"), Err(ClassNameError::Character('/')));
        assert_eq!(ClassName::new("a\\b"), Err(ClassNameError::Character('\\')));
        assert_eq!(ClassName::new("a\u{0}b"), Err(ClassNameError::Character('\u{0}')));
        for word in [".", "..", "unknown", "Unknown"] {
            assert!(matches!(ClassName::new(word), Err(ClassNameError::Reserved(_))), "{word}");
        }
    }
}
