//! What single folders may name: the components of the daemon, and what decides on the host.

use super::rooms::tokens;
use super::{complain, texts};

/// Files of `src/daemon` that are no component: the loop, the threads, and what stands between them and the components.
const PLUMBING: [&str; 9] = [
    "access.rs",
    "effects",
    "event.rs",
    "event_loop.rs",
    "frames.rs",
    "inference.rs",
    "start.rs",
    "store_thread.rs",
    "worker.rs",
];
/// Words that come with channels.
const CHANNELS: [&str; 5] = ["mpsc", "oneshot", "broadcast", "sync_channel", "unbounded_channel"];
/// What the host's decisions may name of the standard library and of other crates.
const PURE_STD: [&str; 6] = ["cmp", "collections", "fmt", "iter", "mem", "time"];
const PURE_CRATES: [&str; 4] = ["graft_wire", "serde", "serde_json", "thiserror"];

/// Words of a daemon's file that belong to the loop alone, or to the plumbing.
fn loop_words(name: &str, text: &str) -> Vec<String> {
    let Some(file) = name.strip_prefix("src/daemon/") else { return Vec::new() };
    let test = name.ends_with("tests.rs") || name.contains("/tests/") || file == "testing.rs";
    let plumbing = PLUMBING.iter().any(|own| file == *own || file.starts_with(&format!("{own}/")));
    let waits = |word: &str| matches!(word, "async" | "await" | "block_on") && file != "event_loop.rs";
    let sends = |word: &str| CHANNELS.contains(&word) && !plumbing;
    let found = tokens(text).into_iter().filter(|word| !test && (waits(word) || sends(word)));
    found.map(|word| format!("{name}: {word}")).collect()
}

/// Words of a file of the host's decisions that are not pure: crates and modules of std outside the lists, and clocks.
fn impure_words(name: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let is = |at: usize, sign: &str| tokens.get(at).is_some_and(|token| token == sign);
    let mut found = Vec::new();
    for (at, word) in tokens.iter().enumerate() {
        let crate_name = !is(at + 1, "::") || at > 0 && is(at - 1, "::");
        let next = tokens.get(at + 2).map_or("", String::as_str);
        let strange = match word.as_str() {
            "Instant" | "SystemTime" | "spawn" | "println" | "eprintln" => true,
            "std" => !crate_name && !PURE_STD.contains(&next),
            "crate" => !crate_name && !["decide", "group", "job"].contains(&next),
            "use" => match tokens.get(at + 1).map_or("", String::as_str) {
                "std" | "crate" | "super" | "self" => false,
                // A sibling is declared in the same file; anything else is another crate.
                root => !PURE_CRATES.contains(&root) && !tokens.windows(2).any(|two| two == ["mod", root]),
            },
            "tokio" | "tracing" | "rustix" | "fastrand" | "getrandom" | "anyhow" => true,
            word => word.starts_with("graft_") && !PURE_CRATES.contains(&word),
        };
        if strange {
            found.push(format!("{name}: {word} {next}"));
        }
    }
    found
}

#[test]
fn the_loop_alone_waits_and_components_have_no_channels() {
    let sources = texts(&["src/daemon"], &[".rs"]);
    let offences: Vec<String> = sources.iter().flat_map(|(name, text)| loop_words(name, text)).collect();
    complain("a component of the daemon waits or sends by itself", &offences);
    for (name, text) in [
        ("src/daemon/labels/mod.rs", "use std::sync::mpsc::Sender;"),
        ("src/daemon/labels/mod.rs", "use std::sync::{Arc,\n    mpsc as queue};"),
        ("src/daemon/watch/mod.rs", "fn a(to: tokio::sync::oneshot::Sender<u8>) {}"),
        ("src/daemon/effects/mod.rs", "fn a() { b().await; }"),
        ("src/daemon/worker.rs", "fn a() { runtime.block_on(b()); }"),
    ] {
        assert_eq!(loop_words(name, text).len(), 1, "{name}: {text}");
    }
    for (name, text) in [
        ("src/daemon/event_loop.rs", "use tokio::sync::mpsc; async fn a() { b().await; }"),
        ("src/daemon/worker.rs", "use std::sync::mpsc;"),
        ("src/daemon/labels/mod.rs", "// mpsc\nlet a = \"mpsc\";"),
    ] {
        assert_eq!(loop_words(name, text), [""; 0], "{name}: {text}");
    }
}

#[test]
fn what_decides_on_the_host_is_pure() {
    let sources = texts(&["crates/host/src"], &[".rs"]).into_iter().filter(|(name, _)| {
        let own = name.trim_start_matches("crates/host/src/");
        let decides = own.starts_with("decide/") && !own.contains("tests");
        decides || matches!(own, "group.rs" | "job.rs")
    });
    let offences: Vec<String> = sources.flat_map(|(name, text)| impure_words(&name, &text)).collect();
    complain("the host's decisions touch the world", &offences);
    for text in [
        "use std::fs;",
        "use std::{fmt, fs};",
        "fn a() { std::fs::read(b) }",
        "use std::time::{Duration, Instant};",
        "use tokio::sync::mpsc;",
        "use crate::blobs::Blobs;",
        "fn a() { tracing::warn!(\"b\"); }",
        "use rand::random;",
        "fn a() { println!(\"b\"); }",
        "fn a() { graft_base::whole_file::write(b) }",
    ] {
        assert!(!impure_words("x", text).is_empty(), "{text}");
    }
    for text in [
        "use std::time::Duration;\nuse std::fmt;",
        "mod jobs;\nuse jobs::Jobs;\nuse crate::job::Job;",
        "use graft_wire::offload::Offer; use super::event::Now; // std::fs",
    ] {
        assert_eq!(impure_words("x", text), [""; 0], "{text}");
    }
}
