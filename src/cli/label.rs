//! `graft label`: give, change and take back the class of frames and samples.

use super::Common;
use super::capture::with_what_is_missing;
use super::client::word;
use anyhow::Result;
use clap::Subcommand;
use graft_wire::command::Label;
use graft_wire::{ClassName, Command};

/// Add, change or undo labels
#[derive(Subcommand, Clone, Debug)]
pub enum LabelCommand {
    /// Store a frame as a sample of a class
    Set {
        /// The class; created if new
        class: ClassName,
        /// The frame, by its number in the predictions [default: the newest]
        #[arg(long, value_name = "N")]
        frame: Option<u64>,
        /// The burst it belongs to [default: that of labels just before it, else a new one]
        #[arg(long, value_name = "NAME")]
        burst: Option<String>,
    },
    /// Give a stored sample another class
    Relabel {
        /// The sample, by its number in `dataset ls`
        sample: i64,
        /// Its new class; created if new
        class: ClassName,
    },
    /// Delete a stored sample
    Delete {
        /// The sample, by its number in `dataset ls`
        sample: i64,
    },
    /// Take back the last change of the data set; again for the one before
    Undo,
}

pub fn run(command: &LabelCommand, common: &Common) -> Result<()> {
    common.send(&request(command), |data| match command {
        LabelCommand::Set { .. } => {
            let part = |pointer| word(data, pointer);
            let told = format!("sample {}: {}, burst {}", part("/sample"), part("/class"), part("/burst"));
            with_what_is_missing(told, data)
        }
        _ => with_what_is_missing(word(data, "/text"), data),
    })
}

/// The command that is sent.
pub(super) fn request(command: &LabelCommand) -> Command {
    Command::Label(match command.clone() {
        LabelCommand::Set { class, frame, burst } => Label::Set { class, frame, burst },
        LabelCommand::Relabel { sample, class } => Label::Relabel { sample, class },
        LabelCommand::Delete { sample } => Label::Delete { sample },
        LabelCommand::Undo => Label::Undo,
    })
}
