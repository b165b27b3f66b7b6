//! `lab bench memory`: what one round takes of memory, embeddings included.

use super::sets;
use anyhow::{Context, Result};
use clap::Args;
use graft::lab::Output;
use graft_learn::{Alone, Options, train};
use serde::Serialize;
use std::ops::ControlFlow;

/// Measure the memory that a complete round takes at most
#[derive(Args, Clone, Debug)]
pub struct MemoryArgs {
    /// Samples
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    samples: u32,
    /// Numbers per embedding
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    width: u32,
    /// Classes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=4096))]
    classes: u32,
}

#[derive(Debug, Serialize)]
struct Outcome {
    samples: u32,
    width: u32,
    classes: u32,
    embeddings_mib: f64,
    /// Embeddings and everything else of the round, at its highest.
    round_mib: f64,
}

pub fn run(args: &MemoryArgs, output: Output) -> Result<()> {
    let before = status_mib("VmRSS")?;
    let snapshot = sets::synthetic(args.samples as usize, args.width as usize, args.classes as usize, 1);
    let embeddings_mib = (2 * snapshot.embeddings.len()) as f64 / f64::from(1 << 20);
    // From here on the highest is counted anew.
    std::fs::write("/proc/self/clear_refs", "5")
        .context("/proc/self/clear_refs cannot be written: not Linux?")?;
    train(&snapshot, &Options::default(), &Alone, &mut |_| ControlFlow::Continue(()))?;
    let round_mib = status_mib("VmHWM")? - before;
    let MemoryArgs { samples, width, classes } = *args;
    output.show(&Outcome { samples, width, classes, embeddings_mib, round_mib }, |o| {
        format!(
            "{} x {} x {}: {:.0} MiB at most, {:.0} of them embeddings",
            o.samples, o.width, o.classes, o.round_mib, o.embeddings_mib
        )
    })
}

/// A line of `/proc/self/status`, in MiB.
fn status_mib(key: &str) -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status").context("/proc/self/status cannot be read")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kib.with_context(|| format!("/proc/self/status has no {key}"))? / 1024.0)
}
