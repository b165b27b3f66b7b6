//! Threads that share the steps of a frame. How a step is cut never changes a number: each is one sum, in one order.
//!
//! A step takes some ten microseconds, less than a thread that sleeps takes to wake. So helpers sleep between frames
//! and wait awake within one.

use std::cell::{RefCell, UnsafeCell};
use std::hint::spin_loop;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle, park, yield_now};

use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// Threads that compute a frame together; by default the caller's alone.
#[derive(Default)]
pub(in super::super) struct Team {
    shared: Arc<Shared>,
    helpers: Vec<Helper>,
    /// The leader's core when helpers were last seated.
    seated: Option<usize>,
    unseated: bool,
}

struct Helper {
    id: Pid,
    thread: JoinHandle<()>,
}

/// What helpers are to do: sleep, share the steps of a frame, end.
const SLEEP: u8 = 0;
const SHARE: u8 = 1;
const END: u8 = 2;

/// Turns without work after which a thread lets others have its core. A helper may be waiting for just that.
const PATIENCE: u32 = 2000;

#[derive(Default)]
struct Shared {
    phase: AtomicU8,
    hands: usize,
    /// The step that is shared. It is written while `left` is 0 and all units of the step before are done, and read by
    /// whoever took a unit, before the unit counts as done.
    step: UnsafeCell<Option<&'static Unit<'static>>>,
    /// Units of it that nobody took yet, and that are done.
    left: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicBool,
}

/// Does the unit of a step that is so far from its end.
type Unit<'a> = dyn Fn(usize) + Sync + 'a;

// SAFETY: `step` is the only field that is not so by itself; `left` and `done` see to who reads and writes it.
unsafe impl Sync for Shared {}
// SAFETY: as above; what it refers to is `Sync`.
unsafe impl Send for Shared {}

thread_local! {
    /// Which thread of its team this one is, and the team that it leads.
    static HAND: RefCell<(usize, Option<Arc<Shared>>)> = const { RefCell::new((0, None)) };
}

