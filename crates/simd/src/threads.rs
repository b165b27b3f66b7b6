//! A pool of threads that share loops: each iteration is run once, by whichever thread is free.
//!
//! A loop is given to the pool by its caller, who takes part in it and returns when all iterations are done. Two counters
//! do the work: one hands out iterations, the other counts those that are done. There are no queues, since a loop begins
//! when the one before it has ended.

use std::cell::{RefCell, UnsafeCell};
use std::hint::spin_loop;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Builder, JoinHandle, Thread, park, yield_now};

/// How the threads of a pool wait for iterations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Asleep. For iterations of a millisecond and more, beside which waking up is nothing.
    #[default]
    Parked,
    /// Spinning, from the start of [`ThreadPool::run`] to its end, and asleep in between. For loops of some ten
    /// microseconds, one after the other: less than a thread that sleeps takes to wake.
    Spinning,
}

/// Threads that share the loops of whoever [runs](ThreadPool::run) in it; by default the caller's alone.
#[derive(Default)]
pub struct ThreadPool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

/// What threads of a pool without iterations do.
const SLEEP: u8 = 0;
const SPIN: u8 = 1;
const END: u8 = 2;

/// Turns of spinning after which a thread lets others have its core. Another thread of the pool may be waiting for just
/// that.
const PATIENCE: u32 = 2000;

#[derive(Default)]
struct Shared {
    threads: usize,
    waiting: Waiting,
    workers: OnceLock<Vec<Thread>>,
    phase: AtomicU8,
    /// Somebody runs in the pool.
    busy: AtomicBool,
    /// The loop that is shared. It is written while `left` is 0 and all iterations of the loop before are done, and read
    /// by whoever took an iteration, before that counts as done.
    current: UnsafeCell<Option<Loop>>,
    /// Iterations of it that nobody took yet, and that are done.
    left: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicBool,
}

/// Runs the iteration that is so far from the end of its loop.
type Body<'a> = dyn Fn(usize) + Sync + 'a;

/// A loop that is shared.
struct Loop {
    body: &'static Body<'static>,
    count: usize,
    /// Whom to wake when all is done, where the pool waits parked.
    caller: Option<Thread>,
}

// SAFETY: `current` is the only field that is not so by itself; `left` and `done` see to who reads and writes it.
unsafe impl Sync for Shared {}
// SAFETY: as above; what it refers to is `Sync`.
unsafe impl Send for Shared {}

thread_local! {
    /// Which thread of its pool this one is, and the pool that it runs in.
    static CURRENT: RefCell<(usize, Option<Arc<Shared>>)> = const { RefCell::new((0, None)) };
}

impl ThreadPool {
    /// A pool of so many threads, the caller's included; the others are started now, with this name, and live as long as
    /// the pool. They inherit the caller's niceness where the system has one for each thread. `started` is called first
    /// by each of them, with its [index](thread_index).
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(
        threads: usize,
        name: &str,
        waiting: Waiting,
        started: impl Fn(usize) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { threads: threads.max(1), waiting, ..Shared::default() });
        let mut pool = Self { shared, workers: Vec::new() };
        for index in 1..threads {
            let (shared, started) = (Arc::clone(&pool.shared), started.clone());
            let work = move || {
                started(index);
                shared.serve(index);
            };
            pool.workers.push(Builder::new().name(name.into()).spawn(work)?);
        }
        let threads = pool.workers.iter().map(|worker| worker.thread().clone()).collect();
        // Nobody else has the pool yet.
        let _ = pool.shared.workers.set(threads);
        Ok(pool)
    }

    /// How many threads it has, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` on this thread; the pool shares its loops ([`for_each`], [`for_each_chunk`]). While somebody else
    /// runs in the pool, `work` has this thread alone.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.workers.is_empty() || self.shared.busy.swap(true, Acquire) {
            return work();
        }
        if self.shared.waiting == Waiting::Spinning {
            self.shared.tell(SPIN);
        }
        let before = CURRENT.replace((0, Some(Arc::clone(&self.shared))));
        let _end = OnDrop(|| {
            CURRENT.set(before.clone());
            self.shared.phase.store(SLEEP, Release);
            self.shared.busy.store(false, Release);
        });
        work()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.phase.store(END, Release);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // Its panics were caught and told loop by loop.
            let _ = worker.join();
        }
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Shared {
    fn tell(&self, phase: u8) {
        self.phase.store(phase, Release);
        self.wake(usize::MAX);
    }

    /// Wakes some of the threads.
    fn wake(&self, count: usize) {
        self.workers.get().into_iter().flatten().take(count).for_each(Thread::unpark);
    }

    /// What a thread of the pool does all its life.
    fn serve(&self, index: usize) {
        CURRENT.set((index, None));
        let mut idle = 0;
        loop {
            if self.work() {
                idle = 0;
                continue;
            }
            match self.phase.load(Acquire) {
                SPIN => spin(&mut idle),
                END => return,
                _ => park(),
            }
        }
    }

    /// Takes an iteration and runs it. False: there is none.
    fn work(&self) -> bool {
        let Ok(left) = self.left.fetch_update(Acquire, Relaxed, |left| left.checked_sub(1)) else {
            return false;
        };
        // SAFETY: the loop of the iteration that was taken stays until that iteration counts as done, below.
        let Some(Loop { body, count, caller }) = (unsafe { &*self.current.get() }) else { return false };
        let (body, count, caller) = (*body, *count, caller.clone());
        if catch_unwind(AssertUnwindSafe(|| body(left))).is_err() {
            self.failed.store(true, Relaxed);
        }
        if self.done.fetch_add(1, Release) + 1 == count
            && let Some(caller) = caller
        {
            caller.unpark();
        }
        true
    }

    /// Runs all iterations of a loop with the other threads. Called by one thread at a time: the one that runs in the pool.
    fn share(&self, count: usize, body: &Body) {
        // SAFETY: the reference is used by threads that took an iteration, and this function returns when all are done.
        let body = unsafe { std::mem::transmute::<&Body, &'static Body<'static>>(body) };
        let parked = self.waiting == Waiting::Parked;
        let caller = parked.then(thread::current);
        // SAFETY: nobody has an iteration now, since the last call waited for all of its own.
        unsafe { *self.current.get() = Some(Loop { body, count, caller }) };
        self.done.store(0, Relaxed);
        self.left.store(count, Release);
        if parked {
            self.wake(count - 1);
        }
        while self.work() {}
        let mut idle = 0;
        while self.done.load(Acquire) < count {
            if parked { park() } else { spin(&mut idle) }
        }
        assert!(!self.failed.swap(false, Relaxed), "an iteration of a shared loop failed");
    }
}

