//! `graft bench`: how fast this machine is.

mod backbone;

use super::output::Output;
use anyhow::Result;
use clap::Subcommand;

/// Measure how fast this machine is
#[derive(Subcommand, Debug)]
pub enum BenchCommand {
    Backbone(backbone::BackboneArgs),
}

pub fn run(command: &BenchCommand, output: Output) -> Result<()> {
    match command {
        BenchCommand::Backbone(args) => backbone::run(args, output),
    }
}
