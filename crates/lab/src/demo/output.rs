//! What the demos tell people.

use std::io::Write;

/// Prints a line to people; with `--json` to stderr, so that stdout stays one object.
pub struct Output {
    pub json: bool,
}

impl Output {
    pub fn say(&self, line: &str) {
        let written = if self.json {
            writeln!(std::io::stderr(), "{line}")
        } else {
            writeln!(std::io::stdout(), "{line}")
        };
        // A closed pipe must not end the demo half-way; its exit code still tells.
        let _ = written;
    }
}
