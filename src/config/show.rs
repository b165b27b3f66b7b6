//! The effective configuration for people and machines, secrets masked.

use super::kind::{Kind, to_json};
use super::layers::{Effective, Entry};
use super::rules::{Rule, rules};
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;
use toml::Value;

impl Effective {
    /// `{section: {key: value}}` without secrets: what goes into the `info` message.
    pub fn masked(&self) -> Json {
        let mut root = Map::new();
        for rule in &rules().list {
            let Some(value) = self.0.get(&rule.key).map(|entry| shown(rule, entry)) else { continue };
            match rule.key.split_once('.') {
                Some((section, name)) => {
                    let section = root.entry(section).or_insert_with(|| json!({}));
                    section[name] = to_json(&value);
                }
                None => drop(root.insert(rule.key.clone(), to_json(&value))),
            }
        }
        Json::Object(root)
    }

    /// `{key: {value, origin}}`, dotted keys.
    pub fn with_origins(&self) -> Json {
        let line = |rule: &Rule| {
            let entry = self.0.get(&rule.key)?;
            Some((
                rule.key.clone(),
                json!({"value": to_json(&shown(rule, entry)), "origin": entry.origin.to_string()}),
            ))
        };
        Json::Object(rules().list.iter().filter_map(line).collect())
    }

    /// As TOML, with the origin of each value behind it where wanted.
    pub fn to_text(&self, origin: bool) -> String {
        let (mut text, mut section) = (String::new(), "");
        for rule in &rules().list {
            let Some(entry) = self.0.get(&rule.key) else { continue };
            let (own, name) = rule.key.split_once('.').unwrap_or(("", &rule.key));
            if own != section {
                let _ = write!(text, "\n[{own}]\n");
                section = own;
            }
            let _ = write!(text, "{name} = {}", shown(rule, entry));
            if origin {
                let _ = write!(text, "  # {}", entry.origin);
            }
            text.push('\n');
        }
        text
    }
}

/// The value as written, or as derived where nothing was written; masked where secret.
fn shown(rule: &Rule, entry: &Entry) -> Value {
    let derived = Kind::is_empty(&entry.written) && entry.admitted.is_some();
    let value = match (&entry.admitted, derived) {
        (Some(admitted), true) => admitted,
        _ => &entry.written,
    };
    match value {
        Value::String(text) if rule.secret && !text.is_empty() => Value::String("***".to_owned()),
        Value::String(text) if rule.kind == Kind::Url => Value::String(without_password(text)),
        other => other.clone(),
    }
}

/// `http://user:word@host/x` as `http://***@host/x`.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}
