//! The check of an ONNX file that comes before any other reader sees it.
#![no_main]

use graft_backbone::scan::{Limits, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(found) = scan(input, &Limits::default()) {
        let _ = found.image_input();
    }
});
