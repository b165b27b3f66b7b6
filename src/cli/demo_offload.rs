//! `graft demo-offload`: fine-tuning, from offer to promoted pair, on one machine.

use super::{Common, Silent};
use crate::demo::offload::{Arguments, run as play};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Show offload in some minutes: board, broker, host and training engine on this machine, without a GPU
///
/// Runs the real daemon on a scene that is strange to its backbone, a real host, and the real engine on the CPU. Fails if
/// the board is not really better with the fine-tuned backbone than with a new head alone.
#[derive(Args, Clone, Debug)]
pub struct DemoOffloadArgs {
    /// Folder of the training engine
    #[arg(long, value_name = "DIR", default_value = "trainer")]
    trainer: PathBuf,
    /// Python with PyTorch, ONNX and Pillow
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    python: String,
    /// Seconds that the engine may train
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// Seed of the scene
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the state in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: DemoOffloadArgs, common: &Common) -> Result<()> {
    let DemoOffloadArgs { trainer, python, seconds, seed, state } = args;
    let better = play(Arguments { trainer, python, seconds, seed, state, json: common.json })?;
    if better { Ok(()) } else { Err(Silent.into()) }
}
