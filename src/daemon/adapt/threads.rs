//! The threads of a round.

use graft_learn::Workers;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many threads as this. Those beside the caller's live for one call and take over its niceness: a piece of work is
/// long beside the start of a thread.
#[derive(Clone, Copy, Debug)]
pub struct RoundThreads(pub usize);

impl Workers for RoundThreads {
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let take = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    break;
                }
                work(at);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.0.min(count) {
                scope.spawn(take);
            }
            take();
        });
    }

    fn count(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use graft_learn::{Alone, Options, Snapshot, train};
    use std::ops::ControlFlow;

    #[test]
    fn every_piece_is_done_once() {
        for threads in [1, 2, 5] {
            for count in [0, 1, 3, 40] {
                let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                RoundThreads(threads).each(count, &|at| {
                    done[at].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1));
            }
        }
    }

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
        let round = |threads: &dyn Workers| {
            train(&snapshot, &options, threads, &mut |_| ControlFlow::Continue(())).unwrap()
        };
        let alone = round(&Alone);
        for threads in [2, 3, 7] {
            assert_eq!(round(&RoundThreads(threads)), alone);
        }
    }
}
