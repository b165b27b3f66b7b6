//! `lab bench`: what this machine does with the learning core and with backbones, beside their peers, and what a round
//! costs the predictions.

mod backbone;
mod contention;
mod frame;
mod head;
mod limits;
mod memory;
mod pace;
pub(crate) mod peers;
mod round;
pub(crate) mod sets;
mod speed;

use anyhow::Result;
use clap::Subcommand;
use graft::lab::Output;

/// Measure this machine: the learning core and backbones beside their peers, and predictions beside training
#[derive(Subcommand, Debug)]
pub enum BenchCommand {
    Head(head::HeadArgs),
    Round(round::RoundArgs),
    Contention(contention::ContentionArgs),
    Memory(memory::MemoryArgs),
    Backbone(backbone::BackboneArgs),
    Frame(frame::FrameArgs),
}

pub fn run(command: &BenchCommand, output: Output) -> Result<()> {
    match command {
        BenchCommand::Head(args) => head::run(args, output),
        BenchCommand::Round(args) => round::run(args, output),
        BenchCommand::Contention(args) => contention::run(args, output),
        BenchCommand::Memory(args) => memory::run(args, output),
        BenchCommand::Backbone(args) => backbone::run(args, output),
        BenchCommand::Frame(args) => frame::run(args, output),
    }
}
