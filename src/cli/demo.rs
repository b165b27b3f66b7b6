//! `graft demo`: everything at once, without camera or broker.

use super::{Common, Silent};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Show the whole thing in about a minute: no camera, broker or internet needed
///
/// Runs the real daemon in a temporary folder on a moving scene, labels bursts over MQTT as a person would, adapts,
/// and verifies the published head. Fails if the new head is not really better.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Stay up afterwards, to play with it
    #[arg(long)]
    keep: bool,
    /// Seed of the scene
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use this MQTT broker instead of the built-in one
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Keep the state in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs it.
pub fn run(args: DemoArgs, common: &Common) -> Result<()> {
    let DemoArgs { keep, seed, broker, state } = args;
    let better = crate::demo::run(crate::demo::Arguments { keep, seed, broker, state, json: common.json })?;
    if better { Ok(()) } else { Err(Silent.into()) }
}
