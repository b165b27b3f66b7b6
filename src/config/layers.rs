//! The layers of a configuration, from weak to strong: default.toml, the file, conf.d beside it, what was set
//! while the daemon ran, the environment, the command line.

use super::kind::Kind;
use super::nearest::nearest;
use super::places::Surroundings;
use super::problem::Problem;
use super::rules::{Rule, rules};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::Value;
use toml::de::{DeTable, DeValue};

/// Larger files are no configuration.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where to read a configuration from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config FILE`: must exist. `None`: /etc/graft/config.toml, if it is there.
    pub file: Option<PathBuf>,
    /// `--set key=value`, in order.
    pub set: Vec<String>,
    /// The machine and the environment.
    pub surroundings: Surroundings,
}

impl Sources {
    pub fn here(file: Option<PathBuf>, set: Vec<String>) -> Self {
        Self { file, set, surroundings: Surroundings::here() }
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// default.toml, or a place or name derived from this machine.
    Default,
    /// A file and its line.
    File(PathBuf, usize),
    Variable(String),
    /// `--set` on the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::CommandLine => f.write_str("--set"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Entry {
    /// As somebody wrote it.
    pub written: Value,
    /// As the settings read it; `None`: not set.
    pub admitted: Option<Value>,
    pub origin: Origin,
}

#[derive(Clone, Debug, Default)]
pub struct Effective(pub BTreeMap<String, Entry>);

impl Effective {
    pub fn defaults() -> Self {
        let entry = |rule: &Rule| {
            let written = rule.default.clone().unwrap_or_else(|| Value::String(String::new()));
            let admitted = rule.admit(&written).ok().flatten();
            (rule.key.clone(), Entry { written, admitted, origin: Origin::Default })
        };
        Self(rules().list.iter().map(entry).collect())
    }

    /// The path that a key holds.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.0.get(key)?.admitted.as_ref()?.as_str().map(PathBuf::from)
    }

    /// The text that a key holds.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.admitted.as_ref()?.as_str()
    }

    /// Whether nobody has set this key.
    pub fn is_default(&self, key: &str) -> bool {
        self.0.get(key).is_none_or(|entry| entry.origin == Origin::Default)
    }

    /// Fills in a value that was derived, not written.
    pub fn derive(&mut self, key: &str, value: String) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.admitted = Some(Value::String(value));
        }
    }

    /// Takes one value if its rule allows it.
    fn put(&mut self, rule: &Rule, written: Value, origin: Origin, place: &str, problems: &mut Vec<Problem>) {
        match rule.admit(&written) {
            Ok(admitted) => {
                self.0.insert(rule.key.clone(), Entry { written, admitted, origin });
            }
            Err(allowed) => {
                let shown = if rule.secret { "\"***\"".to_owned() } else { short(&written) };
                let text = format!("{} = {shown} is not allowed: write {allowed}", rule.key);
                problems.push(Problem { place: place.to_owned(), text });
            }
        }
    }

    /// Reads one file. Paths in it are meant from its folder.
    pub fn read_file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        match read_text(path) {
            Ok(text) => self.read_text(path, &text, problems),
            Err(text) => problems.push(Problem { place: path.display().to_string(), text }),
        }
    }

    /// Reads the text of a file.
    pub fn read_text(&mut self, path: &Path, text: &str, problems: &mut Vec<Problem>) {
        let line = |at: usize| text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let number = error.span().map_or(1, |span| line(span.start));
            let place = format!("{}:{number}", path.display());
            problems.push(Problem { place, text: format!("not TOML: {}", error.message().trim()) });
        }
        if errors.is_empty() {
            self.read_table(path, "", table.get_ref(), &line, problems);
        }
    }

    fn read_table(
        &mut self,
        path: &Path,
        prefix: &str,
        table: &DeTable<'_>,
        line: &dyn Fn(usize) -> usize,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let number = line(name.span().start);
            let place = format!("{}:{number}", path.display());
            let mut problem = |text: String| problems.push(Problem { place: place.clone(), text });
            if let Some(rule) = rules().get(&key) {
                let Some(written) = plain(value.get_ref(), 0) else {
                    problem(format!("{key}: a number out of range; write {}", rule.allowed()));
                    continue;
                };
                let origin = Origin::File(path.to_owned(), number);
                self.put(rule, from_folder(rule, written, path), origin, &place, problems);
            } else if rules().is_section(&key) {
                match value.get_ref() {
                    DeValue::Table(table) => {
                        self.read_table(path, &format!("{key}."), table, line, problems);
                    }
                    _ => problem(format!("{key} is a section: write [{key}] on a line of its own")),
                }
            } else {
                problem(unknown(&key));
            }
        }
    }

    /// Reads `GRAFT__SECTION__KEY` variables.
    pub fn read_variables(&mut self, variables: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
        for (name, text) in variables {
            let Some(key) = name.strip_prefix("GRAFT__") else { continue };
            let key = key.to_lowercase().replace("__", ".");
            match rules().get(&key) {
                Some(rule) => {
                    self.put(rule, rule.kind.value_of(text), Origin::Variable(name.clone()), name, problems);
                }
                None => problems.push(Problem { place: name.clone(), text: unknown(&key) }),
            }
        }
    }

    /// Reads `key=value` of the command line.
    pub fn read_options(&mut self, options: &[String], problems: &mut Vec<Problem>) {
        for option in options {
            let Some((key, text)) = option.split_once('=') else {
                let text = "write --set section.key=value".to_owned();
                problems.push(Problem { place: format!("--set {option}"), text });
                continue;
            };
            let (key, place) = (key.trim(), format!("--set {}", key.trim()));
            match rules().get(key) {
                Some(rule) => {
                    self.put(rule, rule.kind.value_of(text.trim()), Origin::CommandLine, &place, problems);
                }
                None => problems.push(Problem { place, text: unknown(key) }),
            }
        }
    }
}

