//! Writes a JSON value as YAML for people: known keys first, text plain where YAML allows it.

use serde_json::Value;

/// Keys that come first, in this order; the others follow by name.
const FIRST: [&str; 26] = [
    "asyncapi",
    "info",
    "title",
    "version",
    "id",
    "name",
    "address",
    "action",
    "channel",
    "summary",
    "description",
    "type",
    "enum",
    "const",
    "format",
    "required",
    "minimum",
    "maximum",
    "properties",
    "defaultContentType",
    "servers",
    "parameters",
    "messages",
    "channels",
    "operations",
    "components",
];

/// The value as a YAML document.
pub fn yaml(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes `value` from the start of a line, each line indented by `depth` levels.
fn block(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| FIRST.iter().position(|k| k == key).unwrap_or(FIRST.len()));
            for (key, value) in entries {
                indent(depth, text);
                text.push_str(&scalar(key));
                text.push(':');
                after(value, depth, text);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for item in list {
                indent(depth, text);
                text.push('-');
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        // The first entry shares the line of the dash.
                        let mut inner = String::new();
                        block(item, depth + 1, &mut inner);
                        text.push(' ');
                        text.push_str(inner.trim_start());
                    }
                    other => after(other, depth, text),
                }
            }
        }
        other => {
            indent(depth, text);
            text.push_str(&flow(other));
            text.push('\n');
        }
    }
}

/// Writes `value` behind a key or a dash.
fn after(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Array(list) if list.iter().all(|v| !v.is_array() && !v.is_object()) => {
            text.push(' ');
            text.push_str(&flow(value));
            text.push('\n');
        }
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            block(value, depth + 1, text);
        }
        Value::Array(list) if !list.is_empty() => {
            text.push('\n');
            block(value, depth + 1, text);
        }
        other => {
            text.push(' ');
            text.push_str(&flow(other));
            text.push('\n');
        }
    }
}

fn indent(depth: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// On one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(_) => "{}".to_owned(),
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Text, plain where it cannot be taken for something else, in the quotes of JSON otherwise.
fn scalar(text: &str) -> String {
    let starts_plain = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '$');
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = starts_plain
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(|c| !c.is_control() && !"[]{},".contains(c))
        && !reserved.contains(&text.to_ascii_lowercase().as_str());
    // JSON is YAML, its quoted text included.
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_values_are_written_readably() {
        let value = json!({"b": {"list": [1, "x", null]}, "type": "object", "e": {}, "o": [{"k": 1, "l": [{"m": []}]}],
            "on": "no", "text": "a: b", "num": "1"});
        assert_eq!(
            yaml(&value),
            "type: object\nb:\n  list: [1, x, null]\ne: {}\nnum: \"1\"\no:\n  - k: 1\n    l:\n      - m: []\n\
             \"on\": \"no\"\ntext: \"a: b\"\n"
        );
    }
}
