//! Topics from outside, and device names out of a configuration.
#![no_main]

use graft_wire::Topics;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (base, device, topic) = input;
    if let Ok(topics) = Topics::new(base, device) {
        if let Some(op) = topics.parse_cmd(topic) {
            assert_eq!(topics.cmd(op), topic);
        }
        let _ = topics.allows_response(topic, &[base.to_owned()]);
    }
});
