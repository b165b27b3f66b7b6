//! `graft mode`: what the daemon is wanted to do.

use super::Common;
use anyhow::Result;
use clap::{Args, ValueEnum};
use graft_wire::{Command, command};

/// Switch adaptation on or off; survives restarts
#[derive(Args, Clone, Debug)]
pub struct ModeArgs {
    /// What is wanted
    pub mode: Mode,
}

/// The wanted mode.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Predict, and train on new samples
    Adapt,
    /// Predict only; labels are still stored
    Infer,
    /// Hold for now
    Pause,
}

/// The command that is sent.
pub(super) fn request(mode: Mode) -> command::Mode {
    match mode {
        Mode::Adapt => command::Mode::Adapt,
        Mode::Infer => command::Mode::Infer,
        Mode::Pause => command::Mode::Pause,
    }
}

pub fn run(mode: Mode, common: &Common) -> Result<()> {
    let mode = request(mode);
    common.send(&Command::Mode(mode), |_| format!("mode {}", mode.as_str()))
}
