//! The documents that are written from the types and tables by which the daemon works: `docs/reference/mqtt.md`,
//! `asyncapi.json`, `openapi.json`, `head-format.md` and `config.md`. Tests compare them with the files; `GRAFT_BLESS=1` writes the files.

mod asyncapi;
mod config;
mod example;
mod examples;
mod markdown;
mod openapi;
mod schemas;
#[cfg(test)]
mod tests;

pub use asyncapi::asyncapi_json;
pub use config::config_markdown;
pub use example::{example_key, head_format_markdown};
pub use examples::{Before, Example, Facts, examples, refusals};
pub use markdown::{Replies, mqtt_markdown};
pub use openapi::openapi_json;

use std::path::Path;

/// Compares a document with its file; with `GRAFT_BLESS=1` writes the file.
///
/// # Errors
/// What to do, when they differ.
pub fn compare(path: &Path, text: &str) -> Result<(), String> {
    if std::env::var_os("GRAFT_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let file = std::fs::read_to_string(path).unwrap_or_default();
    if file == text {
        return Ok(());
    }
    let same = file.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{} is not what the program says; run the test with GRAFT_BLESS=1. Line {}:\n{}\nshould be\n{}",
        path.display(),
        same + 1,
        file.lines().nth(same).unwrap_or_default(),
        text.lines().nth(same).unwrap_or_default(),
    ))
}
