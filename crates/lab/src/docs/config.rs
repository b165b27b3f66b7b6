//! `docs/reference/config.md`, from the rules in the comments of `default.toml`.

use graft::lab::{Rule, rules};
use std::fmt::Write;

/// Columns of a page.
const WIDTH: usize = 100;

/// The reference of every setting as Markdown.
pub fn config_markdown() -> String {
    let mut text = include_str!("config.in.md").to_owned();
    let mut section = None;
    for rule in &rules().list {
        let (own, name) = rule.key.split_once('.').unwrap_or(("", &rule.key));
        if section != Some(own) {
            section = Some(own);
            let title = if own.is_empty() { "top".to_owned() } else { format!("`[{own}]`") };
            let _ = write!(text, "\n## {title}\n\n");
        }
        text += &wrapped(&entry(rule, name));
    }
    text
}

fn entry(rule: &Rule, name: &str) -> String {
    let mark = if rule.runtime { " ↻" } else { "" };
    let default = rule.default.as_ref().map(|value| format!(", default `{value}`")).unwrap_or_default();
    format!("**`{name}`**{mark}: {}{default}. {}", rule.allowed(), rule.meaning)
}

/// The text as an item of a list, in lines of at most [`WIDTH`] characters where its words allow.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), "-".to_owned());
    for word in text.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &line;
            lines.push('\n');
            line = " ".to_owned();
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_wrapped_between_words() {
        let text = format!("{} {}", "a".repeat(97), "b".repeat(120));
        let lines: Vec<String> = wrapped(&text).lines().map(str::to_owned).collect();
        assert_eq!(lines, [format!("- {}", "a".repeat(97)), format!("  {}", "b".repeat(120))]);
        assert_eq!(wrapped("a b"), "- a b\n");
    }
}
