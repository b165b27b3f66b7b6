//! The same tests for every kind of vector that this CPU has.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Barrier, Mutex};
use std::time::Duration;

use super::*;

/// What is put into all lanes.
const SPLAT: f32 = 0.1;

/// An operation on three vectors, lane by lane.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Splat,
    Add,
    Mul,
    Divide,
    AddProduct,
    AtLeast,
    AtMost,
    Round,
    PowerOfTwo,
}

/// `operation` of 16 lanes of `a`, `b` and `c`.
struct Apply<'a>(Operation, &'a [f32; 16], &'a [f32; 16], &'a [f32; 16]);

impl Kernel for Apply<'_> {
    type Output = [f32; 16];

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) -> [f32; 16] {
        let Self(operation, a, b, c) = self;
        let mut out = [f32::NAN; 16];
        for at in (0..16).step_by(L::WIDTH) {
            // SAFETY: 16 is a multiple of the width.
            unsafe {
                let load = |from: &[f32; 16]| L::load(from[at..].as_ptr());
                let (a, b, c) = (load(a), load(b), load(c));
                let found = match operation {
                    Operation::Splat => L::splat(SPLAT),
                    Operation::Add => a.add(b),
                    Operation::Mul => a.mul(b),
                    Operation::Divide => a.divide(b),
                    Operation::AddProduct => a.add_product(b, c),
                    Operation::AtLeast => a.at_least(b),
                    Operation::AtMost => a.at_most(b),
                    Operation::Round => a.round(),
                    Operation::PowerOfTwo => a.power_of_two(),
                };
                found.store(out[at..].as_mut_ptr());
            }
        }
        out
    }
}

/// Numbers that differ in what they could break: signs, halves, extremes.
fn numbers(salt: u32) -> [f32; 16] {
    let some =
        [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-40, 3e38, -7.25, 1.0, -1.0, 1e-3, 8_388_609.0, -3.3, 0.1];
    std::array::from_fn(|at| some[(at * 7 + salt as usize) % 16])
}

fn same(found: f32, wanted: f32) -> bool {
    found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan())
}

#[test]
fn every_operation_is_its_definition_lane_by_lane() {
    for isa in Isa::available() {
        for salt in 0..256 {
            let (a, b, c) = (numbers(salt % 16), numbers(salt / 16), numbers(salt / 7 + 3));
            // SAFETY: nothing but the instructions is asked for.
            let of = |operation| unsafe { isa.run(Apply(operation, &a, &b, &c)) };
            let check = |operation: Operation, wanted: &dyn Fn(usize) -> f32| {
                for (at, found) in of(operation).into_iter().enumerate() {
                    let wanted = wanted(at);
                    assert!(same(found, wanted), "{isa:?} {operation:?} {at}: {found} for {wanted}");
                }
            };
            check(Operation::Add, &|at| a[at] + b[at]);
            check(Operation::Mul, &|at| a[at] * b[at]);
            check(Operation::Divide, &|at| a[at] / b[at]);
            check(Operation::Round, &|at| a[at].round_ties_even());
            for (at, found) in of(Operation::AddProduct).into_iter().enumerate() {
                let (once, twice) = (b[at].mul_add(c[at], a[at]), a[at] + b[at] * c[at]);
                let fused = isa != Isa::PORTABLE;
                assert!(same(found, if fused { once } else { twice }), "{isa:?} {at}: {found}");
            }
            // By value: which zero is larger, is not said.
            for (at, (low, high)) in of(Operation::AtLeast).into_iter().zip(of(Operation::AtMost)).enumerate()
            {
                assert!(low == a[at].max(b[at]) && high == a[at].min(b[at]), "{isa:?} {at}: {low} {high}");
            }
        }
    }
}

#[test]
fn a_nan_stays_through_bounds_and_powers_of_two_are_exact() {
    let (nan, zeros) = ([f32::NAN; 16], [0.0; 16]);
    for isa in Isa::available() {
        // SAFETY: nothing but the instructions is asked for.
        let of = |operation, a: &[f32; 16]| unsafe { isa.run(Apply(operation, a, &zeros, &zeros)) };
        assert!(of(Operation::AtLeast, &nan).iter().all(|value| value.is_nan()), "{isa:?}");
        assert!(of(Operation::AtMost, &nan).iter().all(|value| value.is_nan()), "{isa:?}");
        assert_eq!(of(Operation::Splat, &zeros), [SPLAT; 16], "{isa:?}");
        for first in (-126..=112).step_by(16) {
            let powers = std::array::from_fn(|at| (first + at as i32) as f32);
            let wanted: [f32; 16] = std::array::from_fn(|at| 2f32.powi(first + at as i32));
            assert_eq!(of(Operation::PowerOfTwo, &powers), wanted, "{isa:?}");
        }
    }
}

/// Widens numbers of 16 bits, a multiple of 16 of them, one place past an aligned address.
struct Widen<'a>(&'a [u16], &'a mut [f32]);

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for (from, to) in self.0.chunks_exact(L::WIDTH).zip(self.1.chunks_exact_mut(L::WIDTH)) {
            L::prefetch(from.as_ptr().wrapping_add(1 << 20));
            // SAFETY: both have `WIDTH` numbers.
            unsafe { L::load_half(from.as_ptr()).store(to.as_mut_ptr()) }
        }
    }
}

/// The value of binary16 bits by its definition, in f64.
fn by_definition(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[test]
fn all_numbers_of_16_bits_are_read_exactly() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for isa in Isa::available() {
        let mut found = vec![0.0; all.len()];
        // SAFETY: nothing but the instructions is asked for.
        unsafe { isa.run(Widen(&all, &mut found)) }
        for (bits, found) in all.iter().zip(found) {
            assert!(same(found, by_definition(*bits) as f32), "{isa:?} {bits:#x}: {found}");
            assert!(same(half_to_single(*bits), found), "{bits:#x}");
        }
    }
}

