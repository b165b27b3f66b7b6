//! `lab bench contention`: how long predictions take beside a round.

use super::limits::machine;
use super::pace::Contention;
use super::sets;
use anyhow::{Result, anyhow};
use clap::Args;
use graft::lab::BackboneArgs;
use graft::lab::{Output, table};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Time predictions without and beside training
///
/// Frames of the drawn scene are embedded and predicted at a steady rate, first alone, then beside rounds on 5000
/// synthetic samples of 1280 numbers, with the daemon's own niceness and pace. Milliseconds by the clock.
#[derive(Args, Clone, Debug)]
pub struct ContentionArgs {
    /// ONNX file of the backbone, or the word `tiny` for the built-in one
    #[arg(long, value_name = "FILE", default_value = "tiny")]
    backbone: PathBuf,
    /// Frames a second
    #[arg(long, default_value_t = 10.0)]
    hz: f64,
    /// Seconds for each of the two parts
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    seconds: u64,
    /// Threads of a round
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Niceness of a round
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(i32).range(0..=19))]
    nice: i32,
    /// How many times longer a prediction may take before a round is slowed, as budget.slowdown
    #[arg(long, default_value_t = 1.5)]
    slowdown: f64,
}

#[derive(Debug, Serialize)]
struct Outcome {
    machine: String,
    idle: Figures,
    training: Figures,
    /// Training to idle.
    p99_ratio: f64,
    late_frames: usize,
    rounds: u64,
    longest_step_ms: f64,
    share_percent: u32,
}

#[derive(Debug, Serialize)]
struct Figures {
    frames: usize,
    p50_ms: f32,
    p99_ms: f32,
    max_ms: f32,
}

impl Figures {
    fn of(mut times: Vec<f32>) -> Self {
        times.sort_by(f32::total_cmp);
        let at = |share: f64| times.get(((times.len() as f64 * share) as usize).min(times.len().max(1) - 1));
        let at = |share: f64| at(share).copied().unwrap_or(f32::NAN);
        Self { frames: times.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) }
    }
}

pub fn run(args: &ContentionArgs, output: Output) -> Result<()> {
    let backbone = BackboneArgs { backbone: args.backbone.clone(), card: None, features: None, threads: 1 };
    let backbone = backbone.load(&backbone.card(output)?)?;
    let contention = Contention {
        hz: args.hz.clamp(0.1, 1000.0),
        each: Duration::from_secs(args.seconds),
        threads: usize::from(args.threads),
        nice: args.nice,
        slowdown: args.slowdown,
    };
    let paces =
        contention.measure(backbone, &sets::synthetic(5000, 1280, 10, 1)).map_err(|text| anyhow!(text))?;
    let (idle, training) = (Figures::of(paces.idle), Figures::of(paces.beside));
    let outcome = Outcome {
        machine: machine(),
        p99_ratio: f64::from(training.p99_ms / idle.p99_ms),
        idle,
        training,
        late_frames: paces.late,
        rounds: paces.rounds,
        longest_step_ms: paces.longest_step.as_secs_f64() * 1e3,
        share_percent: paces.share,
    };
    output.show(&outcome, text)
}

fn text(o: &Outcome) -> String {
    let row = |what: &str, f: &Figures| {
        let ms = |ms: f32| format!("{ms:.1}");
        vec![what.to_owned(), f.frames.to_string(), ms(f.p50_ms), ms(f.p99_ms), ms(f.max_ms)]
    };
    let rows = [row("idle", &o.idle), row("training", &o.training)];
    format!(
        "{}\n\n{}\np99 while training is {:.2} times that of idle; {} frames came late, {} rounds ended, the round had \
         {} % of its time at the end, longest step between two chances to cancel {:.1} ms",
        o.machine,
        table(&["", "frames", "p50 ms", "p99 ms", "max ms"], rows),
        o.p99_ratio,
        o.late_frames,
        o.rounds,
        o.share_percent,
        o.longest_step_ms
    )
}
