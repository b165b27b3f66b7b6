//! `graft mode`: what the daemon is wanted to do.

use super::Common;
use super::client::body;
use anyhow::Result;
use clap::{Args, ValueEnum};
use graft_wire::Op;

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

impl Mode {
    /// The word in the command.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Adapt => "adapt",
            Self::Infer => "infer",
            Self::Pause => "pause",
        }
    }
}

pub fn run(mode: Mode, common: &Common) -> Result<()> {
    common.send(Op::Mode, &body(mode.as_str(), &[]), |_| format!("mode {}", mode.as_str()))
}
