//! A configuration file's text.
#![no_main]

use std::path::Path;

use graft::config::Effective;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut problems = Vec::new();
    Effective::defaults().read_text(Path::new("config.toml"), input, &mut problems);
    for problem in problems {
        let _ = problem.to_string();
    }
});
