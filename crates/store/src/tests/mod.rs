//! The store against its promises. Test names that begin with `i1_`, `f6_` and so on name the invariant or fault.

mod classes;
mod crash;
mod damage;
mod faults;
mod folders;
mod full;
mod heads;
mod history;
mod machine;
mod measures;
mod opening;
mod rescue;
mod samples;
mod state;

use std::path::Path;

use super::{Limits, NewSample, Store};

pub const BACKBONE: &str = "sha256:aa";
pub const NOW: i64 = 1_700_000_000_000;
pub const HOUR: i64 = 3_600_000;

/// Limits that no test reaches by accident.
pub const ROOMY: Limits = Limits { quota_bytes: 1 << 30, free_floor_bytes: 0 };

/// A store whose file system claims too little room for the emergency reserve, which most tests do not need.
pub fn open(dir: &Path) -> Store {
    open_with(dir, ROOMY)
}

pub fn open_with(dir: &Path, limits: Limits) -> Store {
    let (store, _) = Store::open_with(dir, limits, Box::new(|_| Ok(60 << 20))).expect("the store opens");
    store
}

/// A store with two classes in a folder that goes away with the first value.
pub fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = open(dir.path());
    store.add_class("ok", NOW).expect("a class");
    store.add_class("bad", NOW).expect("a class");
    (dir, store)
}

/// Deterministic and different for each `n`.
pub fn sample(class: &str, burst: &str, n: u64) -> NewSample {
    let mut jpeg = vec![0xff, 0xd8];
    let mut bytes = fastrand::Rng::with_seed(n);
    jpeg.extend((0..300).map(|_| bytes.u8(..)));
    NewSample {
        class: class.into(),
        burst: burst.into(),
        jpeg,
        embedding: (0..8).map(|i| (n * 8 + i) as f32 / 16.0).collect(),
        backbone: BACKBONE.into(),
        frame: n,
        taken_ms: NOW + n as i64,
        source: "pattern".into(),
        by: "mqtt".into(),
        roi: None,
    }
}

/// As [`sample`], with an image of `bytes`.
pub fn large(class: &str, n: u64, bytes: usize) -> NewSample {
    let mut random = fastrand::Rng::with_seed(n);
    NewSample { jpeg: (0..bytes).map(|_| random.u8(..)).collect(), ..sample(class, &format!("b{n}"), n) }
}
