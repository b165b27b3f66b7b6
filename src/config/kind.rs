//! What a value may be: the `#:` lines of default.toml, their checks, and the words for errors.

use serde_json::json;
use std::fmt;
use toml::Value;

/// The type and range of one key.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Text,
    /// A file or folder.
    Path,
    /// An address; a password in it is masked when shown.
    Url,
    /// `[a-z0-9-]{1,64}`.
    Name,
    /// An address and port of this machine alone, `127.0.0.1:9464`.
    Loopback,
    /// An address and port of this machine, `0.0.0.0:8470`.
    Address,
    /// The first part of MQTT topics.
    Topic,
    /// One of these words.
    Choice(Vec<String>),
    /// true or false.
    Flag,
    /// A whole number in this range.
    Integer(i64, i64),
    /// A number in this range.
    Number(f64, f64),
    /// Bytes, written as `2 GB` or as a plain number, in this range.
    Size(u64, u64),
    /// File permissions in octal text, `0660`.
    Mode,
    /// A list of texts.
    Texts,
    /// A list of so many numbers in this range.
    Numbers(usize, f64, f64),
}

impl Kind {
    /// Reads a kind as default.toml writes it, with the unit that may follow.
    pub fn parse(text: &str) -> Result<(Self, String), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |i: usize| -> Result<f64, String> {
            words
                .get(i)
                .and_then(|w| w.parse().ok())
                .ok_or_else(|| format!("no number at word {i} of {text:?}"))
        };
        let rest = |i: usize| words.get(i..).unwrap_or_default().join(" ");
        let simple = |kind| Ok((kind, rest(1)));
        match words.as_slice() {
            ["text", ..] => simple(Self::Text),
            ["path", ..] => simple(Self::Path),
            ["url", ..] => simple(Self::Url),
            ["name", ..] => simple(Self::Name),
            ["loopback", ..] => simple(Self::Loopback),
            ["address", ..] => simple(Self::Address),
            ["topic", ..] => simple(Self::Topic),
            ["flag", ..] => simple(Self::Flag),
            ["mode", ..] => simple(Self::Mode),
            ["one", "of", ..] => {
                Ok((Self::Choice(rest(2).split(',').map(|w| w.trim().to_owned()).collect()), String::new()))
            }
            ["list", "of", "text", ..] => Ok((Self::Texts, rest(3))),
            ["list", "of", count, "numbers", _, "to", _, ..] => {
                let count = count.parse().map_err(|_| format!("no count in {text:?}"))?;
                Ok((Self::Numbers(count, number(4)?, number(6)?), rest(7)))
            }
            ["integer", low, "to", high, ..] => match (low.parse(), high.parse()) {
                (Ok(low), Ok(high)) => Ok((Self::Integer(low, high), rest(4))),
                _ => Err(format!("no range in {text:?}")),
            },
            ["number", _, "to", _, ..] => Ok((Self::Number(number(1)?, number(3)?), rest(4))),
            ["size", a, b, "to", c, d] => match (bytes(&format!("{a} {b}")), bytes(&format!("{c} {d}"))) {
                (Some(low), Some(high)) => Ok((Self::Size(low, high), String::new())),
                _ => Err(format!("no range in {text:?}")),
            },
            _ => Err(format!("unknown kind {text:?}")),
        }
    }

    /// Checks a value and brings it into the form that the settings structs read: whole numbers become
    /// floats where a number is wanted, sizes bytes, modes integers. `None` means it is not allowed.
    pub fn admit(&self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Text | Self::Path | Self::Url, Value::String(s)) => {
                (!s.contains('\0')).then(|| value.clone())
            }
            (Self::Name, Value::String(s)) => {
                let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                (s.len() <= 64 && s.bytes().all(letter)).then(|| value.clone())
            }
            (Self::Loopback, Value::String(s)) => {
                let address: std::net::SocketAddr = s.parse().ok()?;
                address.ip().is_loopback().then(|| value.clone())
            }
            (Self::Address, Value::String(s)) => {
                s.parse::<std::net::SocketAddr>().is_ok().then(|| value.clone())
            }
            (Self::Topic, Value::String(s)) => {
                let bad = |c: char| matches!(c, '+' | '#') || c.is_control();
                let shape = s.len() <= 128 && !s.starts_with('$') && !s.split('/').any(str::is_empty);
                (shape && !s.contains(bad)).then(|| value.clone())
            }
            (Self::Choice(words), Value::String(s)) => words.contains(s).then(|| value.clone()),
            (Self::Flag, Value::Boolean(_)) => Some(value.clone()),
            (Self::Integer(low, high), Value::Integer(n)) => (low <= n && n <= high).then(|| value.clone()),
            (Self::Number(low, high), Value::Integer(n)) => {
                // Ranges end far below 2^53.
                let n = *n as f64;
                (*low <= n && n <= *high).then_some(Value::Float(n))
            }
            (Self::Number(low, high), Value::Float(n)) => (low <= n && n <= high).then(|| value.clone()),
            (Self::Size(low, high), _) => {
                let n = match value {
                    Value::Integer(n) => u64::try_from(*n).ok()?,
                    Value::String(s) => bytes(s)?,
                    _ => return None,
                };
                let n = (*low <= n && n <= *high).then_some(n)?;
                i64::try_from(n).ok().map(Value::Integer)
            }
            (Self::Mode, Value::String(s)) => {
                let mode = u32::from_str_radix(s, 8).ok().filter(|m| *m <= 0o777)?;
                Some(Value::Integer(i64::from(mode)))
            }
            (Self::Texts, Value::Array(list)) => list.iter().all(Value::is_str).then(|| value.clone()),
            (Self::Numbers(count, low, high), Value::Array(list)) => {
                let kind = Self::Number(*low, *high);
                let list: Vec<Value> = list.iter().map(|v| kind.admit(v)).collect::<Option<_>>()?;
                (list.len() == *count).then_some(Value::Array(list))
            }
            _ => None,
        }
    }

    /// Whether this value stands for "not set" where a key is optional.
    pub fn is_empty(value: &Value) -> bool {
        match value {
            Value::String(s) => s.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        }
    }

    /// Reads the text of an environment variable or of `--set`: no quotes needed.
    pub fn value_of(&self, text: &str) -> Value {
        let plain = || Value::String(text.to_owned());
        let toml = || -> Option<Value> {
            let table: toml::Table = format!("v = {text}").parse().ok()?;
            if table.len() == 1 { table.into_iter().next().map(|(_, v)| v) } else { None }
        };
        match self {
            Self::Flag | Self::Integer(..) | Self::Number(..) => toml().unwrap_or_else(plain),
            Self::Size(..) => text.parse().map_or_else(|_| plain(), Value::Integer),
            Self::Texts if text.trim_start().starts_with('[') => toml().unwrap_or_else(plain),
            Self::Texts => {
                Value::Array(text.split_whitespace().map(|w| Value::String(w.to_owned())).collect())
            }
            Self::Numbers(..) if text.trim_start().starts_with('[') => toml().unwrap_or_else(plain),
            Self::Numbers(..) => {
                let number = |w: &str| w.trim().parse().map(Value::Float).ok();
                let list = text.split(',').filter(|w| !w.trim().is_empty()).map(number);
                list.collect::<Option<_>>().map_or_else(plain, Value::Array)
            }
            _ => plain(),
        }
    }
}