/// Reads a small text file; the error says what is wrong and what to do.
pub fn read_text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "no such file; create it or give the right path".to_owned(),
        _ => format!("cannot be read ({e}); check its permissions"),
    })?;
    if !size.is_file() {
        return Err("not a file; give the path of a .toml file".to_owned());
    }
    if size.len() > MAX_FILE_BYTES {
        return Err(format!("{} bytes are too many for a configuration (1 MiB at most)", size.len()));
    }
    let bytes = std::fs::read(path).map_err(|e| format!("cannot be read ({e}); check its permissions"))?;
    String::from_utf8(bytes).map_err(|_| "not UTF-8 text; save it as UTF-8".to_owned())
}

fn unknown(key: &str) -> String {
    let shown: String = key.chars().take(60).filter(|c| !c.is_control()).collect();
    match nearest(key, rules().keys()) {
        Some(near) => format!("unknown key {shown}; did you mean {near}?"),
        None => format!("unknown key {shown}; `graft config default` lists all keys"),
    }
}

/// A value as text, cut where it is long.
fn short(value: &Value) -> String {
    let text = value.to_string().replace('\n', " ");
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn from_folder(rule: &Rule, value: Value, file: &Path) -> Value {
    match (&rule.kind, &value, file.parent()) {
        (Kind::Path, Value::String(text), Some(folder)) if !text.is_empty() => {
            Value::String(folder.join(text).to_string_lossy().into_owned())
        }
        _ => value,
    }
}

/// A parsed value without its place. `None`: a number that fits no type, or lists in lists without end.
fn plain(value: &DeValue<'_>, depth: usize) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(n) => Value::Integer(i64::from_str_radix(n.as_str(), n.radix()).ok()?),
        DeValue::Float(n) => Value::Float(n.as_str().parse().ok()?),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(list) if depth < 4 => {
            Value::Array(list.iter().map(|v| plain(v.get_ref(), depth + 1)).collect::<Option<_>>()?)
        }
        DeValue::Table(table) if depth < 4 => {
            let pair = |(k, v): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = k.get_ref();
                Some((key.to_string(), plain(v.get_ref(), depth + 1)?))
            };
            Value::Table(table.iter().map(pair).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
