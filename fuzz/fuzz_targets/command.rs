//! The body of an MQTT command: the first byte picks the op.
#![no_main]

use graft_wire::{Op, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some((first, body)) = input.split_first() {
        let op = Op::ALL[usize::from(*first) % Op::ALL.len()];
        let _ = parse(op, body);
    }
});
