//! Figures for docs/lab/store.md: `cargo test --release -- --ignored store_figures --nocapture`.

use std::time::Instant;

use super::*;

#[test]
#[ignore = "a measurement, not a check"]
fn store_figures() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = open(dir.path());
    store.add_class("ok", NOW).expect("a class");
    let given = |n: u64| NewSample { embedding: vec![0.5; 1280], ..large("ok", n, 24_576) };
    let start = Instant::now();
    for n in 0..200 {
        store.add_samples(&[given(n + 1)], NOW).expect("added");
    }
    println!("one sample of 24 KiB a transaction: {:.2} ms", start.elapsed().as_secs_f64() * 1000.0 / 200.0);
    let start = Instant::now();
    for group in 0..153 {
        let samples: Vec<_> = (0..64).map(|i| given(201 + group * 64 + i)).collect();
        store.add_samples(&samples, NOW).expect("added");
    }
    println!("in groups of 64: {:.2} ms a sample", start.elapsed().as_secs_f64() * 1000.0 / (153.0 * 64.0));
    let samples = store.counts().expect("counts").samples;
    let usage = store.usage().expect("usage");
    println!("{samples} samples take {} bytes each in the database", usage.live_bytes / samples as u64);
    let start = Instant::now();
    let labelled = store.snapshot(BACKBONE).expect("snapshot");
    println!("snapshot of {} x 1280: {:.1} ms", labelled.ids.len(), start.elapsed().as_secs_f64() * 1000.0);
    drop(store);
    let mut times: Vec<f64> = (0..100)
        .map(|_| {
            let start = Instant::now();
            drop(open(dir.path()));
            start.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("open and close: median {:.1} ms, 99 % {:.1} ms", times[50], times[98]);
    let start = Instant::now();
    open(dir.path()).verify().expect("sound");
    println!("full check: {:.0} ms", start.elapsed().as_secs_f64() * 1000.0);
}
