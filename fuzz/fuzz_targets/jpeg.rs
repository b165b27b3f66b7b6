//! Pictures from cameras and imports: refused or decoded.
#![no_main]

use graft_camera::decode_image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = decode_image(input);
});