impl Team {
    /// # Errors
    /// When the system gives no more threads.
    pub(in super::super) fn new(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared { hands: threads.max(1), ..Shared::default() });
        let mut team = Self { shared, helpers: Vec::new(), seated: None, unseated: false };
        for hand in 1..threads {
            let shared = Arc::clone(&team.shared);
            let (tell, told) = mpsc::channel();
            let help = move || {
                // Whoever waits for it is there.
                let _ = tell.send(gettid());
                shared.help(hand);
            };
            let thread = Builder::new().name("backbone".into()).spawn(help)?;
            let id = told.recv().map_err(io::Error::other)?;
            team.helpers.push(Helper { id, thread });
        }
        Ok(team)
    }

    /// Runs a frame whose steps the team shares.
    pub(in super::super) fn lead<R>(&mut self, frame: impl FnOnce() -> R) -> R {
        if self.helpers.is_empty() {
            return frame();
        }
        self.seat();
        self.tell(SHARE);
        let before = HAND.replace((0, Some(Arc::clone(&self.shared))));
        let _end = OnDrop(|| {
            HAND.set(before.clone());
            self.shared.phase.store(SLEEP, Release);
        });
        frame()
    }

    fn tell(&self, phase: u8) {
        self.shared.phase.store(phase, Release);
        self.helpers.iter().for_each(|helper| helper.thread.thread().unpark());
    }

    /// Gives each helper a core of its own, and none of them the leader's. Left to themselves, helpers were seen to be
    /// woken on the leader's core and to wait there for milliseconds, a whole frame.
    fn seat(&mut self) {
        let own = sched_getcpu();
        if self.unseated || self.seated.replace(own) == Some(own) {
            return;
        }
        let seated = sched_getaffinity(None).and_then(|allowed| {
            let others = (1..CpuSet::MAX_CPU).map(|step| (own + step) % CpuSet::MAX_CPU);
            self.helpers.iter().zip(others.filter(|core| allowed.is_set(*core))).try_for_each(
                |(helper, core)| {
                    let mut seat = CpuSet::new();
                    seat.set(core);
                    sched_setaffinity(Some(helper.id), &seat)
                },
            )
        });
        if let Err(error) = seated {
            self.unseated = true;
            tracing::info!(%error, "threads of a frame have no cores of their own and may wake late");
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.tell(END);
        for helper in self.helpers.drain(..) {
            // Its panics were caught and told unit by unit.
            let _ = helper.thread.join();
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
    fn help(&self, hand: usize) {
        HAND.set((hand, None));
        let mut idle = 0;
        loop {
            match self.phase.load(Acquire) {
                SHARE if self.work() => idle = 0,
                SHARE => wait(&mut idle),
                END => return,
                _ => park(),
            }
        }
    }

    /// Takes a unit and does it. False: there is none.
    fn work(&self) -> bool {
        let Ok(left) = self.left.fetch_update(Acquire, Relaxed, |left| left.checked_sub(1)) else {
            return false;
        };
        // SAFETY: the step of the unit that was taken stays until that unit counts as done, below.
        let step = unsafe { *self.step.get() };
        if catch_unwind(AssertUnwindSafe(|| step.into_iter().for_each(|step| step(left)))).is_err() {
            self.failed.store(true, Relaxed);
        }
        self.done.fetch_add(1, Release);
        true
    }

    /// Does all units of a step with the helpers. Called by the leader alone.
    fn share(&self, units: usize, step: &Unit) {
        // SAFETY: the reference is used by threads that took a unit, and this function returns when all are done.
        let step = unsafe { std::mem::transmute::<&Unit, &'static Unit<'static>>(step) };
        // SAFETY: nobody has a unit now, since the last call waited for all of its own.
        unsafe { *self.step.get() = Some(step) };
        self.done.store(0, Relaxed);
        self.left.store(units, Release);
        while self.work() {}
        let mut idle = 0;
        while self.done.load(Acquire) < units {
            wait(&mut idle);
        }
        assert!(!self.failed.swap(false, Relaxed), "a part of a step failed");
    }
}

fn wait(idle: &mut u32) {
    *idle += 1;
    if idle.is_multiple_of(PATIENCE) {
        yield_now();
    } else {
        spin_loop();
    }
}

/// Which thread of its team this one is; 0 for one that has none.
pub(in super::super) fn hand() -> usize {
    HAND.with_borrow(|(hand, _)| *hand)
}

/// How many threads share the steps of this one.
pub(in super::super) fn hands() -> usize {
    HAND.with_borrow(|(_, team)| team.as_ref().map_or(1, |team| team.hands))
}

/// Calls `unit(0)` … `unit(units − 1)`, each once.
pub(super) fn each(units: usize, unit: impl Fn(usize) + Sync) {
    // Taken out meanwhile: a step within a step is not shared.
    match HAND.with_borrow_mut(|(_, team)| team.take_if(|_| units > 1)) {
        None => (0..units).for_each(unit),
        Some(team) => {
            let _end = OnDrop(|| HAND.with_borrow_mut(|(_, own)| *own = Some(Arc::clone(&team))));
            team.share(units, &|left| unit(units - left));
        }
    }
}

/// Calls `unit` with each stretch of `size` numbers; the last may be shorter.
pub(in super::super) fn each_chunk(values: &mut [f32], size: usize, unit: impl Fn(usize, &mut [f32]) + Sync) {
    let (length, places) = (values.len(), Places(values.as_mut_ptr()));
    each(length.div_ceil(size), |at| {
        let first = at * size;
        // SAFETY: `first < length`, and stretches do not overlap; `values` is a unique borrow and each unit is called once.
        let own = unsafe { std::slice::from_raw_parts_mut(places.at(first), size.min(length - first)) };
        unit(at, own);
    });
}

/// Where threads write, each to places of its own.
pub(super) struct Places(pub(super) *mut f32);

// SAFETY: who writes through it sees to that.
unsafe impl Sync for Places {}

impl Places {
    /// # Safety
    /// As [`pointer::add`].
    pub(super) unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: the caller's.
        unsafe { self.0.add(offset) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::sync::Mutex;

    #[test]
    fn all_hands_work_at_once_and_each_unit_is_done_once() {
        let mut team = Team::new(3).unwrap();
        for _ in 0..50 {
            let (met, seen) = (Barrier::new(3), Mutex::new(BTreeSet::new()));
            let mut values = vec![0.0f32; 10];
            team.lead(|| {
                assert_eq!(hands(), 3);
                // Returns only when three threads are in it at a time.
                each(3, |_| {
                    met.wait();
                    seen.lock().unwrap().insert(hand());
                });
                each_chunk(&mut values, 3, |at, part| {
                    part.iter_mut().for_each(|value| *value += at as f32 + 1.0)
                });
                // A step within a step.
                each(2, |_| each(2, |_| assert_eq!(hands(), 1)));
            });
            assert_eq!(seen.into_inner().unwrap(), BTreeSet::from([0, 1, 2]));
            assert_eq!(values, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0]);
            assert_eq!((hand(), hands()), (0, 1));
        }
    }

    #[test]
    fn a_unit_that_panics_is_told_after_the_others_are_done() {
        let mut team = Team::new(2).unwrap();
        let done = AtomicUsize::new(0);
        let mut frame = || {
            team.lead(|| {
                each(20, |unit| {
                    assert!(unit != 7, "the seventh");
                    done.fetch_add(1, Relaxed);
                })
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(&mut frame)).is_err());
        assert_eq!(done.load(Relaxed), 19);
        assert_eq!(hands(), 1);
        // The team is whole.
        let sum = AtomicUsize::new(0);
        team.lead(|| each(20, |unit| _ = sum.fetch_add(unit, Relaxed)));
        assert_eq!(sum.load(Relaxed), 190);
    }
}
