//! A head's manifest: what is read can be written, and read again as the same.
#![no_main]

use graft_wire::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(manifest) = Manifest::from_json(input) {
        let again = Manifest::from_json(manifest.to_json().as_bytes()).expect("what was written can be read");
        assert_eq!(manifest.statement(), again.statement());
    }
});
