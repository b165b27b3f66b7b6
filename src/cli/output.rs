//! What people and programs read: values and tables on stdout, progress and notes on stderr.

use anyhow::Result;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Where a command writes its output, and in which form.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    /// JSON on stdout instead of text.
    pub json: bool,
    /// No notes and no progress.
    pub quiet: bool,
}

impl Output {
    /// JSON, or what `text` makes of it.
    pub fn show<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        if self.json { self.line(&serde_json::to_string_pretty(value)?) } else { self.line(&text(value)) }
    }

    /// Text on stdout, with one line end.
    pub fn line(self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", text.trim_end_matches('\n'))?;
        out.flush()?;
        Ok(())
    }

    /// Bytes on stdout, as they are.
    pub fn bytes(self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(())
    }

    /// Something good to know, on stderr.
    pub fn note(self, text: &str) {
        if !self.quiet {
            // Nobody reads it where this fails.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Something that should be acted on, on stderr even when quiet.
    pub fn warn(self, text: &str) {
        let _ = writeln!(std::io::stderr(), "warning: {text}");
    }

    /// A progress bar on stderr, shown only where a person can see it.
    pub fn bar(self, total: u64, what: &str) -> ProgressBar {
        if self.quiet || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        bar
    }
}

/// Columns under headings, two spaces apart.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// A fraction in percent, `97.4 %`.
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// Rows of a confusion matrix under the names of the classes; truth in rows.
pub fn confusion(classes: &[String], matrix: &[Vec<u32>]) -> String {
    let head: Vec<&str> =
        std::iter::once("truth \\ said").chain(classes.iter().map(String::as_str)).collect();
    let row = |(class, row): (&String, &Vec<u32>)| {
        std::iter::once(class.clone()).chain(row.iter().map(u32::to_string)).collect()
    };
    table(&head, classes.iter().zip(matrix).map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_plain_columns() {
        let text =
            table(&["version", "head"], [vec!["1".into(), "ridge".into()], vec!["12".into(), "x".into()]]);
        assert_eq!(text, "version  head\n1        ridge\n12       x\n");
        let text = confusion(&["a".into(), "b".into()], &[vec![3, 1], vec![0, 4]]);
        assert_eq!(text, "truth \\ said  a  b\na             3  1\nb             0  4\n");
    }
}
