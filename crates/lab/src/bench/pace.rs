//! What a round does to the pace of predictions, measured with the daemon's own parts.

use graft::lab::{Budget, Pace, nice, round_threads};
use graft_backbone::Backbone;
use graft_camera::pattern::{PatternSettings, Scene};
use graft_learn::{self as learn, Head, Options, Snapshot};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Frames are predicted without a round for so long at first, which nothing counts.
const WARM: Duration = Duration::from_secs(1);

/// How a measurement is made.
pub struct Contention {
    /// Frames a second.
    pub hz: f64,
    /// How long each of the two parts takes.
    pub each: Duration,
    /// Threads of a round.
    pub threads: usize,
    /// Their niceness.
    pub nice: i32,
    /// How much longer a prediction may take before a round is slowed.
    pub slowdown: f64,
}

/// What was measured.
pub struct Paces {
    /// Milliseconds of each prediction without a round.
    pub idle: Vec<f32>,
    /// … and beside rounds.
    pub beside: Vec<f32>,
    /// Frames that came too late by a whole frame or more, in both.
    pub late: usize,
    /// Rounds that ended meanwhile.
    pub rounds: u64,
    /// Longest time between two chances to cancel a round, of the rests that it takes for the sake of predictions nothing
    /// counted.
    pub longest_step: Duration,
    /// Share of its time that the round had at the end, in percent.
    pub share: u32,
}

impl Contention {
    /// Predicts frames of a drawn scene for twice [`Contention::each`], the second time beside rounds on `snapshot`.
    pub fn measure(&self, mut backbone: Backbone, snapshot: &Snapshot) -> Result<Paces, String> {
        let scene = Scene::new(PatternSettings::default());
        let head = Head::random(snapshot.classes, backbone.width(), 1);
        let mut budget = Budget::default();
        let share = Arc::new(AtomicU32::new(budget.share()));
        let mut late = 0;
        let mut watch = |budget: &mut Budget, each: Duration, rounds: bool| -> Result<Vec<f32>, String> {
            let (begun, gap) = (Instant::now(), Duration::from_secs_f64(1.0 / self.hz));
            let (mut times, mut due) = (Vec::new(), begun);
            while begun.elapsed() < each {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let frame = scene.render(times.len() as u64);
                let start = Instant::now();
                let embedding = backbone.embed(&frame, None).map_err(|e| e.to_string())?;
                std::hint::black_box(head.predict(&embedding));
                let ms = start.elapsed().as_secs_f32() * 1e3;
                times.push(ms);
                budget.predicted(ms, rounds);
                budget.judge(rounds, self.slowdown);
                share.store(budget.share(), Ordering::Relaxed);
                due += gap;
                if due + gap < Instant::now() {
                    (late, due) = (late + 1, Instant::now());
                }
            }
            Ok(times)
        };
        watch(&mut budget, WARM, false)?;
        budget = Budget::default();
        let idle = watch(&mut budget, self.each, false)?;
        let (stop, rounds, longest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        let mut pace = Pace::new(Arc::default(), Arc::clone(&share));
        let beside = std::thread::scope(|scope| {
            scope.spawn(|| {
                nice(self.nice);
                let threads = round_threads(self.threads);
                while !stop.load(Ordering::Relaxed) {
                    let mut since = Instant::now();
                    let round = learn::train(snapshot, &Options::default(), &threads, &mut |_| {
                        longest.fetch_max(since.elapsed().as_micros() as u64, Ordering::Relaxed);
                        if stop.load(Ordering::Relaxed) {
                            return ControlFlow::Break(());
                        }
                        pace.step();
                        since = Instant::now();
                        ControlFlow::Continue(())
                    });
                    rounds.fetch_add(u64::from(round.is_ok()), Ordering::Relaxed);
                }
            });
            let beside = watch(&mut budget, self.each, true);
            stop.store(true, Ordering::Relaxed);
            beside
        })?;
        Ok(Paces {
            idle,
            beside,
            late,
            rounds: rounds.into_inner(),
            longest_step: Duration::from_micros(longest.into_inner()),
            share: budget.share(),
        })
    }
}
