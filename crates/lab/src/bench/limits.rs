//! The limits of one core, and times of one thread.

use graft_learn::lab;
use graft_simd::{Isa, spin};
use std::hint::black_box;
use std::time::Duration;

/// Numbers of the sweep: 256 MiB, far more than any cache.
const SWEEP: usize = 64 << 20;

/// What one core can do.
pub struct Limits {
    /// Multiplications and additions in registers with the kernels' own instructions, 10⁹ a second.
    pub gflops: f64,
    /// Reading from memory, 10⁹ bytes a second.
    pub gbs: f64,
}

/// Multiplications and additions in registers, 10⁹ a second: the best of some tries, as others may use the machine too.
pub fn gflops() -> f64 {
    let mut best = 0.0f64;
    for _ in 0..20 {
        let mut flops = 0.0;
        let ms = cpu_ms(|| {
            let (done, sum) = spin(Isa::detect(), 400_000);
            black_box(sum);
            flops = done;
        });
        best = best.max(flops / ms / 1e6);
    }
    best
}

/// Measures them.
pub fn limits() -> Limits {
    let values = vec![1.0f32; SWEEP];
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        best = best.min(cpu_ms(|| {
            black_box(lab::sweep(black_box(&values)));
        }));
    }
    Limits { gflops: gflops(), gbs: (SWEEP * 4) as f64 / best / 1e6 }
}

/// Milliseconds of this thread's CPU time.
pub fn cpu_ms(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let start = now();
    work();
    now().saturating_sub(start).as_secs_f64() * 1e3
}

/// The median of CPU milliseconds, of as many tries as fit 300 ms, at least three and at most 31.
pub fn median_ms(mut work: impl FnMut()) -> f64 {
    let (mut times, mut all) = (Vec::new(), 0.0);
    while times.len() < 3 || (all < 300.0 && times.len() < 31) {
        let ms = cpu_ms(&mut work);
        times.push(ms);
        all += ms;
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The processor's name, and how many of it.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find(|line| line.starts_with("model name") || line.starts_with("Model"));
    let name =
        named.and_then(|line| line.split_once(':')).map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} cores, {}", Isa::detect().name())
}
