//! Topics from outside, and device names out of a configuration.
#![no_main]

use graft_wire::{Op, Topics};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (base, device, topic) = input;
    if let Ok(topics) = Topics::new(base, device) {
        if let Some(op) = topics.cmd_word(topic).and_then(Op::parse) {
            assert_eq!(topics.cmd(op), topic);
        }
        let _ = topics.allows_response(topic, &[base.to_owned()]);
    }
});
