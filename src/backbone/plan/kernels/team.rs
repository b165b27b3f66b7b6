//! Threads that share the steps of a frame. How a step is cut never changes a number: each is one sum, in one order.

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Threads that compute a frame together; by default the caller's alone.
#[derive(Debug, Default)]
pub(in super::super) struct Team(Option<ThreadPool>);

impl Team {
    /// # Errors
    /// When the system gives no more threads.
    pub(in super::super) fn new(threads: usize) -> Result<Self, ThreadPoolBuildError> {
        if threads <= 1 {
            return Ok(Self(None));
        }
        let builder = ThreadPoolBuilder::new().num_threads(threads).thread_name(|_| "backbone".into());
        Ok(Self(Some(builder.build()?)))
    }

    /// Runs a frame whose steps the team shares.
    pub(in super::super) fn lead<R: Send>(&self, frame: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(frame),
            None => frame(),
        }
    }
}

/// Which thread of its team this one is; 0 for one that has none.
pub(in super::super) fn hand() -> usize {
    rayon::current_thread_index().unwrap_or(0)
}

/// How many threads the team of this one has.
pub(in super::super) fn hands() -> usize {
    // Outside of a team rayon would count, and take, threads of its own.
    if rayon::current_thread_index().is_some() { rayon::current_num_threads() } else { 1 }
}

/// Calls `unit(0)` … `unit(units − 1)`, each once.
pub(super) fn each(units: usize, unit: impl Fn(usize) + Send + Sync) {
    match hands() {
        1 => (0..units).for_each(unit),
        _ => (0..units).into_par_iter().with_max_len(1).for_each(unit),
    }
}

/// Calls `unit` with each stretch of `size` numbers; the last may be shorter.
pub(in super::super) fn each_chunk(
    values: &mut [f32],
    size: usize,
    unit: impl Fn(usize, &mut [f32]) + Send + Sync,
) {
    match hands() {
        1 => values.chunks_mut(size).enumerate().for_each(|(at, chunk)| unit(at, chunk)),
        _ => {
            let chunks = values.par_chunks_mut(size).enumerate();
            chunks.with_max_len(1).for_each(|(at, chunk)| unit(at, chunk));
        }
    }
}
