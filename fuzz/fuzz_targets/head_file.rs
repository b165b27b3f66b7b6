//! A head file: one that is accepted has a head whose numbers and shapes hold.
#![no_main]

use graft_wire::HeadFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(file) = HeadFile::decode(input) {
        assert!(file.head.check().is_ok());
    }
});
