//! Rounds on several threads.

use std::ops::ControlFlow;

use graft_simd::{ThreadPool, Waiting};

use crate::{Alone, Options, Snapshot, Workers, train};

/// Wide enough that a pass is cut into many pieces.
#[test]
fn the_head_is_the_same_with_any_number_of_threads() {
    let (width, classes) = (1030, 4);
    let mut random = fastrand::Rng::with_seed(1);
    let mut snapshot = Snapshot::new(width, classes);
    for i in 0..400u32 {
        let class = i / 5 % classes as u32;
        let row: Vec<f32> = (0..width)
            .map(|at| random.f32() + if at % classes == class as usize { 0.05 } else { 0.0 })
            .collect();
        snapshot.push(&row, class, u64::from(i / 5)).unwrap();
    }
    let options = Options { bootstrap: 20, ..Options::default() };
    let round = |workers: &dyn Workers| {
        train(&snapshot, &options, workers, &mut |_| ControlFlow::Continue(())).unwrap()
    };
    let alone = round(&Alone);
    for threads in [2, 3, 7] {
        let pool = ThreadPool::new(threads, "train", Waiting::Parked, |_| ()).unwrap();
        assert_eq!(Workers::count(&pool), threads);
        assert_eq!(round(&pool), alone, "{threads} threads");
    }
}
