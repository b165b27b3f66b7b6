//! System calls that fail (F6): no false acknowledgement, no panic, and the store works again afterwards.

use std::collections::HashMap;
use std::process::Command;

use super::crash::{child, say};
use super::*;
use crate::StoreError;

const STEPS: u64 = 8;

/// The child: labels, says what was acknowledged, tries what failed again, and ends with a state that the parent checks.
pub fn session(folder: &Path) {
    let mut store = match Store::open_with(folder, ROOMY, Box::new(|_| Ok(60 << 20))) {
        Ok((store, _)) => store,
        Err(error) => return say(&format!("refused {error}")),
    };
    for n in 1..=STEPS {
        for attempt in 0..50 {
            let outcome = store
                .transaction(|tx| {
                    tx.ensure_class("ok", NOW)?;
                    tx.add_samples(&[large("ok", n, 9000)], NOW)
                })
                .and_then(
                    |added| if n == 5 { store.maintain(NOW + HOUR).map(|()| added) } else { Ok(added) },
                );
            match outcome {
                Ok(added) => {
                    assert!(folder.join("graft.db-wal").exists(), "acknowledged without a log");
                    say(&format!("ack {} {n}", added.ids[0]));
                    break;
                }
                Err(error @ (StoreError::Io { .. } | StoreError::Full { .. })) => {
                    say(&format!("failed {n} {attempt} {error}"));
                }
                Err(error) => panic!("sample {n}: {error:?}"),
            }
        }
    }
    let there = store.counts().map(|counts| counts.samples);
    say(&format!("done {there:?}"));
}

/// Runs the session under `wrap` and checks every acknowledgement. Returns the child's words, counted.
fn check(wrap: &[&str], recovers: bool) -> HashMap<String, usize> {
    let dir = tempfile::tempdir().expect("a folder");
    let output = child(wrap, "faults", dir.path()).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{wrap:?}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut words: HashMap<String, usize> = HashMap::new();
    let mut acknowledged = Vec::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split_whitespace().collect();
        if let Some(word) = parts.first() {
            *words.entry((*word).to_owned()).or_default() += 1;
        }
        if let ["ack", id, n] = parts[..] {
            acknowledged.push((id.parse::<i64>().expect("id"), n.parse::<u64>().expect("n")));
        }
    }
    let mut store = open(dir.path());
    store.verify().expect("sound");
    for (id, n) in &acknowledged {
        assert!(store.image(*id).expect("acknowledged") == large("ok", *n, 9000).jpeg, "{wrap:?}");
    }
    // Nothing is there twice, though failed ones were tried again.
    assert!(store.counts().expect("counts").samples <= STEPS as usize);
    if recovers && !words.contains_key("refused") {
        assert_eq!(acknowledged.len(), STEPS as usize, "{wrap:?}: {text}");
        assert_eq!(store.counts().expect("counts").samples, STEPS as usize);
    }
    store.ensure_class("usable", NOW).expect("usable");
    words
}

pub fn strace() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        graft_testing::skip("strace", "strace is not here (apt-get install strace) or may not trace");
    }
    works
}

#[test]
fn f6_i3_a_failed_flush_at_any_place_gives_no_false_acknowledgement() {
    if !strace() {
        return;
    }
    let mut failures = 0;
    for when in 1..=28 {
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={when}");
        let words =
            check(&["strace", "-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject], true);
        let hit = words.contains_key("failed") || words.contains_key("refused");
        failures += usize::from(hit);
    }
    // Some flushes are the spare copy's or come after the last step, and are allowed to fail quietly.
    assert!(failures >= 12, "{failures}");
}

#[test]
fn f6_writes_that_fail_at_any_place_give_no_false_acknowledgement() {
    if !strace() {
        return;
    }
    let mut failures = 0;
    for (error, from) in [("EIO", 3), ("ENOSPC", 4), ("EROFS", 5), ("EDQUOT", 6)] {
        for when in (from..380).step_by(47) {
            let inject = format!("inject=pwrite64:error={error}:when={when}");
            let words =
                check(&["strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", &inject], true);
            failures += usize::from(words.contains_key("failed") || words.contains_key("refused"));
        }
    }
    assert!(failures >= 15, "{failures}");
}

#[test]
fn f15_a_file_size_limit_stops_the_store_without_a_lie() {
    // 40 blocks of 512 or 1024 bytes: the log cannot take more than a few samples.
    let limited = "trap '' XFSZ; ulimit -f 160; exec \"$@\"";
    let words = check(&["sh", "-c", limited, "sh"], false);
    assert!(words.contains_key("failed") || words.contains_key("refused"), "{words:?}");
}
