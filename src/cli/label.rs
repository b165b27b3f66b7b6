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
    /// Give stored samples another class, as one change
    Relabel {
        /// The samples, by their numbers in `dataset ls`, with commas between them
        #[arg(value_delimiter = ',', num_args = 1, required = true)]
        samples: Vec<i64>,
        /// Their new class; created if new
        class: ClassName,
    },
    /// Delete stored samples, as one change
    Delete {
        /// The samples, by their numbers in `dataset ls`, with commas between them
        #[arg(value_delimiter = ',', num_args = 1, required = true)]
        samples: Vec<i64>,
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
        LabelCommand::Relabel { samples, class } => {
            let (sample, samples) = one_or_several(samples);
            Label::Relabel { sample, samples, burst: None, class }
        }
        LabelCommand::Delete { samples } => {
            let (sample, samples) = one_or_several(samples);
            Label::Delete { sample, samples, burst: None }
        }
        LabelCommand::Undo => Label::Undo,
    })
}

fn one_or_several(samples: Vec<i64>) -> (Option<i64>, Option<Vec<i64>>) {
    match samples[..] {
        [one] => (Some(one), None),
        _ => (None, Some(samples)),
    }
}
