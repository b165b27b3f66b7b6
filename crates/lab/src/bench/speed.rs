//! How fast a backbone runs here: with our operators, and by tract alone, in turn.

use std::path::Path;
use std::time::{Duration, Instant};

use graft_backbone::lab::{self, OperatorTime, Plain};
use graft_backbone::{Backbone, BackboneError, Card};
use serde::Serialize;

/// Time of all operators of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorTimes {
    pub kind: String,
    /// How many of them a frame has.
    pub calls: usize,
    /// Milliseconds of a frame, all of them together, on average.
    pub ms: f64,
    /// Multiplications with addition of a frame, all of them together.
    pub macs: u64,
}

/// Sums by kind, the slowest first.
fn by_kind(operators: Vec<OperatorTime>) -> Vec<OperatorTimes> {
    let mut all: Vec<OperatorTimes> = Vec::new();
    for OperatorTime { kind, ms, macs } in operators {
        match all.iter_mut().find(|times| times.kind == kind) {
            Some(times) => {
                times.calls += 1;
                times.ms += ms;
                times.macs += macs;
            }
            None => all.push(OperatorTimes { kind, calls: 1, ms, macs }),
        }
    }
    all.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    all
}

/// Speed of one file.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    pub file: String,
    /// What runs it: `tract`, or the instructions of our operators.
    pub engine: String,
    /// Threads that share a frame of ours; tract alone has one.
    pub threads: usize,
    /// Median milliseconds of a frame, pixels to embedding, as the daemon runs it.
    pub ours_ms: f64,
    /// As above: 99 of 100 frames take less.
    pub ours_p99_ms: f64,
    /// As above in CPU time, all threads together, which other programs disturb less.
    pub ours_cpu_ms: f64,
    /// Median milliseconds of a frame by tract alone.
    pub plain_tract_ms: f64,
    /// As above: 99 of 100 frames take less.
    pub plain_tract_p99_ms: f64,
    /// Median CPU time of a frame by tract alone.
    pub plain_tract_cpu_ms: f64,
    /// From the file to the first embedding, as the daemon loads it at every start but the first.
    pub load_ms: f64,
    /// As above in CPU time.
    pub load_cpu_ms: f64,
    /// As above the first time, when both ways are compared.
    pub first_load_ms: f64,
    /// As above in CPU time.
    pub first_load_cpu_ms: f64,
    /// From the file to the first embedding by tract alone.
    pub plain_load_ms: f64,
    /// As above in CPU time.
    pub plain_load_cpu_ms: f64,
    /// Resident memory with this backbone loaded, less what there was before.
    pub rss_mb: f64,
    /// Largest difference of both embeddings, as a part of the largest number.
    pub difference: f64,
    /// Multiplications with addition of one frame.
    pub macs: u64,
    /// Billions of floating-point operations a second.
    pub gflops: f64,
    /// Our operators by kind, the slowest first.
    pub operators: Vec<OperatorTimes>,
}

/// How a file is measured.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub frames: usize,
    /// Threads that share a frame of ours.
    pub threads: usize,
    /// Frames a second, as a camera gives them: meanwhile caches cool down. `None`: one after the other.
    pub hz: Option<f64>,
}

/// Frames of one way before it is the other's turn.
const TURN: usize = 5;

/// Measures one file, a few frames each way in turn.
///
/// # Errors
/// Every reason to refuse the file.
pub fn speed(path: &Path, card: &Card, way: Way) -> Result<Speed, BackboneError> {
    let pause = || way.hz.iter().for_each(|hz| std::thread::sleep(Duration::from_secs_f64(1.0 / hz)));
    let before = resident_mb();
    let start = Stopwatch::start();
    let mut backbone = Backbone::load(path, card)?;
    let pixels: Vec<f32> = {
        let mut random = fastrand::Rng::with_seed(1);
        (0..3 * card.size as usize * card.size as usize).map(|_| random.f32() * 2.0 - 1.0).collect()
    };
    let found = backbone.embed_pixels(&pixels)?;
    let (first_load_ms, first_load_cpu_ms) = start.milliseconds();
    let rss_mb = resident_mb() - before;
    let proof = backbone.proof().map(str::to_owned);
    drop(backbone);
    let start = Stopwatch::start();
    let mut backbone = Backbone::load_again(path, card, proof.as_deref())?;
    let threads = backbone.share(way.threads)?;
    backbone.embed_pixels(&pixels)?;
    let (load_ms, load_cpu_ms) = start.milliseconds();
    let start = Stopwatch::start();
    let mut plain = Plain::load(path, card)?;
    let macs = plain.macs();
    let wanted = plain.embed_pixels(&mut backbone, &pixels)?.to_vec();
    let (plain_load_ms, plain_load_cpu_ms) = start.milliseconds();
    let largest = wanted.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let apart = wanted.iter().zip(&found).fold(0f32, |apart, (a, b)| apart.max((a - b).abs()));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..way.frames.div_ceil(TURN) {
        for _ in 0..TURN {
            pause();
            let start = Stopwatch::start();
            backbone.embed_pixels(&pixels)?;
            ours.push(start.milliseconds());
        }
        for _ in 0..TURN {
            pause();
            let start = Stopwatch::start();
            plain.embed_pixels(&mut backbone, &pixels)?;
            theirs.push(start.milliseconds());
        }
    }
    let wall = |times: &[(f64, f64)], part| quantile(times.iter().map(|(wall, _)| *wall).collect(), part);
    let cpu = |times: &[(f64, f64)]| quantile(times.iter().map(|(_, cpu)| *cpu).collect(), 0.5);
    let ours_ms = wall(&ours, 0.5);
    Ok(Speed {
        file: path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        engine: backbone.engine().into(),
        threads,
        ours_ms,
        ours_p99_ms: wall(&ours, 0.99),
        ours_cpu_ms: cpu(&ours),
        plain_tract_ms: wall(&theirs, 0.5),
        plain_tract_p99_ms: wall(&theirs, 0.99),
        plain_tract_cpu_ms: cpu(&theirs),
        load_ms,
        load_cpu_ms,
        first_load_ms,
        first_load_cpu_ms,
        plain_load_ms,
        plain_load_cpu_ms,
        rss_mb,
        difference: f64::from(apart / largest),
        macs,
        gflops: 2.0 * macs as f64 / ours_ms / 1e6,
        operators: by_kind(lab::operators(&backbone)),
    })
}

/// Wall time and CPU time of this process.
struct Stopwatch(Instant, f64);

impl Stopwatch {
    fn start() -> Self {
        let cpu = cpu_ms();
        Self(Instant::now(), cpu)
    }

    /// Both since the start.
    fn milliseconds(&self) -> (f64, f64) {
        let wall = self.0.elapsed().as_secs_f64() * 1e3;
        (wall, cpu_ms() - self.1)
    }
}

/// What this process has computed so far, in milliseconds.
fn cpu_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// What this part of the times is below.
fn quantile(mut times: Vec<f64>, part: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * part).round() as usize]
}

/// Resident memory of this process; 0 where the system does not say.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_summed_by_kind() {
        let one = |kind: &str, ms, macs| OperatorTime { kind: kind.into(), ms, macs };
        let all = by_kind(vec![one("a", 1.0, 10), one("b", 4.0, 1), one("a", 2.0, 20)]);
        let a = OperatorTimes { kind: "a".into(), calls: 2, ms: 3.0, macs: 30 };
        assert_eq!(all, [OperatorTimes { kind: "b".into(), calls: 1, ms: 4.0, macs: 1 }, a]);
    }
}
