//! The threads that share the steps of a frame. How a step is cut never changes a number: each is one sum, in one order.

use std::io;
use std::sync::mpsc;

use graft_simd::{ThreadPool, Waiting};
use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// A pool whose threads each have a core of their own. A step takes some ten microseconds, so within a frame they wait
/// spinning.
#[derive(Default)]
pub(super) struct FrameThreads {
    pool: ThreadPool,
    /// The threads beside the caller's.
    ids: Vec<Pid>,
    /// The caller's core when the threads were last given theirs.
    beside: Option<usize>,
    /// Whether the system forbids to choose cores.
    forbidden: bool,
}

impl FrameThreads {
    /// Starts as many threads as this, the caller's included.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn new(threads: usize) -> io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let started = move |_| {
            // Whoever waits for it is there.
            let _ = tell.send(gettid());
        };
        let pool = ThreadPool::new(threads, "backbone", Waiting::Spinning, started)?;
        let ids = told.iter().take(pool.threads() - 1).collect();
        Ok(Self { pool, ids, ..Self::default() })
    }

    /// Runs a frame whose steps they share.
    pub(super) fn run<R>(&mut self, frame: impl FnOnce() -> R) -> R {
        if !self.ids.is_empty() {
            self.pin();
        }
        self.pool.run(frame)
    }

    /// Gives each thread a core of its own, and none of them the caller's. Left to themselves, threads were seen to be
    /// woken on the caller's core and to wait there for milliseconds, a whole frame.
    fn pin(&mut self) {
        let own = sched_getcpu();
        if self.forbidden || self.beside.replace(own) == Some(own) {
            return;
        }
        let pinned = sched_getaffinity(None).and_then(|allowed| {
            let others = (1..CpuSet::MAX_CPU).map(|step| (own + step) % CpuSet::MAX_CPU);
            self.ids.iter().zip(others.filter(|core| allowed.is_set(*core))).try_for_each(|(id, core)| {
                let mut cores = CpuSet::new();
                cores.set(core);
                sched_setaffinity(Some(*id), &cores)
            })
        });
        if let Err(error) = pinned {
            self.forbidden = true;
            tracing::info!(%error, "threads of a frame have no cores of their own and may wake late");
        }
    }
}
