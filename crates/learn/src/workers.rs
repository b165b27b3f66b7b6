//! Who does the work: the room starts no threads of its own.

/// Hands that a round may use.
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