fn spin(idle: &mut u32) {
    *idle += 1;
    if idle.is_multiple_of(PATIENCE) {
        yield_now();
    } else {
        spin_loop();
    }
}

/// Which thread of its pool this one is: 0 for the one that runs in it, and for one that is in none.
pub fn thread_index() -> usize {
    CURRENT.with_borrow(|(index, _)| *index)
}

/// How many threads share the loops of this one.
pub fn thread_count() -> usize {
    CURRENT.with_borrow(|(_, pool)| pool.as_ref().map_or(1, |pool| pool.threads))
}

/// Calls `body(0)` … `body(count − 1)`, each once, in any order, on the threads of the pool that this thread
/// [runs in](ThreadPool::run); without one, in order on this thread. A loop within a loop is not shared.
///
/// # Panics
/// When `body` does, after all other iterations are done.
pub fn for_each(count: usize, body: impl Fn(usize) + Sync) {
    // Taken out meanwhile, so that a loop within the loop finds none.
    match CURRENT.with_borrow_mut(|(_, pool)| pool.take_if(|_| count > 1)) {
        None => (0..count).for_each(body),
        Some(pool) => {
            let _end = OnDrop(|| CURRENT.with_borrow_mut(|(_, own)| *own = Some(Arc::clone(&pool))));
            pool.share(count, &|left| body(count - left));
        }
    }
}

/// As [`for_each`], with each stretch of `size` values; the last may be shorter.
///
/// # Panics
/// As [`for_each`], and when `size` is 0.
pub fn for_each_chunk<T: Send>(values: &mut [T], size: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let (length, start) = (values.len(), Pointer::new(values));
    for_each(length.div_ceil(size), |at| {
        let first = at * size;
        // SAFETY: `first < length`, and stretches do not overlap; `values` is a unique borrow and each iteration is run
        // once.
        let own = unsafe { std::slice::from_raw_parts_mut(start.at(first), size.min(length - first)) };
        body(at, own);
    });
}

/// Where threads write, each to places of its own.
#[derive(Clone, Copy)]
pub struct Pointer<'a, T> {
    start: *mut T,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: who writes through it sees to it that no two threads use one place.
unsafe impl<T: Send> Sync for Pointer<'_, T> {}

impl<'a, T> Pointer<'a, T> {
    /// To the first of these values.
    pub fn new(values: &'a mut [T]) -> Self {
        Self { start: values.as_mut_ptr(), borrowed: PhantomData }
    }

    /// To a later one.
    ///
    /// # Safety
    /// As [`pointer::add`]; and no other thread uses what is read or written there.
    pub unsafe fn at(&self, offset: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.start.add(offset) }
    }
}
