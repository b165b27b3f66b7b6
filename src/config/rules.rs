//! The rules of every key, read from default.toml: the one place that lists them.

use super::kind::{Kind, to_json};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use toml::Value;

/// The commented defaults, as `graft config default` prints them.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

#[derive(Clone, Debug)]
pub struct Rule {
    /// Dotted name, `mqtt.host`.
    pub key: String,
    /// What it means, from the comment above it.
    pub meaning: String,
    /// What it may be.
    pub kind: Kind,
    /// Unit, empty where there is none.
    pub unit: String,
    /// Empty means "not set".
    pub optional: bool,
    /// Never shown.
    pub secret: bool,
    /// May be set while the daemon runs.
    pub runtime: bool,
    /// As written in default.toml; `None` where the key stands behind a `#` there.
    pub default: Option<Value>,
    /// Line of default.toml.
    pub line: usize,
}

impl Rule {
    /// Checks a value; `Ok(None)` means "not set". The error is what is allowed, in words.
    pub fn admit(&self, value: &Value) -> Result<Option<Value>, String> {
        if self.optional && Kind::is_empty(value) {
            return Ok(None);
        }
        match self.kind.admit(value) {
            Some(value) if !Kind::is_empty(&value) => Ok(Some(value)),
            _ => Err(self.allowed()),
        }
    }

    /// The JSON that a text without quotes stands for, as `key=value` words have it.
    pub fn value_of(&self, text: &str) -> serde_json::Value {
        to_json(&self.kind.value_of(text))
    }

    /// What is allowed, in words, with the unit.
    pub fn allowed(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        let empty = match (&self.kind, self.optional) {
            (Kind::Texts | Kind::Numbers(..), true) => ", or [] for none",
            (_, true) => ", or \"\" for none",
            _ => "",
        };
        format!("{}{unit}{empty}", self.kind)
    }
}

/// Every key in the order of default.toml, by name.
pub struct Rules {
    /// In the order of default.toml.
    pub list: Vec<Rule>,
    index: BTreeMap<String, usize>,
}

impl Rules {
    /// The rule of a key.
    pub fn get(&self, key: &str) -> Option<&Rule> {
        self.index.get(key).map(|i| &self.list[*i])
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.list.iter().map(|rule| rule.key.as_str())
    }

    /// Whether this is a section, like `mqtt`.
    pub fn is_section(&self, name: &str) -> bool {
        self.keys().any(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// The rules of this build.
pub fn rules() -> &'static Rules {
    // default.toml is part of the binary and a test reads it: it cannot be wrong here.
    static RULES: LazyLock<Rules> = LazyLock::new(|| parse(DEFAULT_TOML).expect("default.toml is valid"));
    &RULES
}

/// Reads rules from a text in the form of default.toml: one line a key, a comment and a `#:` line above it.
fn parse(text: &str) -> Result<Rules, String> {
    let values: toml::Table = text.parse().map_err(|e| format!("{e}"))?;
    let mut rules = Rules { list: Vec::new(), index: BTreeMap::new() };
    let (mut section, mut meaning, mut rule) = (String::new(), String::new(), None);
    for (number, line) in text.lines().enumerate() {
        let at = |what: &str| format!("line {}: {what}", number + 1);
        let unset = line.strip_prefix('#').filter(|l| rule.is_some() && !l.starts_with([' ', ':']));
        if let Some(text) = line.strip_prefix("#: ") {
            rule = Some(text);
        } else if let (Some(text), None) = (line.strip_prefix('#'), unset) {
            meaning = format!("{meaning} {}", text.trim()).trim().to_owned();
        } else if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((name, _)) = unset.unwrap_or(line).split_once(" = ") {
            let mut parts = rule.take().ok_or_else(|| at("no #: line"))?.split(';').map(str::trim);
            let (kind, unit) = Kind::parse(parts.next().unwrap_or_default()).map_err(|e| at(&e))?;
            let flags: Vec<&str> = parts.collect();
            if let Some(odd) = flags.iter().find(|f| !["optional", "secret", "runtime"].contains(f)) {
                return Err(at(&format!("unknown mark {odd:?}")));
            }
            let table = match section.strip_suffix('.') {
                Some(name) => values.get(name).and_then(Value::as_table),
                None => Some(&values),
            };
            let default = table.and_then(|t| t.get(name)).cloned();
            if default.is_none() && !flags.contains(&"optional") {
                return Err(at("no value, and not optional"));
            }
            let key = format!("{section}{name}");
            rules.index.insert(key.clone(), rules.list.len());
            rules.list.push(Rule {
                key,
                meaning: std::mem::take(&mut meaning),
                kind,
                unit,
                optional: flags.contains(&"optional"),
                secret: flags.contains(&"secret"),
                runtime: flags.contains(&"runtime"),
                default,
                line: number + 1,
            });
        } else if line.is_empty() {
            meaning.clear();
        } else {
            return Err(at("neither a comment, a section nor a key"));
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_obeys_its_own_rule_and_says_what_it_means() {
        for rule in &rules().list {
            let allowed = rule.default.as_ref().is_none_or(|value| rule.admit(value).is_ok());
            assert!(allowed, "{} = {:?} is not {}", rule.key, rule.default, rule.allowed());
            assert!(rule.meaning.len() > 10, "{} says nothing", rule.key);
            assert!(!(rule.secret && rule.runtime), "{}: a secret does not travel in commands", rule.key);
        }
    }

    #[test]
    fn a_broken_rule_line_is_seen() {
        assert_eq!(parse("a = 1\n").err().as_deref(), Some("line 1: no #: line"));
        assert_eq!(parse("#: colour\na = 1\n").err().as_deref(), Some("line 2: unknown kind \"colour\""));
        assert_eq!(parse("#: text; shiny\na = 1\n").err().as_deref(), Some("line 2: unknown mark \"shiny\""));
    }
}