/// The sums of 16 numbers, one a vector.
struct Sums<'a>(&'a [f32; 16]);

impl Kernel for Sums<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) -> f32 {
        let mut total = 0.0;
        for part in self.0.chunks_exact(L::WIDTH) {
            // SAFETY: `part` has `WIDTH` numbers.
            total += unsafe { L::load(part.as_ptr()).sum() };
        }
        total
    }
}

#[test]
fn sums_are_of_all_lanes() {
    let values: [f32; 16] = std::array::from_fn(|at| (1 << at) as f32);
    for isa in Isa::available() {
        // SAFETY: nothing but the instructions is asked for.
        assert_eq!(unsafe { isa.run(Sums(&values)) }, 65535.0, "{isa:?}");
        let (operations, total) = spin(isa, 10);
        assert!(operations >= 2.0 * 12.0 * 10.0 * 4.0 && total.is_finite(), "{isa:?}");
    }
}

#[test]
fn instructions_are_chosen_once_and_by_name() {
    let all = Isa::available();
    assert_eq!(all.last(), Some(&Isa::PORTABLE));
    let best = Isa::detect();
    assert_eq!(best, all[0], "nothing else was chosen in this process");
    assert_eq!(Isa::choose(best.name()), Ok(best));
    let unknown = Isa::choose("sse9").unwrap_err();
    assert!(
        unknown.to_string().contains("\"sse9\"") && unknown.to_string().contains("portable"),
        "{unknown}"
    );
    let elsewhere = if cfg!(target_arch = "x86_64") { Instructions::Neon } else { Instructions::Avx2 };
    assert_eq!(Isa::choose(elsewhere.name()), Err(IsaError::Missing { kind: elsewhere }));
    if best != Isa::PORTABLE {
        let late = Isa::choose("portable").unwrap_err();
        assert_eq!(late, IsaError::InUse { kind: Instructions::Portable, used: best.instructions() });
    }
    assert_eq!(Isa::detect(), best);
}

fn pool(threads: usize, waiting: Waiting) -> ThreadPool {
    ThreadPool::new(threads, "test", waiting, |_| ()).unwrap()
}

const BOTH: [Waiting; 2] = [Waiting::Parked, Waiting::Spinning];

#[test]
fn all_threads_work_at_once_and_each_iteration_is_run_once() {
    for waiting in BOTH {
        let pool = pool(3, waiting);
        for _ in 0..50 {
            let (met, seen) = (Barrier::new(3), Mutex::new(BTreeSet::new()));
            let mut values = vec![0.0f32; 10];
            pool.run(|| {
                assert_eq!(thread_count(), 3);
                // Returns only when three threads are in it at a time.
                for_each(3, |_| {
                    met.wait();
                    seen.lock().unwrap().insert(thread_index());
                });
                for_each_chunk(&mut values, 3, |at, part| {
                    part.iter_mut().for_each(|value| *value += at as f32 + 1.0)
                });
                // A loop within a loop.
                for_each(2, |_| for_each(2, |_| assert_eq!(thread_count(), 1)));
            });
            assert_eq!(seen.into_inner().unwrap(), BTreeSet::from([0, 1, 2]));
            assert_eq!(values, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0]);
            assert_eq!((thread_index(), thread_count()), (0, 1));
        }
    }
}

#[test]
fn any_number_of_iterations_is_run_once_each() {
    for waiting in BOTH {
        for threads in [1, 2, 5] {
            let pool = pool(threads, waiting);
            assert_eq!(pool.threads(), threads);
            for count in [0, 1, 3, 40] {
                let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                pool.run(|| for_each(count, |at| _ = done[at].fetch_add(1, Relaxed)));
                assert!(done.iter().all(|times| times.load(Relaxed) == 1), "{threads} {count}");
            }
        }
    }
}

#[test]
fn a_pool_that_is_in_use_shares_nothing_with_others() {
    for waiting in BOTH {
        let pool = pool(2, waiting);
        pool.run(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| pool.run(|| assert_eq!(thread_count(), 1)));
            });
            assert_eq!(thread_count(), 2);
        });
        pool.run(|| assert_eq!(thread_count(), 2));
    }
}

#[test]
fn a_panic_is_told_after_the_other_iterations_are_done() {
    for waiting in BOTH {
        let pool = pool(2, waiting);
        let done = AtomicUsize::new(0);
        let failing = || {
            pool.run(|| {
                for_each(20, |at| {
                    assert!(at != 7, "the seventh");
                    done.fetch_add(1, Relaxed);
                })
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(failing)).is_err());
        assert_eq!(done.load(Relaxed), 19);
        assert_eq!(thread_count(), 1);
        // The pool is whole.
        let sum = AtomicUsize::new(0);
        pool.run(|| for_each(20, |at| _ = sum.fetch_add(at, Relaxed)));
        assert_eq!(sum.load(Relaxed), 190);
    }
}

#[test]
fn the_caller_is_woken_when_others_finish_last() {
    let pool = pool(2, Waiting::Parked);
    let met = Barrier::new(2);
    pool.run(|| {
        for_each(2, |_| {
            met.wait();
            if thread_index() == 1 {
                // Long enough for the caller to fall asleep.
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    });
}

#[test]
fn threads_are_started_with_their_index() {
    let started = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let seen = std::sync::Arc::clone(&started);
    let pool =
        ThreadPool::new(4, "test", Waiting::Parked, move |index| _ = seen.lock().unwrap().insert(index));
    drop(pool.unwrap());
    assert_eq!(*started.lock().unwrap(), BTreeSet::from([1, 2, 3]));
}
