//! Who does the work: this crate starts no threads of its own.

use graft_simd::{ThreadPool, for_each};

/// Threads that a round may use. A round is the same, bit for bit, with any number of them.
pub trait Workers: Sync {
    /// Runs `work(0)…work(count − 1)`, each once, in any order, on any thread; returns when all are done.
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync));

    /// How many pieces of work run at a time.
    fn count(&self) -> usize {
        1
    }
}

/// The calling thread and nobody else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}

/// A piece of work takes milliseconds: a pool whose threads wait [parked](graft_simd::Waiting::Parked) is as fast as one
/// that spins, and leaves the cores to others.
impl Workers for ThreadPool {
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        self.run(|| for_each(count, work));
    }

    fn count(&self) -> usize {
        self.threads()
    }
}
