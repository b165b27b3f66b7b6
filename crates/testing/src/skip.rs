//! A test that cannot run fails, unless somebody said beforehand that it may be left out.

use std::fs::OpenOptions;
use std::io::Write;

/// Names of what may be missing, with commas between them.
const ALLOWED: &str = "GRAFT_ALLOW_SKIP";
/// File that gets a line for each test that was left out.
const LIST: &str = "GRAFT_SKIPPED";

/// Ends a test that cannot run here, because what is called `name` is missing: `return skip("openssl", "…")`. Writes
/// `name`, the test and `why` as a line with tabs to the file `$GRAFT_SKIPPED`, which `make test` prints at its end.
///
/// # Panics
/// Unless `$GRAFT_ALLOW_SKIP` has the name: what was not tested must not look as if it had been.
#[track_caller]
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub fn skip(name: &str, why: &str) {
    let allowed = std::env::var(ALLOWED).unwrap_or_default();
    if !is_allowed(&allowed, name) {
        panic!("this test cannot run here: {why}. Mend that, or leave it out with {ALLOWED}={name}");
    }
    eprintln!("skipped ({name}): {why}");
    let Some(file) = std::env::var_os(LIST) else { return };
    let thread = std::thread::current();
    let line = line(name, thread.name().unwrap_or("a test"), why);
    // One write, so that tests of several processes do not mix their lines.
    let list = OpenOptions::new().create(true).append(true).open(&file);
    if let Err(error) = list.and_then(|mut list| list.write_all(line.as_bytes())) {
        panic!("{LIST}={} cannot be written: {error}", file.display());
    }
}

fn is_allowed(allowed: &str, name: &str) -> bool {
    allowed.split(',').any(|word| word.trim() == name)
}

fn line(name: &str, test: &str, why: &str) -> String {
    format!("{name}\t{test}\t{}\n", why.replace(['\n', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_is_left_out_and_nothing_else() {
        assert!(is_allowed("openssl", "openssl"));
        assert!(is_allowed("full, openssl", "openssl"));
        for allowed in ["", "open", "openssl2", "full", ","] {
            assert!(!is_allowed(allowed, "openssl"), "{allowed}");
        }
    }

    #[test]
    #[should_panic(expected = "GRAFT_ALLOW_SKIP=what nobody allows")]
    fn a_test_that_cannot_run_fails() {
        skip("what nobody allows", "it is made up");
    }

    #[test]
    fn a_line_of_the_list_is_one_line() {
        assert_eq!(line("a", "m::t", "b\nc\td"), "a\tm::t\tb c d\n");
    }
}