impl fmt::Display for Kind {
    /// What is allowed, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Path => f.write_str("a path as text"),
            Self::Url => f.write_str("an address as text"),
            Self::Name => f.write_str("1 to 64 of the letters a-z, 0-9 and -"),
            Self::Loopback => {
                f.write_str("an address and port of this machine alone, like \"127.0.0.1:9464\"")
            }
            Self::Address => f.write_str(
                "an address and port of this machine, like \"127.0.0.1:8470\" or \"0.0.0.0:8470\"",
            ),
            Self::Topic => f.write_str("a topic of at most 128 bytes without + # or empty levels"),
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Flag => f.write_str("true or false"),
            Self::Integer(low, high) if low == high => write!(f, "{low}"),
            Self::Integer(low, high) => write!(f, "a whole number from {low} to {high}"),
            Self::Number(low, high) => write!(f, "a number from {low} to {high}"),
            Self::Size(low, high) => {
                write!(f, "a size from {} to {}, like \"2 GB\"", bytes_text(*low), bytes_text(*high))
            }
            Self::Mode => f.write_str("octal permissions as text, like \"0660\""),
            Self::Texts => f.write_str("a list of texts"),
            Self::Numbers(count, low, high) => write!(f, "a list of {count} numbers from {low} to {high}"),
        }
    }
}

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads a human size: `2 GB`, `1.5GiB`, `1000`. `None` where it is none.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim();
    let factor = match unit {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value = number.parse::<f64>().ok()? * factor as f64;
    (value.is_finite() && (0.0..9.0e18).contains(&value)).then_some(value.round() as u64)
}

/// Writes a size for people: `2 GB`, `340 MB`, `512 B`.
pub fn bytes_text(bytes: u64) -> String {
    let (name, factor) = UNITS[4..].iter().find(|(_, factor)| bytes >= *factor).unwrap_or(&("B", 1));
    let value = bytes as f64 / *factor as f64;
    let digits = if value.fract() < 0.05 || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$} {name}")
}

/// A TOML value as JSON.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => json!(text),
        Value::Integer(n) => json!(n),
        Value::Float(n) => json!(n),
        Value::Boolean(flag) => json!(flag),
        Value::Datetime(time) => json!(time.to_string()),
        Value::Array(list) => list.iter().map(to_json).collect(),
        Value::Table(table) => table.iter().map(|(k, v)| (k.clone(), to_json(v))).collect(),
    }
}
